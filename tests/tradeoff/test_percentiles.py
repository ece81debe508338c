"""Order-statistic intervals of percentiles against published ranks, the binomial distribution and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from engine.errors import ParameterError
from engine.tradeoff.percentiles import percentile, percentile_ranks


def test_published_ranks_of_p99():
    """Of 10,000 samples the 9,900th estimates p99, and the 9,880th and 9,920th bound it."""
    ranks = percentile_ranks(10_000, 0.99)
    assert (ranks.low, ranks.rank, ranks.high, ranks.reason) == (9_880, 9_900, 9_920, None)


@pytest.mark.parametrize(("share", "fewest"), [(0.99, 368), (0.95, 72), (0.5, 6), (0.01, 368)])
def test_too_few_samples_have_no_two_sided_limit(share, fewest):
    """p99 has its first interval at 368 samples, p95 at 72, the median at 6; below that the reason names the number."""
    enough, short = percentile_ranks(fewest, share), percentile_ranks(fewest - 1, share)
    assert enough.low is not None
    assert enough.high is not None
    assert enough.low == 1 or enough.high == fewest
    assert (short.low, short.high) == (None, None)
    assert f"below {fewest} samples; there are {fewest - 1}" in short.reason


@settings(max_examples=100, deadline=None)
@given(n=st.integers(1, 3000), share=st.floats(0.005, 0.995), confidence=st.sampled_from([0.8, 0.95, 0.99]))
def test_ranks_are_the_tightest_that_the_binomial_allows(n, share, confidence):
    """Each side keeps at most half the error, the next rank inwards would not, and no limit means none exists."""
    tail = (1 - confidence) / 2
    ranks = percentile_ranks(n, share, confidence=confidence)
    if ranks.low is None:
        assert binom.cdf(0, n, share) > tail * (1 - 1e-9) or binom.sf(n - 1, n, share) > tail * (1 - 1e-9)
        return
    assert 1 <= ranks.low <= ranks.rank <= ranks.high <= n
    assert binom.cdf(ranks.low - 1, n, share) <= tail * (1 + 1e-9)
    assert binom.cdf(ranks.low, n, share) > tail * (1 - 1e-9)
    assert binom.sf(ranks.high - 1, n, share) <= tail * (1 + 1e-9)
    assert binom.sf(ranks.high - 2, n, share) > tail * (1 - 1e-9)


def test_intervals_cover_the_truth_as_often_as_promised():
    """Over 2,000 draws of 500 exponential samples the interval of p95 holds the true one at least 95 % of the time."""
    rng = np.random.default_rng(5)
    truth = -np.log(1 - 0.95)
    found = [percentile(samples, 0.95) for samples in rng.exponential(size=(2_000, 500))]
    covered = np.mean([p.low <= truth <= p.high for p in found])
    assert 0.945 <= covered <= 0.985


def test_values_are_the_samples_of_those_ranks():
    """Of the shuffled numbers 1..1000 a percentile and its bounds are the ranks themselves."""
    samples = np.random.default_rng(1).permutation(np.arange(1, 1001)).astype(float)
    ranks, found = percentile_ranks(1000, 0.95), percentile(samples, 0.95)
    assert (found.low, found.value, found.high) == (ranks.low, ranks.rank, ranks.high)
    assert (found.value, found.n, found.share, found.reason) == (950, 1000, 0.95, None)


def test_a_value_without_a_limit_says_why():
    """The p99 of 100 samples is the 99th, without bounds and with the reason."""
    found = percentile(np.arange(1.0, 101.0), 0.99)
    assert (found.value, found.low, found.high) == (99, None, None)
    assert found.reason == "p99 has no two-sided limit below 368 samples; there are 100"


def test_a_product_that_rounds_up_does_not_shift_the_rank():
    """The 29th percentile of 100 samples is the 29th, though 0.29 · 100 is 28.999999999999996 or 29.000000000000004."""
    assert percentile_ranks(100, 0.29).rank == 29
    assert percentile_ranks(100, 0.07).rank == 7


@pytest.mark.parametrize(
    ("n", "share", "confidence"), [(0, 0.5, 0.95), (5, 0.0, 0.95), (5, 1.0, 0.95), (5, float("nan"), 0.95), (5, 0.5, 1)]
)
def test_refuses_what_is_no_percentile(n, share, confidence):
    """No samples, and shares or confidences outside 0..1, are refused."""
    with pytest.raises(ParameterError, match="must be between 0 and 1|at least one sample"):
        percentile_ranks(n, share, confidence=confidence)
