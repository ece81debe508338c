"""Simulated traffic of rollouts, a day at a time and many rollouts at once, with faults: the input of pre-flight.

Counts are drawn from their distributions, not query by query, so a thousand rollouts of a million queries a day take
well under a second. What is modelled, so that the monitor is tried on more than textbook noise:

- days differ, in both arms alike (`Traffic.day_spread`);
- users differ in how much they click and come back every day, so that a luck of the draw stays for as long as they are
  in an arm: users are drawn in cohorts, one a stage, and a cohort moves from control to treatment as a whole;
- the p99 of a day errs with its number of queries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from engine.errors import ParameterError
from engine.experiment.checks import ratio
from engine.rollout.comparison import Counts, p99_standard_error
from engine.rollout.observations import Arm, Observation
from engine.seeds import check_seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Bools = npt.NDArray[np.bool_]

FaultKind = Literal["latency", "clicks", "errors", "missing data"]
FaultArm = Literal["treatment", "control", "both"]

MOST_SIMULATIONS = 100_000

_Z = 1.959963984540054
_FEWEST_FOR_INTERVAL = 368  # below, a p99 has no two-sided order-statistic interval at 95 %
_EXACT_BELOW = 30.0  # variance under which counts are drawn from the exact binomial
_COHORTS, _BASELINE, _DAYS = range(3)  # streams of random numbers


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The traffic that a rollout will see, a day, in both arms together.

    `users` are different users in all, of whom queries pick at random. `p99_spread` is the standard error of the log of
    a day's p99 times √queries: 3.7 times the log standard deviation of a lognormal latency. `baseline_days` were stored
    before the rollout. The defaults are the example migration.

    Raises
    ------
    ParameterError
        When a number is out of range.
    """

    queries_a_day: int = 1_000_000
    users: int = 200_000
    ctr: float = 0.12
    error_rate: float = 0.001
    p99_ms: float = 120.0
    p99_spread: float = 3.0
    user_correlation: float = 0.02
    day_spread: float = 0.03
    baseline_days: int = 7

    def __post_init__(self) -> None:
        for name, what, low, high in (
            ("queries_a_day", "the queries a day", 1, 10**12),
            ("users", "the users", 1, 10**10),
            ("baseline_days", "the days of the stored baseline", 0, 366),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ParameterError(f"{what} must be a whole number from {low:,} to {high:,}", found=repr(value))
        for name, what, low_, high_ in (
            ("ctr", "the CTR", 0.0, 1.0),
            ("error_rate", "the error rate", 0.0, 1.0),
            ("p99_ms", "the p99 latency in ms", 1e-6, 1e9),
            ("p99_spread", "the spread of the p99", 0.0, 1000.0),
            ("user_correlation", "the correlation between queries of one user", 0.0, 1.0),
            ("day_spread", "the spread from day to day", 0.0, 2.0),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low_ <= value <= high_:
                raise ParameterError(f"{what} must be from {low_:g} to {high_:g}", found=repr(value))

    @property
    def active_users(self) -> float:
        """Users with a query on one day, expected."""
        return self.users * -math.expm1(-self.queries_a_day / self.users)


@dataclass(frozen=True, kw_only=True)
class RolloutFault:
    """Something that breaks: ``latency`` times `amount`, ``clicks`` changed by it (-0.08 is 8 % fewer), ``errors`` of
    that rate added, or ``missing data`` (without amount).

    It lasts from `first_day` (counted from 0) to `last_day`, both included, None for ever, on days with at least
    `from_percent` of the users in the treatment. In ``both`` arms it is not the rollout's doing, and must not stop it.

    Raises
    ------
    ParameterError
        When a part is out of range.
    """  # noqa: D205  # the sentence needs both lines

    kind: FaultKind
    amount: float = 1.0
    first_day: int = 0
    last_day: int | None = None
    from_percent: float = 0.0
    arm: FaultArm = "treatment"

    def __post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            raise ParameterError(f"a fault is one of {', '.join(get_args(FaultKind))}", found=repr(self.kind))
        if self.arm not in get_args(FaultArm):
            raise ParameterError(f"the arm of a fault is one of {', '.join(get_args(FaultArm))}", found=repr(self.arm))
        low, high = {"latency": (1e-3, 1e3), "clicks": (-1.0, 10.0), "errors": (0.0, 1.0)}.get(self.kind, (1.0, 1.0))
        if not low <= self.amount <= high:
            raise ParameterError(f"the amount of the fault “{self.kind}” is {low:g} to {high:g}", found=self.amount)
        if self.first_day < 0 or (self.last_day is not None and self.last_day < self.first_day):
            found = f"day {self.first_day} to {self.last_day}"
            raise ParameterError("a fault begins on day 0 or later and does not end before", found=found)
        if not 0 <= self.from_percent <= 100:
            raise ParameterError("a fault begins at 0 to 100 % of the users", found=self.from_percent)

    def is_active(self, day: int, percent: Floats) -> Bools:
        """Tell for which of the rollouts, at `percent` of the users each, the fault lasts on `day`."""
        lasts = self.first_day <= day and (self.last_day is None or day <= self.last_day)
        return (percent >= self.from_percent - 1e-9) & lasts

    def strikes(self, arm: Arm) -> bool:
        """Tell whether the fault strikes `arm`."""
        return arm != "baseline" and self.arm in {arm, "both"}


@dataclass(frozen=True, eq=False, kw_only=True)
class TrafficDay:
    """One day of n rollouts: counts (n) of both arms, where they were lost, and where any fault was at work."""

    control: Counts
    treatment: Counts
    control_is_missing: Bools
    treatment_is_missing: Bools
    has_fault: Bools


class TrafficDays:
    """The days of `n_rollouts` simulated rollouts; the same seed gives the same days, in any order of asking.

    Parameters
    ----------
    traffic
        What the traffic is like without a fault.
    percents
        The shares of users in treatment that the rollouts will have; each adds a cohort of users.
    faults
        What breaks, and when.
    """

    def __init__(
        self,
        traffic: Traffic,
        *,
        percents: Sequence[float],
        faults: Sequence[RolloutFault] = (),
        n_rollouts: int = 1,
        seed: int = 0,
    ) -> None:
        check_seed(seed)
        if not 1 <= n_rollouts <= MOST_SIMULATIONS:
            rule = f"the number of simulated rollouts must be from 1 to {MOST_SIMULATIONS:,}"
            raise ParameterError(rule, found=n_rollouts)
        self.traffic = traffic
        self.faults = tuple(faults)
        self.n_rollouts = n_rollouts
        self._seed = seed
        edges = np.unique([0.0, 100.0, *(percent for percent in percents if 0 < percent < 100)])
        self._edges = edges
        users = traffic.users * np.diff(edges) / 100
        # Activity of users falls geometrically, so E[m²]/E[m]² is 2 at most: that many fewer users decide the mean.
        spread = np.sqrt(traffic.user_correlation * traffic.ctr * (1 - traffic.ctr) * 2 / users)
        self._cohorts = self._rng(_COHORTS).standard_normal((len(users), n_rollouts)) * spread[:, None]

    def day(self, day: int, percent: npt.ArrayLike) -> TrafficDay:
        """Return `day`, counted from 0, with `percent` of the users in treatment: a number, or one a rollout (n)."""
        shares = np.broadcast_to(np.asarray(percent, np.float64), (self.n_rollouts,))
        noise = self._rng(_DAYS, day).standard_normal((9, self.n_rollouts))
        lost = [fault for fault in self.faults if fault.kind == "missing data"]
        in_treatment = np.round(self.traffic.queries_a_day * shares / 100)
        return TrafficDay(
            control=self._arm("control", self.traffic.queries_a_day - in_treatment, day, shares, noise),
            treatment=self._arm("treatment", in_treatment, day, shares, noise),
            control_is_missing=self._any_active(day, shares, [one for one in lost if one.strikes("control")]),
            treatment_is_missing=self._any_active(day, shares, [one for one in lost if one.strikes("treatment")]),
            has_fault=self._any_active(day, shares, self.faults),
        )

    def baseline(self) -> tuple[Counts, ...]:
        """Return the stored days before the rollout, everybody in control, oldest first; counts (n)."""
        everybody, nobody = np.full(self.n_rollouts, float(self.traffic.queries_a_day)), np.zeros(self.n_rollouts)
        shape = (9, self.n_rollouts)
        return tuple(
            self._arm("baseline", everybody, -1, nobody, self._rng(_BASELINE, day).standard_normal(shape))
            for day in range(self.traffic.baseline_days)
        )

    def observations(self, day: int, percent: float, *, start: datetime, rollout: int = 0) -> tuple[Observation, ...]:
        """Return what is observed of one rollout on `day`; `start` is when its day 0 began."""
        today = self.day(day, percent)
        begin = start + timedelta(days=day)
        found = []
        if not today.control_is_missing[rollout] and today.control.n_queries[rollout]:
            found.append(_observation("control", today.control, rollout, begin, percent))
        if not today.treatment_is_missing[rollout] and today.treatment.n_queries[rollout]:
            found.append(_observation("treatment", today.treatment, rollout, begin, percent))
        return tuple(found)

    def baseline_observations(self, *, start: datetime, rollout: int = 0) -> tuple[Observation, ...]:
        """Return the stored days of one rollout that began at `start`."""
        days = self.baseline()
        return tuple(
            _observation("baseline", counts, rollout, start + timedelta(days=at - len(days)), 0.0)
            for at, counts in enumerate(days)
        )

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *stream])

    def _any_active(self, day: int, percent: Floats, faults: Sequence[RolloutFault]) -> Bools:
        active = np.zeros(self.n_rollouts, np.bool_)
        for fault in faults:
            active = active | fault.is_active(day, percent)
        return active

    def _arm(self, arm: Arm, n_queries: Floats, day: int, percent: Floats, noise: Floats) -> Counts:
        traffic, own = self.traffic, noise[3::2] if arm == "treatment" else noise[4::2]
        common = np.exp(traffic.day_spread * noise[:3] - traffic.day_spread**2 / 2)
        latency, clicks, errors = self._effects(arm, day, percent)
        ctr = traffic.ctr * common[0] * (1 + clicks) + self._inclination(arm, percent)
        share = ratio(n_queries, traffic.queries_a_day)
        error = traffic.p99_spread * np.sqrt(ratio(1, np.where(n_queries > 0, n_queries, np.nan)))
        assumed = p99_standard_error(np.maximum(n_queries, 1), np.nan, np.nan)
        return Counts(
            n_users=np.minimum(np.maximum(1, np.round(traffic.active_users * share)), n_queries),
            n_queries=n_queries,
            n_clicks=_drawn(n_queries, ctr, own[0]),
            n_click_queries=n_queries,
            n_errors=_drawn(n_queries, traffic.error_rate * common[1] + errors, own[1]),
            n_error_queries=n_queries,
            log_p99=np.log(traffic.p99_ms * common[2] * latency) + error * own[2],
            log_p99_se=np.where(n_queries >= _FEWEST_FOR_INTERVAL, error, assumed),
            days=np.where(n_queries > 0, 1.0, 0.0),
        )

    def _inclination(self, arm: Arm, percent: Floats) -> Floats:
        """Return by how much the CTR of the users in `arm` lies above that of all users, (n)."""
        if arm == "baseline":
            percent = np.zeros_like(percent)
        inside = np.clip(percent - self._edges[:-1, None], 0, np.diff(self._edges)[:, None])
        if arm != "treatment":
            inside = np.diff(self._edges)[:, None] - inside
        return np.nan_to_num(ratio((inside * self._cohorts).sum(axis=0), inside.sum(axis=0)))

    def _effects(self, arm: Arm, day: int, percent: Floats) -> tuple[Floats, Floats, Floats]:
        latency, clicks, errors = np.ones_like(percent), np.ones_like(percent), np.zeros_like(percent)
        for fault in self.faults:
            if not fault.strikes(arm):
                continue
            active = fault.is_active(day, percent)
            if fault.kind == "latency":
                latency = latency * np.where(active, fault.amount, 1)
            elif fault.kind == "clicks":
                clicks = clicks * np.where(active, 1 + fault.amount, 1)
            elif fault.kind == "errors":
                errors = errors + np.where(active, fault.amount, 0)
        return latency, clicks - 1, errors


def _drawn(n: Floats, rate: Floats, noise: Floats) -> Floats:
    """Draw binomial counts as quantiles of a normal `noise`: exactly where they are few, else by Cornish and Fisher.

    Taken as quantiles, two settings that are simulated with the same noise stay paired, whatever their shares.
    """
    from scipy.special import bdtrik, ndtr

    rate = np.clip(rate, 1e-15, 1 - 1e-15)
    variance = n * rate * (1 - rate)
    normal = n * rate + np.sqrt(variance) * noise + (1 - 2 * rate) * (noise**2 - 1) / 6
    counts = np.floor(normal + 0.5)
    few = (variance < _EXACT_BELOW) & (n > 0)
    if few.any():
        exact = np.ceil(bdtrik(ndtr(noise[few]), n[few], rate[few]) - 1e-9)
        counts[few] = np.nan_to_num(exact)
    drawn: Floats = np.clip(counts, 0, n)
    return drawn


def _observation(arm: Arm, counts: Counts, at: int, start: datetime, percent: float) -> Observation:
    error = float(counts.log_p99_se[at])
    p99 = math.exp(counts.log_p99[at])
    has_interval = counts.n_queries[at] >= _FEWEST_FOR_INTERVAL
    return Observation(
        start=start.isoformat(),
        end=(start + timedelta(days=1)).isoformat(),
        arm=arm,
        percent=percent,
        n_users=int(counts.n_users[at]),
        n_queries=int(counts.n_queries[at]),
        n_clicks=int(counts.n_clicks[at]),
        n_errors=int(counts.n_errors[at]),
        p99_ms=p99,
        p99_low_ms=p99 * math.exp(-_Z * error) if has_interval else None,
        p99_high_ms=p99 * math.exp(_Z * error) if has_interval else None,
        source="simulated traffic",
        is_simulated=True,
    )
