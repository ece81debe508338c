"""What a plan starts from: the example migration, how much risk is taken, and everything that people edited."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Literal, get_args

from engine.errors import ParameterError, printable
from engine.rollout.schedule import DEFAULT_SCHEDULE, Schedule, Stage
from engine.rollout.thresholds import METRICS, Limit, Thresholds
from engine.tradeoff.size.cost import CostAssumptions

if TYPE_CHECKING:
    from collections.abc import Mapping

Risk = Literal["cautious", "balanced", "bold"]
RISKS: tuple[Risk, ...] = get_args(Risk)

CTR_MARGIN = 0.05
"""The loss of CTR that users start from; the appetite for risk multiplies it."""

ASSUMED_ROWS_PER_S = 5_000.0
"""Copied rows a second until a migration has measured it."""

LONGEST_OWNER = 80
MOST_STEP_DAYS = 3650.0
MOST_COPY_DAYS = 3650.0
_MOST = 10**12
_MOST_DIMS = 1 << 16
_SLOWEST_MS = 600_000.0
_MOST_EDITS = 300
_STEP_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_YEARS = (2000, 2200)


@dataclass(frozen=True, kw_only=True)
class RiskProfile:
    """What one appetite for risk changes, all of it; what people edit themselves wins over it.

    The days of the default schedule are multiplied by `stretch`. `limits` multiplies the margin of the A/B test and
    the alert and rollback thresholds of the monitor. `power` is that of the A/B test, which runs `least_ab_days` or
    longer. `holdback_percent` of the users stay in control to the end, and the full vectors are kept for
    `keep_full_days` after the cut-over. `settles_first`: nothing reaches users while the sweep is undecided.
    """

    name: Risk
    stretch: float
    limits: float
    power: float
    holdback_percent: float
    least_ab_days: int
    keep_full_days: int
    settles_first: bool

    @property
    def margin(self) -> float:
        """The relative loss of CTR that the A/B test must rule out."""
        return CTR_MARGIN * self.limits

    @property
    def schedule(self) -> Schedule:
        """The default schedule, stretched, with the holdback."""
        stages = tuple(Stage(day=one.day * self.stretch, percent=one.percent) for one in DEFAULT_SCHEDULE.stages)
        return Schedule(stages=stages, holdback_percent=self.holdback_percent)

    @property
    def thresholds(self) -> Thresholds:
        """The default thresholds, tightened or widened."""
        usual = Thresholds()
        changed: dict[str, Any] = {metric: _scaled(usual.limit(metric), self.limits) for metric in METRICS}
        return replace(usual, **changed)

    @property
    def sentence(self) -> str:
        """What the appetite changes, in words."""
        limits = {0.5: "half the usual", 1.0: "the usual", 1.5: "one and a half times the usual"}[self.limits]
        held = f"{self.holdback_percent:g} % of the users held back" if self.holdback_percent else "no holdback"
        undecided = "nothing reaches users" if self.settles_first else "the A/B test may settle it"
        return (
            f"{self.name.capitalize()}: the rollout takes {DEFAULT_SCHEDULE.last_day * self.stretch:g} days to its "
            f"last stage, {held}; the A/B test rules out a loss of {100 * self.margin:g} % of the CTR with "
            f"{100 * self.power:g} % power and runs {self.least_ab_days} days or longer; alerts and rollbacks at "
            f"{limits} thresholds; full vectors kept for {self.keep_full_days} days after the cut-over; while the "
            f"sweep is undecided {undecided}."
        )


RISK_PROFILES: dict[Risk, RiskProfile] = {
    "cautious": RiskProfile(
        name="cautious",
        stretch=1.5,
        limits=0.5,
        power=0.9,
        holdback_percent=5.0,
        least_ab_days=14,
        keep_full_days=90,
        settles_first=True,
    ),
    "balanced": RiskProfile(
        name="balanced",
        stretch=1.0,
        limits=1.0,
        power=0.8,
        holdback_percent=2.0,
        least_ab_days=7,
        keep_full_days=30,
        settles_first=False,
    ),
    "bold": RiskProfile(
        name="bold",
        stretch=0.5,
        limits=1.5,
        power=0.7,
        holdback_percent=0.0,
        least_ab_days=7,
        keep_full_days=14,
        settles_first=False,
    ),
}


@dataclass(frozen=True, kw_only=True)
class PlanInputs:
    """Everything a plan is computed from beside the evidence; the defaults are the example migration.

    `n_docs` documents, `queries_per_day` with `p99_ms` and a `ctr` from 0 to 1, from `from_dims` to `to_dims`. `start`
    is the ISO date of day 0, empty where it is open. A user makes `queries_per_user` queries during the A/B test, and
    `new_users_per_day` come (None: as many as those queries make). `longest_ab_days` is how long an A/B test may take.
    `margin`, `power`, `holdback_percent`, `schedule` and `thresholds` are those of the risk profile where None.
    `copy_rows_per_s` None takes the rate of the newest migration, else `ASSUMED_ROWS_PER_S`. `prices` hold every
    assumption of the cost (documents and queries are taken from here). `lengths` (days) and `owners` are edits of
    steps, by their key.

    Raises
    ------
    ParameterError
        When a number is out of range, the dims to keep are not below those there are, or a text is too long.
    """

    n_docs: int = 5_000_000
    queries_per_day: int = 1_000_000
    p99_ms: float = 120.0
    ctr: float = 0.12
    from_dims: int = 3072
    to_dims: int = 768
    risk: Risk = "balanced"
    start: str = ""
    queries_per_user: float = 5.0
    new_users_per_day: float | None = None
    longest_ab_days: int = 42
    margin: float | None = None
    power: float | None = None
    holdback_percent: float | None = None
    schedule: Schedule | None = None
    thresholds: Thresholds | None = None
    copy_rows_per_s: float | None = None
    prices: CostAssumptions = field(default_factory=CostAssumptions)
    lengths: dict[str, float] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _whole(self.n_docs, "the number of documents", 1, _MOST)
        _whole(self.queries_per_day, "the queries a day", 1, _MOST)
        _number(self.p99_ms, "p99 in ms", 0, _SLOWEST_MS)
        _number(self.ctr, "the CTR", 0, 1, is_open=True, hint="12 % is 0.12")
        self._check_dims()
        if self.risk not in RISKS:
            raise ParameterError(f"the appetite for risk is one of {', '.join(RISKS)}", found=self.risk)
        _check_date(self.start)
        _number(self.queries_per_user, "the queries a user", 1, 1e6, may_be_low=True)
        _whole(self.longest_ab_days, "the longest A/B test in days", 1, 365)
        for value, what, high in (
            (self.new_users_per_day, "the new users a day", _MOST),
            (self.margin, "the margin", 0.5),
            (self.copy_rows_per_s, "the copied rows a second", 1e9),
        ):
            if value is not None:
                _number(value, what, 0, high)
        if self.power is not None:
            _number(self.power, "the power", 0.5, 0.99, may_be_low=True, hint="80 % is 0.8")
        _ = self.used_schedule  # its own rules hold for schedule and holdback together
        if self.copy_rows_per_s is not None:
            copy_days(self.n_docs, self.copy_rows_per_s)
        _check_lengths(self.lengths)
        _check_owners(self.owners)

    def _check_dims(self) -> None:
        _whole(self.from_dims, "the dims there are", 2, _MOST_DIMS)
        _whole(self.to_dims, "the dims to keep", 1, _MOST_DIMS)
        if self.to_dims >= self.from_dims:
            raise ParameterError(
                "the dims to keep must be fewer than those there are",
                found=f"{self.to_dims:,} of {self.from_dims:,}",
                hint="3,072 to 768 keeps a quarter",
            )

    @property
    def profile(self) -> RiskProfile:
        """What the appetite for risk stands for."""
        return RISK_PROFILES[self.risk]

    @property
    def used_margin(self) -> float:
        """The relative loss of CTR that the A/B test must rule out."""
        return self.profile.margin if self.margin is None else self.margin

    @property
    def used_power(self) -> float:
        """The power of the A/B test."""
        return self.profile.power if self.power is None else self.power

    @property
    def used_schedule(self) -> Schedule:
        """The schedule of the rollout."""
        chosen = self.profile.schedule if self.schedule is None else self.schedule
        if self.holdback_percent is None:
            return chosen
        return Schedule(stages=chosen.stages, holdback_percent=self.holdback_percent)

    @property
    def used_thresholds(self) -> Thresholds:
        """The thresholds of the monitor, with a look a day over the whole rollout."""
        if self.thresholds is not None:
            return self.thresholds
        return replace(self.profile.thresholds, looks=max(1, math.ceil(self.used_schedule.last_day)))

    @property
    def used_new_users_per_day(self) -> float:
        """New users a day."""
        if self.new_users_per_day is not None:
            return self.new_users_per_day
        return self.queries_per_day / self.queries_per_user


def copy_days(n_docs: int, rows_per_s: float) -> float:
    """Return how many days copying takes. Raises ParameterError beyond `MOST_COPY_DAYS`."""
    days = n_docs / rows_per_s / 86_400
    if days > MOST_COPY_DAYS:
        raise ParameterError(
            "the copy must end within ten years",
            found=f"{n_docs:,} rows at {rows_per_s:,g} a second",
            hint="Measure the rate on the Migration page, or plan for fewer documents",
        )
    return days


def _scaled(limit: Limit, factor: float) -> Limit:
    return replace(
        limit,
        alert=None if limit.alert is None else round(limit.alert * factor, 6),
        roll_back=None if limit.roll_back is None else round(limit.roll_back * factor, 6),
    )


def _whole(value: object, what: str, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ParameterError(f"{what} must be a whole number from {low:,} to {high:,}", found=repr(value))


def _number(
    value: object,
    what: str,
    low: float,
    high: float,
    *,
    is_open: bool = False,
    may_be_low: bool = False,
    hint: str | None = None,
) -> None:
    # The comparison is false for NaN, and takes whole numbers that no float can hold.
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if (
        not is_number
        or not isinstance(value, int | float)
        or not low <= value <= high
        or (value == low and not may_be_low)
        or (value == high and is_open)
    ):
        ends = f"{'at least' if may_be_low else 'above'} {low:g} and {'below' if is_open else 'at most'} {high:,.9g}"
        raise ParameterError(f"{what} must be a number {ends}", found=repr(value), hint=hint)


def _check_date(text: object) -> None:
    if text == "":
        return
    try:
        day = date.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        day = None
    if day is None or not _YEARS[0] <= day.year <= _YEARS[1]:
        raise ParameterError(
            f"the start is a date from {_YEARS[0]} to {_YEARS[1]}, or empty", found=text, hint="As 2026-03-02"
        )


def _check_edits(edits: Mapping[str, object], what: str) -> None:
    if not isinstance(edits, dict) or len(edits) > _MOST_EDITS:
        raise ParameterError(f"{what} are given by step, for {_MOST_EDITS} steps at most", found=type(edits).__name__)
    for key in edits:
        if not isinstance(key, str) or not _STEP_KEY.fullmatch(key):
            raise ParameterError("a step is named by lower-case letters, digits and hyphens", found=repr(key))


def _check_lengths(lengths: dict[str, float]) -> None:
    _check_edits(lengths, "lengths")
    for key, days in lengths.items():
        _number(days, f"the days of {key}", 0, MOST_STEP_DAYS, may_be_low=True)


def _check_owners(owners: dict[str, str]) -> None:
    _check_edits(owners, "owners")
    for name in owners.values():
        if not isinstance(name, str) or printable(name, longest=LONGEST_OWNER) != name:
            raise ParameterError(
                f"an owner is one line of at most {LONGEST_OWNER} printable characters without spaces around",
                found=name,
            )
