"""One query, searched now: its results at a reduced dimension beside those at the full one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.tradeoff.queries.losses import rank_side_by_side

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from engine.scoring.prefix_store import PrefixStore
    from engine.tradeoff.queries.losses import RankedDocument

_DEPTH = 100


@dataclass(frozen=True, kw_only=True)
class SearchedBeside:
    """The top k of one query at the full dimension and at `dim`, side by side, best first.

    Ranks count from 1 and are told up to `depth` of either list. Scores of different dims are not comparable.
    """

    dim: int
    full_dim: int
    k: int
    depth: int
    full: tuple[RankedDocument, ...]
    reduced: tuple[RankedDocument, ...]


def search_beside(
    store: PrefixStore, query: npt.NDArray[np.float32], dim: int, *, k: int = 10, depth: int = _DEPTH
) -> SearchedBeside:
    """Search `store` for `query` (D,) at `dim` and at the full dimension, and say where each document moved.

    Raises
    ------
    ParameterError
        When `k` is below 1, or the store was not built for `dim` or the full dimension.
    VectorError
        When the query is not of dimension D, or has NaN or infinite components.
    """
    full = store.search(query, max(k, depth), store.full_dim)
    reduced = store.search(query, max(k, depth), dim)
    pair = rank_side_by_side(full.ids, full.scores, reduced.ids, reduced.scores, k=k)
    return SearchedBeside(
        dim=dim,
        full_dim=store.full_dim,
        k=len(pair.full),
        depth=len(full.ids),
        full=pair.full,
        reduced=pair.reduced,
    )
