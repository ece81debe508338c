"""Which column, key or array is meant, told from its name; two that could be meant are a question to the user."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.errors import AmbiguousColumnsError, FormatError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.embeddings.embedding_set import Metric

ID_NAMES = (
    "_id", "id", "docid", "doc_id", "document_id", "corpus_id", "query_id", "qid", "pid", "custom_id", "uuid",
)  # fmt: skip
TITLE_NAMES = ("title",)
TEXT_NAMES = (
    "text", "content", "contents", "body", "passage", "document", "chunk", "sentence", "query", "question", "abstract",
    "title",
)  # fmt: skip
SEGMENT_NAMES = ("segment", "category")

# Seen in the wild: emb (Cohere), openai, text-embedding-3-large-3072-embedding, values (Pinecone), dense_vector.
_LOOKS_LIKE_VECTORS = re.compile(r"(^|[^a-z])(emb|embs|openai|values)($|[^a-z])|embedding|vector")

_METRICS: dict[str, Metric] = {
    "angular": "cosine", "cosine": "cosine",
    "euclidean": "l2", "l2": "l2",
    "dot": "ip", "ip": "ip", "inner_product": "ip", "inner product": "ip",
}  # fmt: skip


def choose_vectors(
    name: str, candidates: Sequence[str], *, chosen: str | None, available: Iterable[str], wanted: str = "vectors"
) -> str | None:
    """Return the one of `candidates` that holds the vectors; None when there is no candidate.

    `chosen` wins. One candidate is taken; of several, the only one whose name looks like vectors.

    Raises
    ------
    AmbiguousColumnsError
        When several could be meant.
    ParameterError
        When `chosen` is not among `available`.
    """
    if chosen is not None:
        if chosen in candidates:
            return chosen
        check_chosen(name, chosen, available)
        raise FormatError.in_file(name, f"the column chosen must hold {wanted}", found=chosen)
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    likely = [column for column in candidates if looks_like_vectors(column)]
    if len(likely) == 1:
        return likely[0]
    raise AmbiguousColumnsError(name, wanted=wanted, candidates=likely or candidates)


def looks_like_vectors(column: str) -> bool:
    """Tell whether a column of this name usually holds vectors."""
    return _LOOKS_LIKE_VECTORS.search(column.lower()) is not None


def choose_named(name: str, available: Sequence[str], known: Sequence[str], *, chosen: str | None) -> str | None:
    """Return `chosen`, else the first of the `known` names that is available in any case and with - for _; else None.

    Raises `ParameterError` when `chosen` is not available.
    """
    if chosen is not None:
        check_chosen(name, chosen, available)
        return chosen
    by_plain_name = {column.lower().replace("-", "_"): column for column in reversed(available)}
    return next((by_plain_name[plain] for plain in known if plain in by_plain_name), None)


def check_chosen(name: str, chosen: str, available: Iterable[str]) -> None:
    """Raise `ParameterError` when the file has no column `chosen`."""
    columns = list(available)
    if chosen not in columns:
        raise ParameterError(f"{name}: a column chosen must be one of the file's", found=chosen, hint=_listed(columns))


def metric_named(text: str) -> Metric | None:
    """Return the metric that a file calls `text`; None for one that is not scored here."""
    return _METRICS.get(text.strip().lower())


def _listed(columns: Sequence[str]) -> str:
    return "It has " + ", ".join(columns[:12]) + (" and more" if len(columns) > 12 else "")
