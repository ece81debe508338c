"""Reciprocal rank fusion against the published figures and its invariants."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ParameterError
from engine.migration.fusion import fuse

OLD, NEW = [101, 102, 103, 104, 105], [103, 106, 101, 107, 108]
RANKINGS = st.lists(st.lists(st.integers(0, 30), max_size=12, unique=True), min_size=1, max_size=3)


def _ids(*rankings: list[int], **options: object) -> list[int]:
    return [one.id for one in fuse(rankings, **options)]


def test_equal_weights_give_the_reference_order() -> None:
    """The two lists of the design fuse to its order with k = 60 and equal weights."""
    assert _ids(OLD, NEW) == [101, 103, 102, 106, 104, 107, 105, 108]


def test_weights_give_the_reference_order() -> None:
    """With weights 1 and 2 the second list leads, as in the design."""
    assert _ids(OLD, NEW, weights=(1, 2)) == [103, 101, 106, 107, 108, 102, 104, 105]


def test_scores_are_the_formula() -> None:
    """A score is the sum of weight / (k + rank), and the ranks it came from are kept."""
    fused = {one.id: one for one in fuse([OLD, NEW], weights=(1, 2))}
    assert math.isclose(fused[103].score, 1 / 63 + 2 / 61)
    assert fused[103].ranks == (3, 1)
    assert fused[108].ranks == (None, 5)


def test_a_k_of_zero_divides_by_the_rank() -> None:
    """With k = 0 the first of a list counts its whole weight and the second half of it."""
    assert [one.score for one in fuse([[7, 8]], k=0)] == [1.0, 0.5]


def test_a_ranking_of_weight_zero_adds_nothing() -> None:
    """Weight 0 leaves the other ranking exactly as it was: this is how one store answers alone."""
    assert _ids(OLD, NEW, weights=(1, 0)) == OLD
    assert _ids(OLD, NEW, weights=(0, 1)) == NEW


def test_a_repeated_id_counts_once_at_its_best_rank() -> None:
    """A ranking that repeats an id is read as if the later places were not there."""
    assert fuse([[5, 5, 6]]) == fuse([[5, 6]])


@given(rankings=RANKINGS)
def test_one_list_alone_keeps_its_order(rankings: list[list[int]]) -> None:
    """The fusion of a list with itself, however often, is that list."""
    first = rankings[0]
    assert _ids(*([first] * len(rankings))) == first


@given(rankings=RANKINGS, k=st.floats(0, 1000))
def test_every_id_comes_once_in_falling_score(rankings: list[list[int]], k: float) -> None:
    """The fusion holds every id of every ranking exactly once, best score first."""
    fused = fuse(rankings, k=k)
    assert sorted(one.id for one in fused) == sorted(set().union(*rankings))
    scores = [one.score for one in fused]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("k", [-1, math.nan, math.inf])
def test_a_wrong_k_is_refused(k: float) -> None:
    """A negative or infinite k is one sentence."""
    with pytest.raises(ParameterError, match="must be 0 or more"):
        fuse([OLD], k=k)


@pytest.mark.parametrize("weights", [(1,), (1, 2, 3), (1, -1), (math.nan, 1)])
def test_wrong_weights_are_refused(weights: tuple[float, ...]) -> None:
    """Too few or many weights, negative ones and NaN are one sentence each."""
    with pytest.raises(ParameterError, match="weight"):
        fuse([OLD, NEW], weights=weights)
