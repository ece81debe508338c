"""Simulated traffic has the rates that were stated, is the same for a seed, and shows the faults put into it."""

from dataclasses import replace

import numpy as np
import pytest

from engine.errors import CancelledError, ParameterError
from engine.experiment.assignment import assign
from engine.experiment.faults import Fault
from engine.experiment.settings import Stage
from engine.experiment.traffic import simulate
from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings
from engine.experiment.user_sums import sum_by_user

CONTROL = ArmNumbers(ctr=0.12, conversion=0.03, error_rate=0.002, p50_ms=40, p99_ms=120)
TREATMENT = ArmNumbers(ctr=0.10, conversion=0.02, error_rate=0.01, p50_ms=12, p99_ms=40)
SETTINGS = TrafficSettings(
    control=CONTROL, treatment=TREATMENT, n_users=20_000, queries_per_day=40_000, n_days=5, seed=3
)


@pytest.fixture(scope="module")
def events():
    """Simulate 200,000 queries of two arms that differ in everything."""
    return simulate(SETTINGS)


def rate(events, name, arm, days=None):
    """Return the mean of a column over the rows of an arm, and of some days."""
    rows = events.arm == arm
    return getattr(events, name)[rows if days is None else rows & np.isin(events.day, days)].mean()


def test_rates_are_those_stated(events):
    """CTR, conversion and error rate of both arms lie within five standard errors, by user, of what was stated."""
    for arm, stated in enumerate((CONTROL, TREATMENT)):
        n_rows = (events.arm == arm).sum()
        for name, share in (("clicked", stated.ctr), ("converted", stated.conversion), ("error", stated.error_rate)):
            error = 1.3 * (share * (1 - share) / n_rows) ** 0.5  # users are alike within, which widens it a little
            assert rate(events, name, arm) == pytest.approx(share, abs=5 * error)
    assert not (events.converted & ~events.clicked).any()
    assert not (events.error & events.clicked).any()


def test_latency_has_the_percentiles_stated(events):
    """p50 and p99 of each arm come out within 3 %."""
    for arm, stated in enumerate((CONTROL, TREATMENT)):
        found = np.percentile(events.latency_ms[events.arm == arm], [50, 99])
        np.testing.assert_allclose(found, [stated.p50_ms, stated.p99_ms], rtol=0.03)


def test_users_are_assigned_as_the_flag_would(events):
    """Every row's arm is the one that the experiment's key gives its user; every user has a row; rows ascend by day."""
    treated = assign(SETTINGS.key, events.user_ids, SETTINGS.percent)
    assert (treated[events.user] == (events.arm == 1)).all()
    assert np.bincount(events.user, minlength=events.n_users).min() > 0
    assert (np.diff(events.day) >= 0).all()
    assert np.bincount(events.day).tolist() == [40_000] * 5
    assert not sum_by_user(events).both_arms.any()


def test_the_same_seed_gives_the_same_events_on_any_number_of_threads():
    """All columns are equal for 1 and 3 threads, blocks of many rows included; another seed gives others."""
    settings = replace(SETTINGS, queries_per_day=150_000, n_days=2)
    once, again = simulate(settings, n_threads=1), simulate(settings, n_threads=3)
    for name, column in once.columns().items():
        np.testing.assert_array_equal(column, again.columns()[name])
    assert once.user_ids.equals(again.user_ids)
    other = simulate(replace(settings, seed=4))
    assert not np.array_equal(once.user[:1000], other.user[:1000])


def test_activity_falls_with_rank_as_a_power_law():
    """With exponent 1 the most active user sends its Zipf share of the queries; with 0 nobody stands out."""
    flat, steep = (simulate(replace(SETTINGS, n_users=500, user_exponent=exponent)) for exponent in (0.0, 1.0))
    harmonic = (1 / np.arange(1, 501)).sum()
    assert np.bincount(steep.user).max() / steep.n_rows == pytest.approx(1 / harmonic, rel=0.03)
    assert np.bincount(flat.user).max() / flat.n_rows < 1.3 / 500


def test_rows_of_a_user_are_alike():
    """With a spread between users, the variance of users' clicks exceeds that of independent rows; without, not."""
    excess = []
    for spread in (0.0, 1.0):
        one_arm = simulate(replace(SETTINGS, n_users=500, user_exponent=0.0, click_spread=spread, treatment=CONTROL))
        queries = np.bincount(one_arm.user)
        clicks = np.bincount(one_arm.user, weights=one_arm.clicked)
        p = clicks.sum() / queries.sum()
        excess.append(((clicks - p * queries) ** 2 / (queries * p * (1 - p))).mean())
    assert excess[0] == pytest.approx(1, abs=0.3)
    assert excess[1] > 20


def test_latency_doubles_and_clicks_fall_from_the_day_of_the_fault_on():
    """A fault from day 2 on leaves days 0 and 1 and the control as they were, bit by bit, and strikes the others."""
    settings = replace(SETTINGS, treatment=CONTROL)
    slow, fewer = Fault(kind="latency", amount=2, first_day=2), Fault(kind="clicks", amount=-0.08, first_day=2)
    whole, broken = simulate(settings), simulate(replace(settings, faults=(slow, fewer)))
    struck = (broken.arm == 1) & (broken.day >= 2)
    np.testing.assert_allclose(broken.latency_ms, np.where(struck, 2, 1) * whole.latency_ms, rtol=1e-6)
    np.testing.assert_array_equal(broken.clicked[~struck], whole.clicked[~struck])
    assert broken.clicked[struck].sum() == pytest.approx(0.92 * whole.clicked[struck].sum(), rel=0.01)
    assert broken.assumptions[-2:] == (
        "Injected fault: latency × 2 in the treatment, from day 2 on.",
        "Injected fault: clicks -8 % in the treatment, from day 2 on.",
    )


def test_an_error_burst_lasts_its_days():
    """Errors rise by the burst's rate on its days alone, in the arm it strikes."""
    events = simulate(replace(SETTINGS, faults=(Fault(kind="errors", amount=0.2, first_day=1, last_day=2),)))
    assert rate(events, "error", 1, [1, 2]) == pytest.approx(0.21, abs=0.01)
    assert rate(events, "error", 1, [0, 3, 4]) < 0.02
    assert rate(events, "error", 0, [1, 2]) < 0.01


def test_lost_users_break_the_split():
    """With 10 % of the treatment's users lost, the split of users lies far outside what chance allows."""
    seen = sum_by_user(simulate(replace(SETTINGS, faults=(Fault(kind="lost users", amount=0.1),)))).seen_users
    assert seen[1] / seen[0] == pytest.approx(0.9, abs=0.03)
    assert abs(seen[1] - seen.sum() / 2) > 5 * (seen.sum() / 4) ** 0.5


def test_flipping_users_see_both_arms():
    """About the stated share of the users, the more active of them, is found in both arms."""
    found = sum_by_user(simulate(replace(SETTINGS, faults=(Fault(kind="both arms", amount=0.05),))))
    assert 0.03 < found.both_arms.mean() < 0.05


@pytest.mark.parametrize(("kind", "clicks"), [("silent bot", 0), ("clicking bot", 1)])
def test_a_bot_is_one_user_with_all_or_no_clicks(kind, clicks):
    """The bot's rows stand beside the people's, belong to one user of its arm, and are all clicked or none."""
    bot = Fault(kind=kind, amount=5_000, arm="control", first_day=1)
    events = simulate(replace(SETTINGS, faults=(bot,)))
    number = int(np.argmax(np.bincount(events.user)))
    rows = events.user == number
    assert events.user_ids[number].as_py().startswith("bot-")
    assert np.bincount(events.day[rows], minlength=5).tolist() == [0, 5_000, 5_000, 5_000, 5_000]
    assert (events.clicked[rows] == bool(clicks)).all()
    assert (events.arm[rows] == 0).all()
    assert not assign(SETTINGS.key, events.user_ids, 50)[number]


def test_users_outside_the_experiment_leave_no_rows():
    """With 30 % of the users in the experiment about 30 % of the queries remain, split evenly over the arms."""
    events = simulate(replace(SETTINGS, traffic_percent=30))
    assert events.n_rows == pytest.approx(0.3 * 200_000, rel=0.05)
    assert sum_by_user(events).seen_users.tolist() == pytest.approx([0.15 * 20_000] * 2, rel=0.06)


def test_a_ramp_moves_users_into_the_treatment_and_never_back():
    """The share of treated queries follows the stages, and nobody returns to the control."""
    stages = (Stage(first_day=0, treatment_share=0.1), Stage(first_day=3, treatment_share=0.6))
    events = simulate(replace(SETTINGS, ramp=stages))
    shares = [(events.arm[events.day == day] == 1).mean() for day in range(5)]
    assert shares == pytest.approx([0.1] * 3 + [0.6] * 2, abs=0.02)
    early = np.unique(events.user[(events.day < 3) & (events.arm == 1)])
    assert not np.isin(events.user[(events.day >= 3) & (events.arm == 0)], early).any()
    assert events.shares == pytest.approx((0.4, 0.6))


@pytest.mark.parametrize("ctr", [0.0, 1.0])
def test_no_clicks_and_all_clicks_can_be_simulated(ctr):
    """A CTR of 0 gives no click at all, a CTR of 1 a click on every query."""
    arm = ArmNumbers(ctr=ctr)
    assert (simulate(replace(SETTINGS, control=arm, treatment=arm)).clicked == bool(ctr)).all()


def test_progress_ends_at_1_and_cancelling_stops_between_days():
    """The share done ascends to 1; a cancelled simulation raises and keeps nothing."""
    shares = []
    simulate(SETTINGS, progress=lambda share, _message: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    with pytest.raises(CancelledError):
        simulate(SETTINGS, cancelled=lambda: len(shares) > 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"percent": 101}, "percentage must be from 0 to 100"),
        ({"percent": 0}, "the treatment arm would be empty"),
        ({"percent": 100}, "the control arm would be empty"),
        ({"percent": 0.001, "n_users": 50}, "the treatment arm is empty"),
        ({"traffic_percent": 0}, "some of the traffic"),
        ({"n_days": 0}, "number of days"),
        ({"n_users": 0}, "number of users"),
        ({"n_users": 1}, "Each arm needs a user of its own"),
        ({"queries_per_day": 2.5}, "queries a day"),
        ({"n_days": 3650, "queries_per_day": 10_000_000}, "to fit in memory"),
        ({"click_spread": -1}, "inclination to click"),
        ({"user_exponent": float("nan")}, "exponent of user activity"),
        ({"first_day": "tomorrow"}, "first day must be a date"),
        ({"key": ""}, "needs a key"),
        ({"seed": -1}, "seed"),
        ({"latency_path": "magic"}, "serving path"),
        ({"ramp": (Stage(first_day=1, treatment_share=0.5),)}, "start on day 0"),
        ({"faults": (Fault(kind="latency", amount=2, first_day=5),)}, "faults begin within the 5 days"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    """Every setting out of range is refused in one sentence that names it."""
    with pytest.raises(ParameterError, match=message):
        simulate(replace(SETTINGS, **changes))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"ctr": 1.2}, "CTR must be a share"),
        ({"ctr": -0.1}, "CTR must be a share"),
        ({"ctr": float("nan")}, "CTR must be a share"),
        ({"ctr": 0.1, "error_rate": 2}, "error rate must be a share"),
        ({"ctr": 0.1, "conversion": 0.2}, "at most the CTR"),
        ({"ctr": 0.9, "error_rate": 0.2}, "sum to at most 1"),
        ({"ctr": 0.1, "p50_ms": -1}, "latency must be above 0"),
        ({"ctr": 0.1, "p50_ms": 50, "p99_ms": 40}, "p99 at least p50"),
        ({"ctr": 0.1, "p99_ms": float("inf")}, "latency must be"),
    ],
)
def test_numbers_of_an_arm_out_of_range_are_refused(numbers, message):
    """Rates outside 0..1, conversions above clicks and impossible latencies are refused."""
    with pytest.raises(ParameterError, match=message):
        ArmNumbers(**numbers)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "gremlins"},
        {"arm": "other"},
        {"amount": 0},
        {"amount": float("nan")},
        {"first_day": -1},
        {"first_day": 3, "last_day": 2},
        {"kind": "clicks", "amount": -1.5},
        {"kind": "lost users", "amount": 0.1, "first_day": 2},
        {"kind": "silent bot", "amount": 10, "arm": "both"},
    ],
)
def test_faults_out_of_range_are_refused(changes):
    """A fault of unknown kind, with an impossible amount or impossible days is refused."""
    with pytest.raises(ParameterError):
        Fault(**{"kind": "latency", "amount": 2.0, **changes})
