"""What a reader returns, before it becomes an `EmbeddingSet`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from engine.embeddings.embedding_set import Metric, Vectors


@dataclass(frozen=True, eq=False, kw_only=True)
class Rows:
    """One side of a set, corpus or queries: vectors (n, d), or only texts that are still to be encoded.

    `name` is the file that messages blame.
    """

    name: str
    vectors: Vectors | None = None
    ids: Sequence[str] | None = None
    texts: Sequence[str] | None = None
    segments: Sequence[str] | None = None

    @property
    def n(self) -> int:
        """Number of rows."""
        if self.vectors is not None:
            return int(self.vectors.shape[0])
        return len(self.texts or ())


@dataclass(frozen=True, eq=False, kw_only=True)
class Qrels:
    """Relevance judgements by id, three columns of one length; `warnings` says what was left out."""

    name: str
    query_ids: Sequence[str]
    doc_ids: Sequence[str]
    grades: npt.NDArray[np.float32]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Loaded:
    """What one file or folder holds: a corpus, perhaps queries and judgements, and the metric it names."""

    corpus: Rows
    queries: Rows | None = None
    qrels: Qrels | None = None
    metric: Metric | None = None
    warnings: tuple[str, ...] = ()
