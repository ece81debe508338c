"""The trend of recall with corpus size, on values whose trend is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ParameterError
from engine.tradeoff.bootstrap import bootstrap_means
from engine.tradeoff.growth.trend import Trend, fit_trend

SIZES = (200, 400, 800, 1_600, 3_200, 6_400, 12_800)


def _line(sizes: tuple[int, ...], intercept: float, slope: float) -> np.ndarray:
    """Return the shares of a known trend: its logit at size 1 and its change with every tenfold corpus."""
    return 1 / (1 + np.exp(-(intercept + slope * np.log10(sizes))))


def _fit(shares: np.ndarray, *, n_trials: int = 10**12, n_resamples: int = 3) -> Trend:
    return fit_trend(SIZES, shares, np.repeat(shares[..., None], n_resamples, axis=2), n_trials=n_trials)


def test_a_known_trend_is_recovered_and_extrapolated_exactly() -> None:
    """Noiseless shares on known lines give back their slopes, and their values fifty times further out."""
    shares = np.stack([_line(SIZES, 4.0, -0.8), _line(SIZES, 1.0, -0.1), _line(SIZES, 0.5, 0.0)], axis=1)
    trend = _fit(shares)
    np.testing.assert_allclose(trend.slopes, [-0.8, -0.1, 0], atol=1e-6)
    bands = trend.predict((SIZES[-1] * 50,))
    expected = [_line((SIZES[-1] * 50,), *line)[0] for line in ((4.0, -0.8), (1.0, -0.1), (0.5, 0.0))]
    np.testing.assert_allclose(bands.mean[:, 0], expected, atol=1e-6)
    np.testing.assert_allclose(bands.high - bands.low, 0, atol=1e-5)


def test_intervals_cover_what_would_be_measured_at_twenty_times_the_size() -> None:
    """Of 400 noisy samples of one trend, the 95 % interval holds at least 94 % of its true values."""
    rng = np.random.default_rng(0)
    n_queries, columns = 150, 400
    # Queries differ in difficulty, and each keeps its own at every size, as nested subsamples make it.
    difficulty = rng.normal(0, 1, size=(columns, n_queries))
    logits = 2.0 - 0.5 * np.log10(SIZES)[:, None, None] + difficulty
    values = (rng.binomial(10, 1 / (1 + np.exp(-logits))) / 10).astype(np.float32)
    (means,) = bootstrap_means(values, seed=1, n_resamples=1_000)
    bands = fit_trend(SIZES, means.means, means.resamples, n_trials=10 * n_queries).predict((SIZES[-1] * 20,))
    at = 2.0 - 0.5 * np.log10(SIZES[-1] * 20) + rng.normal(0, 1, size=1_000_000)
    truth = (1 / (1 + np.exp(-at))).mean()
    covered = (bands.low[:, 0] <= truth) & (truth <= bands.high[:, 0])
    assert covered.mean() >= 0.94
    assert abs(bands.mean[:, 0].mean() - truth) < 0.01
    assert (bands.high - bands.low).mean() < 0.3


@settings(deadline=None)
@given(st.lists(st.floats(0.01, 0.99), min_size=9, max_size=9))
def test_a_widened_interval_holds_what_it_was_widened_for(shares: list[float]) -> None:
    """Whatever was held back, the interval widened by `widening_for` holds it."""
    fitted, held = np.array(shares[:7])[:, None], np.array(shares[7:])[:, None]
    trend = _fit(fitted, n_trials=1_000)
    factor = trend.widening_for((25_600, 51_200), held)
    assert factor[0] >= 1
    resamples = np.repeat(fitted[..., None], 3, axis=2)
    bands = fit_trend(SIZES, fitted, resamples, n_trials=1_000, widened_by=factor).predict((25_600, 51_200))
    assert (bands.low[0] <= held[:, 0] + 1e-6).all()
    assert (held[:, 0] <= bands.high[0] + 1e-6).all()


def test_where_the_trend_bends_the_interval_spans_both_lines() -> None:
    """A trend that flattens is predicted by its larger half, and the interval reaches to the line through all."""
    flattening = np.maximum(_line(SIZES, 6.0, -2.0), _line((1_600,), 6.0, -2.0))
    bands = _fit(flattening[:, None]).predict((SIZES[-1] * 10,))
    straight = fit_trend(
        SIZES[:4], flattening[:4, None], np.repeat(flattening[:4, None, None], 3, axis=2), n_trials=10**12
    )
    assert bands.mean[0, 0] == pytest.approx(flattening[-1], abs=1e-6)
    assert bands.low[0, 0] < 0.5 * flattening[-1]
    assert straight.predict((SIZES[-1] * 10,)).mean[0, 0] < bands.low[0, 0] * 2


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_without_a_single_miss_or_hit_keep_an_interval(share: float) -> None:
    """Nothing scattered, and still three trials could have gone the other way."""
    bands = _fit(np.full((7, 1), share), n_trials=1_000).predict((SIZES[-1],))
    assert bands.mean[0, 0] == pytest.approx(share)
    assert 0 <= bands.low[0, 0] <= bands.mean[0, 0] <= bands.high[0, 0] <= 1
    assert bands.high[0, 0] - bands.low[0, 0] == pytest.approx(3 / 1_000, rel=1e-6)


def test_two_sizes_make_no_trend() -> None:
    """Fewer than three sizes are refused."""
    with pytest.raises(ParameterError, match="at least 3 sizes; found 2"):
        fit_trend((1, 2), np.ones((2, 1)), np.ones((2, 1, 3)), n_trials=10)
