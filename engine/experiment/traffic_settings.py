"""What traffic is simulated: how much of it, how people behave, and what each arm does to them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from engine.errors import ParameterError
from engine.experiment.assignment import treatment_weight
from engine.seeds import check_seed
from engine.tradeoff.latency.results import LATENCY_PATHS, LatencyPath

if TYPE_CHECKING:
    from engine.experiment.faults import Fault
    from engine.experiment.settings import Stage

MOST_ROWS = 100_000_000
"""Simulated queries in all: 14 bytes each, so that they fit in 1.4 GB."""

MOST_USERS = 20_000_000
MOST_DAYS = 3650


@dataclass(frozen=True, kw_only=True)
class ArmNumbers:
    """What one arm is like: shares of its queries with a click, a conversion and an error, and latency percentiles.

    Conversions are counted of all queries and only follow a click. A failed query shows nothing to click on.

    Raises
    ------
    ParameterError
        When a rate lies outside 0..1, conversions exceed clicks, or the percentiles are not 0 < p50 <= p99.
    """

    ctr: float
    conversion: float = 0.0
    error_rate: float = 0.0
    p50_ms: float = 40.0
    p99_ms: float = 120.0

    def __post_init__(self) -> None:
        for name, rate in (("CTR", self.ctr), ("conversion", self.conversion), ("error rate", self.error_rate)):
            if not 0 <= rate <= 1:
                raise ParameterError(f"the {name} must be a share from 0 to 1", found=rate)
        if self.conversion > self.ctr:
            raise ParameterError(
                "conversions follow clicks, so their share of queries is at most the CTR",
                found=f"conversion {self.conversion:g}, CTR {self.ctr:g}",
            )
        if self.ctr > 1 - self.error_rate + 1e-12:
            raise ParameterError(
                "failed queries get no click, so CTR and error rate sum to at most 1",
                found=f"CTR {self.ctr:g}, error rate {self.error_rate:g}",
            )
        if not (math.isfinite(self.p99_ms) and 0 < self.p50_ms <= self.p99_ms):
            raise ParameterError(
                "latency must be above 0 and p99 at least p50", found=f"p50 {self.p50_ms:g} ms, p99 {self.p99_ms:g} ms"
            )


@dataclass(frozen=True, kw_only=True)
class TrafficSettings:
    """A simulated experiment; days are counted from 0, shares and rates from 0 to 1, percentages from 0 to 100.

    `key` names the experiment and assigns its users, `percent` of them to the treatment; `ramp` replaces `percent` by
    stages. `traffic_percent` of all `n_users` are in the experiment at all; the others leave no rows. Activity of users
    and popularity of queries fall as rank to the power of minus `user_exponent` and `query_exponent`. `click_spread` is
    the coefficient of variation of the users' own inclination to click, `latency_spread` the share of the variance of
    latency that lies between users (their network, their region): both make a user's rows alike.

    With a sweep the lists of `control_dim` (None: the full dimension) and `treatment_dim` are shown, `n_results` deep;
    `position_exponent` says how fast attention falls with the position, `background` how attractive an irrelevant
    document is beside a perfect one (0..1). The CTR and conversion of `treatment` are not used then, they follow from
    its lists. With measured latency `latency_path` chooses the serving path and of the stated percentiles only the
    control's p99 is used.

    Raises
    ------
    ParameterError
        When a setting is out of range.
    """

    control: ArmNumbers
    treatment: ArmNumbers
    key: str = "reduced-dimension"
    percent: float = 50.0
    ramp: tuple[Stage, ...] = ()
    traffic_percent: float = 100.0
    n_users: int = 50_000
    queries_per_day: int = 100_000
    n_days: int = 14
    first_day: str = "2026-01-05"
    user_exponent: float = 0.5
    query_exponent: float = 0.8
    click_spread: float = 0.3
    latency_spread: float = 0.1
    control_dim: int | None = None
    treatment_dim: int | None = None
    n_results: int = 10
    position_exponent: float = 1.0
    background: float = 0.05
    latency_path: LatencyPath = "exact"
    faults: tuple[Fault, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        _check_sizes(self)
        _check_behaviour(self)
        _check_shares(self)
        check_seed(self.seed)
        try:
            date.fromisoformat(self.first_day)
        except (TypeError, ValueError):
            raise ParameterError("the first day must be a date such as 2026-01-05", found=self.first_day) from None
        last_fault = max((fault.first_day for fault in self.faults), default=0)
        if last_fault >= self.n_days:
            raise ParameterError(
                f"faults begin within the {self.n_days} days, counted from 0",
                found=f"day {last_fault}",
                hint="Simulate more days, or let the fault begin earlier",
            )

    def percent_on(self, day: int) -> float:
        """Return the percentage of the users in the treatment on `day`."""
        past = [stage.treatment_share for stage in self.ramp if stage.first_day <= day]
        return 100 * past[-1] if past else self.percent


def _check_sizes(settings: TrafficSettings) -> None:
    whole = (
        ("n_users", "users", settings.n_users, 2, MOST_USERS),
        ("queries_per_day", "queries a day", settings.queries_per_day, 1, MOST_ROWS),
        ("n_days", "days", settings.n_days, 1, MOST_DAYS),
        ("n_results", "results shown", settings.n_results, 1, 1000),
    )
    for _, name, value, low, high in whole:
        if isinstance(value, bool) or value != int(value) or not low <= value <= high:
            hint = "Each arm needs a user of its own" if name == "users" and value == 1 else None
            raise ParameterError(
                f"the number of {name} must be a whole number from {low:,} to {high:,}", found=value, hint=hint
            )
    bots = sum(fault.amount for fault in settings.faults if fault.is_bot)
    if (settings.queries_per_day + bots) * settings.n_days > MOST_ROWS:
        raise ParameterError(
            f"queries a day × days must be at most {MOST_ROWS:,}, to fit in memory",
            found=f"{settings.queries_per_day + bots:,.0f} × {settings.n_days}",
            hint="Simulate fewer days or a part of the traffic",
        )


def _check_behaviour(settings: TrafficSettings) -> None:
    ranges = (
        ("the exponent of user activity", settings.user_exponent, 0, 5),
        ("the exponent of query popularity", settings.query_exponent, 0, 5),
        ("the exponent of attention by position", settings.position_exponent, 0, 5),
        ("the spread of the users' inclination to click", settings.click_spread, 0, 3),
        ("the share of latency variance between users", settings.latency_spread, 0, 1),
        ("the attractiveness of irrelevant documents", settings.background, 0, 1),
    )
    for name, value, low, high in ranges:
        if not low <= value <= high:
            raise ParameterError(f"{name} must be from {low} to {high}", found=value)
    if settings.latency_path not in LATENCY_PATHS:
        raise ParameterError(f"the serving path is one of {', '.join(LATENCY_PATHS)}", found=settings.latency_path)
    if not settings.key:
        raise ParameterError("the experiment needs a key", found="an empty text", hint="It decides who is in which arm")


def _check_shares(settings: TrafficSettings) -> None:
    treatment_weight(settings.percent)
    if treatment_weight(settings.traffic_percent) == 0:
        raise ParameterError("some of the traffic must be in the experiment", found="0 %")
    if not settings.ramp and not 0 < settings.percent < 100:
        empty = "treatment" if settings.percent == 0 else "control"
        raise ParameterError(
            f"the {empty} arm would be empty, and nothing to compare with",
            found=f"{settings.percent:g} % in the treatment",
            hint="Choose a percentage between 0 and 100",
        )
    days = [stage.first_day for stage in settings.ramp]
    if settings.ramp and (days[0] != 0 or sorted(set(days)) != days):
        raise ParameterError("the stages of a ramp start on day 0 and ascend", found=", ".join(map(str, days)))
    if any(not 0 <= stage.treatment_share <= 1 for stage in settings.ramp):
        raise ParameterError(
            "the treatment share of a stage must be from 0 to 1",
            found=", ".join(f"{stage.treatment_share:g}" for stage in settings.ramp),
        )
