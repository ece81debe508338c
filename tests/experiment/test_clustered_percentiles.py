"""Latency percentiles by user against the plain ones, against coverage in simulation, and where data is too thin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ParameterError
from engine.experiment.clustered_percentiles import (
    clustered_percentiles,
    compare_percentiles,
    one_sided_bound,
    percentile_non_inferiority,
)
from engine.tradeoff.percentiles import percentile


def latencies(rng, n_users, rows_a_user, *, between=0.5, scale=100.0):
    """Draw log-normal latencies float32 (n,) of users who are slow or fast as a whole, with their users int32."""
    slow = rng.normal(0, between, size=n_users)
    user = np.repeat(np.arange(n_users, dtype=np.int32), rows_a_user)
    return (scale * np.exp(slow[user] + rng.normal(0, 0.4, size=len(user)))).astype(np.float32), user


@pytest.mark.parametrize("n", [368, 1_000, 10_000])
def test_one_row_a_user_is_the_plain_interval(n):
    """With one row a user the ranks are those of independent samples: 9,880 and 9,920 for p99 of 10,000."""
    values = np.random.default_rng(1).permutation(np.arange(1, n + 1)).astype(np.float32)
    found = clustered_percentiles(values, np.arange(n, dtype=np.int32), n_users=n, shares=(0.99,))[0]
    plain = percentile(values, 0.99)
    assert (found.low, found.value, found.high) == (plain.low, plain.value, plain.high)
    assert found.n_effective == pytest.approx(n, rel=0.01)
    if n == 10_000:
        assert (found.low, found.high) == (9_880, 9_920)


def test_below_368_effective_rows_p99_has_no_two_sided_limit():
    """1,000 rows of 50 users who differ count as fewer than 368: p99 has a value, no interval, and says why."""
    values, user = latencies(np.random.default_rng(2), 50, 20, between=2.0)
    p50, p99 = clustered_percentiles(values, user, n_users=50, shares=(0.5, 0.99))
    assert p99.value == np.sort(values)[989]
    assert (p99.low, p99.high) == (None, None)
    assert p99.reason.startswith("p99 has no two-sided limit below 368 samples; 1,000 rows of 50 users count as ")
    assert p50.low < p50.value < p50.high


def test_too_few_rows_say_so_too():
    """367 independent rows have no p99 interval either."""
    found = clustered_percentiles(
        np.arange(367, dtype=np.float32), np.arange(367, dtype=np.int32), n_users=367, shares=(0.99,)
    )[0]
    assert found.reason == "p99 has no two-sided limit below 368 samples; there are 367"


def test_intervals_cover_the_truth_by_user_and_not_by_row():
    """Over 300 draws of 100 users with 20 rows, p50 is covered 95 % of the time by user, under 75 % by row."""
    rng = np.random.default_rng(3)
    by_user, by_row = [], []
    for _ in range(300):
        values, user = latencies(rng, 100, 20)
        found = clustered_percentiles(values, user, n_users=100, shares=(0.5,))[0]
        plain = percentile(values, 0.5)
        by_user.append(found.low <= 100 <= found.high)
        by_row.append(plain.low <= 100 <= plain.high)
    assert np.mean(by_user) == pytest.approx(0.95, abs=0.03)
    assert np.mean(by_row) < 0.75


def test_design_effect_is_that_of_repeated_rows():
    """Ten copies of every user's only row are worth no more than the one: the design effect is 10."""
    values = np.random.default_rng(4).exponential(size=2_000).astype(np.float32)
    user = np.arange(2_000, dtype=np.int32)
    once = clustered_percentiles(values, user, n_users=2_000)
    copied = clustered_percentiles(np.repeat(values, 10), np.repeat(user, 10), n_users=2_000)
    for alone, ten in zip(once, copied, strict=True):
        assert ten.design_effect == pytest.approx(10, rel=0.01)
        assert ten.value == alone.value
        ranks = np.searchsorted(np.sort(values), [alone.low, ten.low, alone.high, ten.high])
        assert max(abs(ranks[0] - ranks[1]), abs(ranks[2] - ranks[3])) <= 1


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.integers(0, 20), min_size=1, max_size=200),
    n_users=st.integers(1, 40),
    share=st.sampled_from([0.05, 0.5, 0.95]),
)
def test_bounds_are_values_around_the_estimate(values, n_users, share):
    """With any ties and any users, the estimate is the plain percentile and the bounds are rows around it."""
    array = np.array(values, dtype=np.float32)
    user = (np.arange(len(array)) % n_users).astype(np.int32)
    found = clustered_percentiles(array, user, n_users=n_users, shares=(share,))[0]
    assert found.value == percentile(array, share).value
    assert found.design_effect >= 1
    assert found.n_users == min(n_users, len(array))
    if found.low is None:
        assert found.reason
    else:
        assert found.low <= found.value <= found.high
        assert {found.low, found.high} <= set(array.tolist())


def test_missing_values_are_no_rows():
    """NaN latencies change nothing but the users seen, and the caller's array stays as it was."""
    values, user = latencies(np.random.default_rng(5), 60, 10)
    with_gaps, users = np.concatenate([values, [np.nan] * 7]).astype(np.float32), np.concatenate([user, [60] * 7])
    kept = with_gaps.copy()
    found = clustered_percentiles(with_gaps, users.astype(np.int32), n_users=61)
    assert found == clustered_percentiles(values, user, n_users=60)
    np.testing.assert_array_equal(with_gaps, kept)


def test_one_user_and_no_row_have_no_interval():
    """All rows of one user tell nothing about others; no row at all has no percentile."""
    one = clustered_percentiles(np.arange(500, dtype=np.float32), np.zeros(500, np.int32), n_users=1, shares=(0.5,))[0]
    assert (one.value, one.low, one.reason) == (249, None, "p50 has no interval, as all rows are of one user")
    none = clustered_percentiles(np.zeros(0, np.float32), np.zeros(0, np.int32), n_users=1, shares=(0.5,))[0]
    assert (none.value, none.low, none.reason) == (None, None, "p50 needs at least one row")


def pair(rng, *, factor, n_users=800):
    """Return p95 of a control and of a treatment that takes `factor` times as long."""
    arms = (latencies(rng, n_users, 10), latencies(rng, n_users, 10, scale=100.0 * factor))
    return [clustered_percentiles(*arm, n_users=n_users, shares=(0.95,))[0] for arm in arms]


def test_relative_change_covers_the_truth():
    """Over 300 pairs of 60 users the interval of the change of p50 holds the true halving 95 % of the time."""
    rng = np.random.default_rng(6)
    covered = []
    for _ in range(300):
        arms = latencies(rng, 60, 15), latencies(rng, 60, 15, scale=50.0)
        control, treatment = (clustered_percentiles(*arm, n_users=60, shares=(0.5,))[0] for arm in arms)
        change = compare_percentiles(control, treatment)
        assert change.low <= change.relative_change <= change.high
        covered.append(change.low <= -0.5 <= change.high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


def test_doubled_latency_is_harmful_and_halved_safe():
    """At a margin of 10 % twice the latency is shown to be harmful, half of it safe; p-values and bounds agree."""
    rng = np.random.default_rng(7)
    for factor, is_safe in ((2.0, False), (0.5, True)):
        change = compare_percentiles(*pair(rng, factor=factor))
        verdict = percentile_non_inferiority(change, margin=0.1)
        assert (verdict.p_value < 0.001) == is_safe
        assert (verdict.p_harmful < 0.001) == (not is_safe)
        bound = one_sided_bound(change, side="high" if is_safe else "low")
        assert (bound < 0.1) == is_safe
        assert change.low < bound < change.high


def test_p_value_is_half_of_alpha_where_the_bound_is_the_margin():
    """With the margin laid on the upper bound of a 95 % interval, the one-sided p-value is .025."""
    change = compare_percentiles(*pair(np.random.default_rng(8), factor=1.0))
    assert percentile_non_inferiority(change, margin=change.high).p_value == pytest.approx(0.025)
    assert one_sided_bound(change, alpha=0.025) == pytest.approx(change.high)


def test_exchanged_arms_invert_the_change():
    """Treatment over control is the inverse of control over treatment, bounds exchanged."""
    control, treatment = pair(np.random.default_rng(9), factor=1.3)
    there, back = compare_percentiles(control, treatment), compare_percentiles(treatment, control)
    assert (1 + there.relative_change) * (1 + back.relative_change) == pytest.approx(1)
    assert (1 + there.low) * (1 + back.high) == pytest.approx(1)


def test_an_arm_without_interval_has_no_change_interval():
    """The reason names the arm; a latency of 0 has no relative change."""
    values, user = latencies(np.random.default_rng(10), 100, 10)
    enough = clustered_percentiles(values, user, n_users=100, shares=(0.99,))[0]
    short = clustered_percentiles(values[:300], user[:300], n_users=100, shares=(0.99,))[0]
    change = compare_percentiles(enough, short)
    assert change.relative_change == pytest.approx(short.value / enough.value - 1)
    assert change.low is None
    assert change.reason.startswith("in the treatment p99 has no two-sided limit below 368")
    assert percentile_non_inferiority(change, margin=0.1).p_value is None
    assert one_sided_bound(change) is None
    median, zero = (
        clustered_percentiles(scale * values, user, n_users=100, shares=(0.5,))[0] for scale in (1, np.float32(0))
    )
    assert compare_percentiles(zero, median).reason == "in the control the interval of p50 is not positive and finite"


def test_refuses_rows_and_options_out_of_range():
    """Users out of range, arrays that do not fit, shares, confidences and margins out of range are refused."""
    values, user = np.arange(5, dtype=np.float32), np.arange(5, dtype=np.int32)
    for wrong, message in (
        ({"user": user + 1}, "users are numbered from 0 to 4; found 1 to 5"),
        ({"user": user - 1}, "users are numbered from 0 to 4; found -1 to 3"),
        ({"user": user[:3]}, "every value needs one user"),
        ({"shares": (1.0,)}, "share of a percentile"),
        ({"confidence": 95}, "confidence"),
    ):
        with pytest.raises(ParameterError, match=message):
            clustered_percentiles(**({"values": values, "user": user, "n_users": 5} | wrong))
    p50, p95 = clustered_percentiles(values, user, n_users=5, shares=(0.5, 0.95))
    with pytest.raises(ParameterError, match="same percentile at the same confidence; found p50 and p95"):
        compare_percentiles(p50, p95)
    with pytest.raises(ParameterError, match="margin of a percentile must be above 0"):
        percentile_non_inferiority(compare_percentiles(p50, p50), margin=0)
