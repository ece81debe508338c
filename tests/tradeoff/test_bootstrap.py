"""The paired bootstrap against SciPy, against draws done one by one, and at its edges."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from engine.errors import ParameterError
from engine.tradeoff.bootstrap import _count_chunks, bootstrap_means


def test_intervals_agree_with_scipy() -> None:
    """The percentile interval of a mean equals scipy.stats.bootstrap's within Monte Carlo error."""
    rng = np.random.default_rng(0)
    values = rng.beta(8, 2, size=(3, 200)).astype(np.float32)
    (resampled,) = bootstrap_means(values, seed=1)
    for column in range(3):
        expected = scipy.stats.bootstrap(
            (values[column],), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(2)
        )
        interval = resampled.interval(column)
        # A 2.5 % quantile of 10,000 draws from a normal has a standard error of .027 standard deviations; take four.
        tolerance = 4 * 0.027 * float(expected.standard_error) * np.sqrt(2)
        assert interval.low == pytest.approx(expected.confidence_interval.low, abs=tolerance)
        assert interval.high == pytest.approx(expected.confidence_interval.high, abs=tolerance)
        assert interval.mean == pytest.approx(values[column].mean(dtype=np.float64), abs=1e-9)


def test_ratio_intervals_agree_with_scipy() -> None:
    """The interval of a paired ratio of means equals scipy's paired percentile bootstrap within Monte Carlo error."""
    rng = np.random.default_rng(4)
    full = rng.beta(4, 4, size=150)
    reduced = np.clip(full * 0.9 + rng.normal(0, 0.05, 150), 0, 1)
    values = np.stack([reduced, full]).astype(np.float32)
    (resampled,) = bootstrap_means(values, seed=1)
    ratio = resampled.over(resampled.last())
    expected = scipy.stats.bootstrap(
        (values[0], values[1]),
        lambda a, b, axis: a.mean(axis=axis) / b.mean(axis=axis),
        n_resamples=10_000,
        paired=True,
        method="percentile",
        rng=np.random.default_rng(2),
    )
    tolerance = 4 * 0.027 * float(expected.standard_error) * np.sqrt(2)
    assert ratio.interval(0).low == pytest.approx(expected.confidence_interval.low, abs=tolerance)
    assert ratio.interval(0).high == pytest.approx(expected.confidence_interval.high, abs=tolerance)
    assert ratio.interval(0).mean == pytest.approx(values[0].mean() / values[1].mean(), abs=1e-6)
    assert ratio.interval(1).low == ratio.interval(1).high == 1.0


def test_every_resample_is_the_mean_of_its_draws() -> None:
    """Each resample mean equals the plain mean over the drawn queries, missing values left out."""
    rng = np.random.default_rng(5)
    values = rng.random((2, 40)).astype(np.float32)
    values[1, ::3] = np.nan
    (resampled,) = bootstrap_means(values, seed=9, n_resamples=1_000)
    counts = np.concatenate([chunk for _, chunk in _count_chunks(40, 1_000, 9)]).astype(int)
    assert (counts.sum(axis=1) == 40).all()
    for row in range(0, 1_000, 37):
        drawn = np.repeat(values.astype(np.float64), counts[row], axis=1)
        np.testing.assert_allclose(resampled.resamples[:, row], np.nanmean(drawn, axis=1), atol=1e-6)


def test_draws_are_uniform() -> None:
    """Every query is drawn equally often, within the binomial error of all draws together."""
    total = sum(counts.sum(axis=0) for _, counts in _count_chunks(50, 4_000, 3))
    expected, sd = 4_000, np.sqrt(4_000 * 50 * (1 / 50) * (49 / 50))
    assert np.abs(total - expected).max() < 5 * sd


def test_the_seed_alone_decides_the_resamples() -> None:
    """Equal seeds give equal intervals whatever other columns are beside them; another seed gives others."""
    rng = np.random.default_rng(6)
    values, others = rng.random((2, 100)).astype(np.float32), rng.random((3, 4, 100)).astype(np.float32)
    (alone,) = bootstrap_means(values, seed=5, n_resamples=1_000)
    beside, shaped = bootstrap_means(values, others, seed=5, n_resamples=1_000)
    (moved,) = bootstrap_means(values, seed=6, n_resamples=1_000)
    np.testing.assert_allclose(alone.resamples, beside.resamples, atol=1e-7)
    assert shaped.resamples.shape == (3, 4, 1_000)
    assert shaped.bounds.shape == (2, 3, 4)
    assert not np.allclose(alone.resamples, moved.resamples, atol=1e-4)


def test_columns_are_paired() -> None:
    """Two columns with a constant difference differ by it in every resample."""
    base = np.random.default_rng(7).random(300).astype(np.float32)
    (resampled,) = bootstrap_means(np.stack([base, base + np.float32(0.25)]), seed=0, n_resamples=1_000)
    np.testing.assert_allclose(resampled.resamples[1] - resampled.resamples[0], 0.25, atol=1e-6)


def test_a_constant_column_has_no_spread() -> None:
    """When every query has the same value the interval is that value, exactly."""
    (resampled,) = bootstrap_means(np.full((1, 5_000), 0.9, dtype=np.float32), seed=0, n_resamples=1_000)
    interval = resampled.interval(0)
    assert interval.low == interval.mean == interval.high
    assert interval.mean == pytest.approx(0.9, abs=1e-7)
    assert resampled.spread(0) == 0


def test_missing_values_are_left_out_not_counted_as_zero() -> None:
    """A column that is NaN for half the queries has the mean of the other half, and counts only those."""
    values = np.full((2, 100), 0.5, dtype=np.float32)
    values[1, :50] = np.nan
    (resampled,) = bootstrap_means(values, seed=0, n_resamples=1_000)
    assert resampled.n_values.tolist() == [100, 50]
    assert resampled.interval(1).mean == 0.5
    assert resampled.interval(1).low == 0.5


def test_a_column_without_values_has_no_interval() -> None:
    """All-NaN columns give NaN, and no warning; a single known value still has its own."""
    values = np.full((2, 50), np.nan, dtype=np.float32)
    values[1, 3] = 0.7
    (resampled,) = bootstrap_means(values, seed=0, n_resamples=1_000)
    assert np.isnan([resampled.means[0], *resampled.bounds[:, 0], resampled.spread(0)]).all()
    assert resampled.interval(1).low == pytest.approx(0.7, abs=1e-7)


def test_a_ratio_over_zero_is_undefined() -> None:
    """Retention of a full-dimension mean of zero is NaN, not infinite."""
    values = np.array([[0.5] * 40, [0.0] * 40], dtype=np.float32)
    (resampled,) = bootstrap_means(values, seed=0, n_resamples=1_000)
    assert np.isnan(resampled.over(resampled.last()).means).all()


def test_the_spread_is_the_standard_deviation_of_the_values() -> None:
    """The bootstrap's spread of a mean estimates the standard deviation of the per-query values."""
    values = np.random.default_rng(8).random((1, 500)).astype(np.float32)
    (resampled,) = bootstrap_means(values, seed=0)
    assert resampled.spread(0) == pytest.approx(values.std(), rel=0.05)


def test_chunks_do_not_change_with_the_number_of_queries_type() -> None:
    """More than 65,536 queries are drawn from the whole range."""
    drawn = np.concatenate([counts for _, counts in _count_chunks(70_000, 8, 0)])
    assert (drawn.sum(axis=1) == 70_000).all()
    assert drawn[:, 66_000:].sum() > 0


def test_too_few_resamples_are_refused() -> None:
    """Fewer than 1,000 resamples are refused with the number given."""
    with pytest.raises(ParameterError, match="at least 1000 resamples; found 10"):
        bootstrap_means(np.ones((1, 5), dtype=np.float32), seed=0, n_resamples=10)
