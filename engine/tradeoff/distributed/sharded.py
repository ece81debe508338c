"""Sets whose corpus stays on the workers, as a sweep sees them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.embeddings import EmbeddingSet
from engine.embeddings.fingerprint import fingerprint

if TYPE_CHECKING:
    from engine.embeddings import Vectors

_OF_A_SET = ("queries", "corpus_ids", "query_ids", "judgements", "query_corpus_rows", "metric", "recipe")


@dataclass(frozen=True, eq=False, kw_only=True)
class SetOnWorkers(EmbeddingSet):
    """A set whose `corpus` has the shape of what the workers hold, and none of its values.

    `digest` stands for the sha256 until the workers have read the rows.
    """

    digest: str = field(default="")

    @property
    def sha256(self) -> str:
        """The digest that was given."""
        return self.digest

    @classmethod
    def of(cls, given: EmbeddingSet) -> SetOnWorkers:
        """Return `given` without the values of its corpus, and with the digest that it already has, if any."""
        values = {one.name: getattr(given, one.name) for one in fields(EmbeddingSet)}
        values["corpus"] = no_rows(given.n_docs, given.dim)
        return cls(**values, digest=given.__dict__.get("sha256", ""))


def no_rows(n: int, dim: int) -> Vectors:
    """Return an array of shape (n, dim) that takes no memory."""
    return np.broadcast_to(np.float32(0), (n, dim))


def digest_facts(given: EmbeddingSet) -> dict[str, Any]:
    """Return the fields beside the corpus that the digest of a set depends on."""
    return {name: getattr(given, name) for name in _OF_A_SET}


def digest_of_tiles(given: EmbeddingSet, tiles: bytes) -> str:
    """Return the digest of a set read in parts: over the sha256 of each tile of rows, and everything beside them."""
    judged = given.judgements
    beside = [] if judged is None else [judged.query_rows, judged.doc_rows, judged.grades]
    shape = f"parts:{given.n_docs}:{given.dim}:{hashlib.sha256(tiles).hexdigest()}"
    return fingerprint(
        shape, given.queries, given.query_ids, given.query_corpus_rows, *beside, given.metric, given.recipe
    )
