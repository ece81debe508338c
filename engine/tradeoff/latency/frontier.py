"""Which configurations no other one beats on both cost and quality."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def pareto(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Return the positions of the `points` (cost, quality) on the Pareto frontier, cheapest first.

    A point is on it when no other is at most as expensive and at least as good, and better in one of the two. Equal
    points stand or fall together; a point with a NaN is never on it.

    >>> pareto([(1.0, 0.8), (2.0, 0.7), (3.0, 0.95)])
    (0, 2)
    """
    known = [i for i, (cost, quality) in enumerate(points) if not (math.isnan(cost) or math.isnan(quality))]
    kept: list[int] = []
    for i in sorted(known, key=lambda i: (points[i][0], -points[i][1], i)):
        if not kept or points[i][1] > points[kept[-1]][1] or tuple(points[i]) == tuple(points[kept[-1]]):
            kept.append(i)
    return tuple(kept)
