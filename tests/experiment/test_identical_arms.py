"""2,000 A/A experiments with 35 daily looks: what each way of reading them gets wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.experiment.analysis import analyze
from engine.experiment.ratios import UserMoments, compare_ratios
from engine.experiment.sequential import (
    group_sequential_bounds,
    peeking_false_positive_rate,
    sequential_half_width,
)
from engine.experiment.traffic import simulate
from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings

EXPERIMENTS, DAYS, USERS_A_DAY = 2_000, 35, 50
_CLICK_RATES = np.array([0.02, 0.12, 0.4])  # users differ, so that the rows of one are alike


def _cumulative_arm(rng):
    """Return the cumulative moments (experiments, days) of an arm that gains 50 users a day, 1 to 10 queries each."""
    shape = (EXPERIMENTS, DAYS, USERS_A_DAY)
    queries = rng.integers(1, 11, size=shape, dtype=np.uint8)
    kind = rng.integers(0, 3, size=shape, dtype=np.uint8)
    clicks = np.zeros(shape, dtype=np.uint8)
    for number, rate in enumerate(_CLICK_RATES):
        chosen = kind == number
        clicks[chosen] = rng.binomial(queries[chosen], rate)
    x, y = clicks.astype(np.float32), queries.astype(np.float32)
    sums = [np.full(shape[:2], float(USERS_A_DAY)), x.sum(-1), y.sum(-1)]
    sums += [np.einsum("edu,edu->ed", *pair) for pair in ((x, x), (y, y), (x, y))]
    totals = [np.cumsum(values, axis=1, dtype=np.float64) for values in sums]
    names = ("n_users", "sum_x", "sum_y", "sum_xx", "sum_yy", "sum_xy")
    return UserMoments(**dict(zip(names, totals, strict=True)))


@pytest.fixture(scope="module")
def identical():
    """Return the comparison of two identical arms, (experiments, days) in each field, and the two arms."""
    rng = np.random.default_rng(20)
    control, treatment = _cumulative_arm(rng), _cumulative_arm(rng)
    return compare_ratios(control, treatment), control, treatment


def test_one_look_keeps_the_level(identical):
    """The fixed test, read once on the last day, calls 5 % ± 1 of identical arms different."""
    found, _, _ = identical
    assert np.mean(found.p_value[:, -1] < 0.05) == pytest.approx(0.05, abs=0.01)


def test_daily_looks_at_the_fixed_test_do_not(identical):
    """Read on each of 35 days and believed at the first significance, the same test is wrong 29 % of the time."""
    found, _, _ = identical
    wrong = np.mean((found.p_value < 0.05).any(axis=1))
    assert wrong == pytest.approx(peeking_false_positive_rate(DAYS), abs=0.02)


def test_daily_looks_at_the_anytime_valid_interval_do(identical):
    """The confidence sequence leaves out 0 on any of 35 days in at most 5 % of the experiments."""
    found, _, _ = identical
    half_width = sequential_half_width(found.se, found.n_users)
    assert np.mean((np.abs(found.difference) > half_width).any(axis=1)) <= 0.05
    relative = sequential_half_width(found.relative_se, found.n_users)
    assert np.mean((np.abs(found.relative_change) > relative).any(axis=1)) <= 0.05


def test_planned_looks_keep_the_level(identical):
    """Group-sequential bounds at 5 weekly looks spend 5 % ± 1.2 in all."""
    found, _, _ = identical
    weekly = np.abs(found.z[:, 6::7])
    assert np.mean((weekly > group_sequential_bounds(5)).any(axis=1)) == pytest.approx(0.05, abs=0.012)


def test_rows_taken_for_users_are_wrong_far_more_often(identical):
    """Counting every query as independent, the z-test calls identical arms different more than 10 % of the time."""
    _, control, treatment = identical
    (x0, n0), (x1, n1) = ((arm.sum_x[:, -1], arm.sum_y[:, -1]) for arm in (control, treatment))
    pooled = (x0 + x1) / (n0 + n1)
    z = (x1 / n1 - x0 / n0) / np.sqrt(pooled * (1 - pooled) * (1 / n0 + 1 / n1))
    assert np.mean(np.abs(z) > 1.959964) > 0.1


@pytest.mark.slow
def test_what_a_reader_sees_of_identical_arms_is_wrong_as_often_as_it_says():
    """In 250 simulated and analysed experiments the fixed band is off 0 as often as it should be, the other seldom."""
    arm = ArmNumbers(ctr=0.3)
    shape = TrafficSettings(
        control=arm, treatment=arm, n_users=20_000, queries_per_day=300, n_days=DAYS, user_exponent=0.2
    )
    last, any_day, anytime = [], [], []
    for seed in range(250):
        found = analyze(simulate(replace(shape, key=f"identical-{seed}", seed=seed)))
        assert found.verdict != "harmful"
        (clicks,) = (one for one in found.daily.metrics if one.key == "ctr")
        is_off = (clicks.low > 0) | (clicks.high < 0)
        last.append(is_off[-1])
        any_day.append(is_off.any())
        anytime.append(((clicks.anytime_low > 0) | (clicks.anytime_high < 0)).any())
    assert np.mean(last) == pytest.approx(0.05, abs=0.04)
    assert np.mean(any_day) == pytest.approx(found.peeking.false_positive_rate, abs=0.08)
    assert np.mean(anytime) <= 0.05
