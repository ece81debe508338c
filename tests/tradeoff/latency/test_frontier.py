"""The Pareto frontier against brute force."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from engine.tradeoff.latency.frontier import pareto

# Few distinct values, so that ties in one or both are common.
VALUES = st.one_of(st.integers(0, 5).map(float), st.sampled_from([math.inf, -math.inf, math.nan]))


def brute_force(points):
    """Keep the points that no other one dominates, by comparing all pairs."""

    def dominates(one, other):
        return one[0] <= other[0] and one[1] >= other[1] and (one[0] < other[0] or one[1] > other[1])

    known = [i for i, point in enumerate(points) if not any(math.isnan(value) for value in point)]
    return {i for i in known if not any(dominates(points[j], points[i]) for j in known)}


@given(st.lists(st.tuples(VALUES, VALUES), max_size=30))
def test_equals_brute_force(points):
    """The frontier holds exactly the points that no other dominates, each once, cheapest first."""
    found = pareto(points)
    assert set(found) == brute_force(points)
    assert len(set(found)) == len(found)
    assert [points[i][0] for i in found] == sorted(points[i][0] for i in found)


def test_equal_points_stand_together():
    """Two configurations that cost and keep the same are both on the frontier, in the order given."""
    assert pareto([(2.0, 0.9), (1.0, 0.5), (2.0, 0.9), (3.0, 0.9)]) == (1, 0, 2)


def test_no_points_have_no_frontier():
    """Nothing in, nothing out; a point that was not measured is never on it."""
    assert pareto([]) == ()
    assert pareto([(math.nan, 1.0), (1.0, math.nan)]) == ()
