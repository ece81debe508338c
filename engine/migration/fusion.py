"""Weighted reciprocal rank fusion: one ranking out of several whose scores cannot be compared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from engine.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

Id = TypeVar("Id", bound="Hashable")

DEFAULT_K = 60.0
"""The constant of Cormack, Clarke & Büttcher 2009; larger ones flatten the lead of the first ranks."""


@dataclass(frozen=True, kw_only=True)
class Fused(Generic[Id]):
    """One result of a fusion: its `score`, and its rank (from 1) in every ranking, None where it is absent."""

    id: Id
    score: float
    ranks: tuple[int | None, ...]


def fuse(
    rankings: Sequence[Sequence[Id]], *, weights: Sequence[float] | None = None, k: float = DEFAULT_K
) -> tuple[Fused[Id], ...]:
    """Fuse `rankings` (best first) by ``sum of weight / (k + rank)`` over those that hold an id, rank from 1.

    Equal scores keep the order of the first ranking, then of the next. A ranking of weight 0 adds nothing, not even its
    ids; of an id that a ranking repeats the first place counts. Source: Cormack, Clarke & Büttcher 2009, "Reciprocal
    rank fusion outperforms Condorcet and individual rank learning methods"; `k` = 0 gives ``weight / rank``.

    >>> [one.id for one in fuse([[101, 102, 103], [103, 106]])]
    [103, 101, 102, 106]

    Raises
    ------
    ParameterError
        When `k` or a weight is negative or not finite, or there is not one weight a ranking.
    """
    if not (math.isfinite(k) and k >= 0):
        raise ParameterError("the k of rank fusion must be 0 or more", found=k, hint=f"{DEFAULT_K:g} is usual")
    weights = _checked_weights(weights, len(rankings))
    ranks: dict[Id, list[int | None]] = {}
    for place, (ranking, weight) in enumerate(zip(rankings, weights, strict=True)):
        if weight == 0:
            continue
        for rank, found in enumerate(dict.fromkeys(ranking), start=1):
            ranks.setdefault(found, [None] * len(rankings))[place] = rank
    fused = [Fused(id=found, score=_score(places, weights, k), ranks=tuple(places)) for found, places in ranks.items()]
    # `ranks` lists the first ranking's ids before those that only later ones hold, and sorting keeps equals in order.
    return tuple(sorted(fused, key=lambda one: -one.score))


def _score(places: Sequence[int | None], weights: Sequence[float], k: float) -> float:
    return math.fsum(weight / (k + rank) for weight, rank in zip(weights, places, strict=True) if rank is not None)


def _checked_weights(weights: Sequence[float] | None, n_rankings: int) -> tuple[float, ...]:
    checked = (1.0,) * n_rankings if weights is None else tuple(weights)
    if len(checked) != n_rankings:
        raise ParameterError("every ranking needs one weight", found=f"{len(checked)} for {n_rankings} rankings")
    for weight in checked:
        if not (math.isfinite(weight) and weight >= 0):
            raise ParameterError("the weight of a ranking must be 0 or more", found=weight)
    return checked
