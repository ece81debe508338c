"""Storage options compared query by query."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.errors import ParameterError
from engine.tradeoff.size.comparison import compare, compare_equal_bytes
from engine.tradeoff.size.footprint import FootprintResult, StorageOption, measure_footprint

if TYPE_CHECKING:
    from engine.embeddings import EmbeddingSet


@pytest.fixture
def result(embedding_set: EmbeddingSet) -> FootprintResult:
    """Measure a small set at dims whose bytes meet: int8 at 32 is float32 at 8, float16 at 16 too."""
    return measure_footprint(embedding_set, (4, 8, 16), k=5, shortlist=20, n_resamples=2000)


def test_equal_bytes_pairs_are_all_those_that_meet(result: FootprintResult) -> None:
    """Every smaller code stands beside the float32 of exactly its bytes, and nothing else is compared."""
    pairs = {(c.a.dtype, c.a.dim, c.b.dtype, c.b.dim) for c in compare_equal_bytes(result)}
    assert pairs == {
        ("float16", 8, "float32", 4),
        ("float16", 16, "float32", 8),
        ("float16", 32, "float32", 16),
        ("int8", 16, "float32", 4),
        ("int8", 32, "float32", 8),
    }
    assert all(c.memory_bytes_a == c.memory_bytes_b for c in compare_equal_bytes(result))
    assert not any(c.a.rerank or c.b.rerank for c in compare_equal_bytes(result))


def test_the_difference_is_that_of_the_paired_values(result: FootprintResult) -> None:
    """The mean is the mean of per-query differences, and its interval the bootstrap of those, not of two means."""
    a, b = StorageOption(dtype="int8", dim=32), StorageOption(dtype="float32", dim=8)
    found = compare(result, a, b)
    values = result.recall[result.position(a)].astype(float) - result.recall[result.position(b)]
    assert found.difference.mean == pytest.approx(values.mean(), abs=1e-6)
    draws = np.random.default_rng(1).integers(0, len(values), (4000, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), (0.025, 0.975))
    assert found.difference.low == pytest.approx(low, abs=0.02)
    assert found.difference.high == pytest.approx(high, abs=0.02)
    assert (found.winner, found.n_queries) == ("a", 60)
    assert compare(result, b, a).winner == "b"
    assert compare(result, b, a).difference.mean == pytest.approx(-found.difference.mean)


def test_an_option_against_itself_is_undecided(result: FootprintResult) -> None:
    """No difference has no winner, and its interval is exactly 0."""
    option = StorageOption(dtype="int8", dim=8, rerank=True)
    found = compare(result, option, option, quantity="ndcg")
    assert (found.difference.low, found.difference.high, found.winner) == (0, 0, "undecided")


def test_what_was_not_measured_cannot_be_compared(result: FootprintResult, embedding_set: EmbeddingSet) -> None:
    """Unmeasured options, unknown quantities and nDCG without judgements are refused; no pair is no error."""
    with pytest.raises(ParameterError, match="int8 at 5 with rerank"):
        compare(result, StorageOption(dtype="int8", dim=5, rerank=True), StorageOption(dtype="int8", dim=8))
    with pytest.raises(ParameterError, match="recall, ndcg; found mrr"):
        compare_equal_bytes(result, quantity="mrr")
    with pytest.raises(ParameterError, match="judgements"):
        compare_equal_bytes(replace(result, ndcg=None), quantity="ndcg")
    assert compare_equal_bytes(measure_footprint(embedding_set, (24,), n_resamples=1000, rerank=False)) == ()
