"""The option that sends a sweep to a Dask cluster, and which corpora are left to its workers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.errors import ParameterError

if TYPE_CHECKING:
    from engine.embeddings import Columns
    from engine.tradeoff.distributed import PartsSource

Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Sweep on the Dask cluster at tcp://host:port; CORPUS may be parts or a URL."),
]


def parts_of(
    corpus: str, *, queries: str | None, qrels: str | None, columns: Columns, metric: Any, recipe: Any, panels: Any
) -> PartsSource | None:
    """Return the corpus as parts that only the workers open; None for a set that this machine maps and they too.

    Parts are a URL, a folder, a Parquet file, or what this machine does not see.

    Raises
    ------
    ParameterError
        When panels are asked for of parts: panels measure on this machine.
    """
    path = Path(corpus)
    is_file = corpus.startswith("sample:") or path.is_file() or (path / "corpus.npy").is_file()
    if is_file and "://" not in corpus and path.suffix.lower() != ".parquet":
        return None
    from engine.tradeoff.distributed import PartsSource

    if panels is not None:
        raise ParameterError(
            "panels measure on this machine, which does not read a corpus of parts",
            found="--panels with --scheduler",
            hint="Leave one of them out",
        )
    metric = metric or "cosine"
    return PartsSource(url=corpus, queries=queries, qrels=qrels, columns=columns, metric=metric, recipe=recipe)
