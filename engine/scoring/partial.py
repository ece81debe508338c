"""The best of a stretch of corpus rows, and how the best of neighbouring stretches become those of both."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Float32 = npt.NDArray[np.float32]
    Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class PartialTopK:
    """The k best of `n_docs` corpus rows from `first_row` on, for q queries at D dims.

    `ids` int64 (rows of the whole corpus), `ranking` and `full_ranking` float32 are (D, q, k), best first, lower row
    first among equals. They rank as scores do but lack the terms that are the same for all documents of a query:
    putting these back may round two different scores to one, so it comes last. `zero_docs` counts zero prefixes a dim.
    """

    first_row: int
    n_docs: int
    ids: Int64
    ranking: Float32
    full_ranking: Float32
    zero_docs: tuple[int, ...]

    @property
    def k(self) -> int:
        """How many documents are kept for a query."""
        return int(self.ids.shape[2])


def merge_topk(parts: Sequence[PartialTopK]) -> PartialTopK:
    """Return the k best of stretches that follow each other, in order: higher first, lower row first among equals.

    Raises
    ------
    ParameterError
        When one does not begin where the one before it ends, or keeps another number of documents.
    """
    if not parts:
        raise ParameterError("there must be stretches to merge", found="none")
    for before, after in pairwise(parts):
        if after.first_row != before.first_row + before.n_docs or after.k != before.k:
            raise ParameterError(
                "stretches of a corpus must follow each other and keep as many documents",
                found=f"row {before.first_row + before.n_docs:,} and {after.first_row:,}, k {before.k} and {after.k}",
            )
    ids, ranking, full = (np.empty_like(getattr(parts[0], name)) for name in ("ids", "ranking", "full_ranking"))
    for dim in range(len(ids)):
        # Stable, and the stretches are in row order: the lower row comes first among equals.
        together = np.concatenate([part.ranking[dim] for part in parts], axis=1)
        best = np.argsort(-together, axis=1, kind="stable")[:, : parts[0].k]
        ranking[dim] = np.take_along_axis(together, best, axis=1)
        ids[dim] = np.take_along_axis(np.concatenate([part.ids[dim] for part in parts], axis=1), best, axis=1)
        every_full = np.concatenate([part.full_ranking[dim] for part in parts], axis=1)
        full[dim] = np.take_along_axis(every_full, best, axis=1)
    return PartialTopK(
        first_row=parts[0].first_row,
        n_docs=sum(part.n_docs for part in parts),
        ids=ids,
        ranking=ranking,
        full_ranking=full,
        zero_docs=tuple(int(count) for count in np.sum([part.zero_docs for part in parts], axis=0)),
    )
