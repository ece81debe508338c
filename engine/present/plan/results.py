"""What a plan says: strategy, steps, A/B test, stages, metrics, triggers, storage and cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from engine.present.plan.inputs import PlanInputs
    from engine.tradeoff.size.cost import CostEstimate

Outcome = Literal["full migration", "query reduced", "stop", "measure first"]
"""How far it goes: to a reduced store, to reduced queries over a full one, nowhere now, or unknown without data."""

LegKey = Literal["query reduced", "A/B test", "progressive rollout", "full migration"]
Phase = Literal["measure", "prepare", "query reduced", "A/B test", "rollout", "migration"]
PHASES: tuple[Phase, ...] = ("measure", "prepare", "query reduced", "A/B test", "rollout", "migration")


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One leg of the way, whether the plan goes it, and why; `is_reversible` without copying anything back."""

    key: LegKey
    title: str
    goes: bool
    reason: str
    is_reversible: bool


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """The recommendation and its reason. `evidence` are sentences from the data, `missing` what was not measured.

    `suggested_dims` is what the data show to be enough where that is another number of dims, `shortlist` how many
    documents the reduced query fetches for a rerank by the full vectors (None: no rerank).
    """

    outcome: Outcome
    headline: str
    reason: str
    legs: tuple[Leg, ...]
    evidence: tuple[str, ...]
    missing: tuple[str, ...]
    run_id: str | None
    labels: tuple[str, ...]
    suggested_dims: int | None
    shortlist: int | None

    def goes(self, key: LegKey) -> bool:
        """Tell whether the plan goes this leg."""
        return any(leg.key == key and leg.goes for leg in self.legs)

    @property
    def is_stop(self) -> bool:
        """Whether the recommendation is to go no further with these dims now."""
        return self.outcome == "stop"

    @property
    def has_evidence(self) -> bool:
        """Whether a sweep of these dims stands behind it."""
        return self.run_id is not None


@dataclass(frozen=True, kw_only=True)
class AbAlternative:
    """What to do instead of an A/B test that takes too long: `margin` is None for interleaving."""

    kind: Literal["wider margin", "interleaving"]
    sentence: str
    margin: float | None
    days: int | None


@dataclass(frozen=True, kw_only=True)
class AbPlan:
    """The A/B test: users and queries of both arms together, `power_days` at the traffic (None: never).

    `days` is what the timeline holds: whole weeks, or as edited. `sentences` are those of the power calculation.
    """

    margin: float
    power: float
    n_queries: int
    n_users: int
    power_days: int | None
    days: float
    is_too_long: bool
    is_too_short: bool
    alternatives: tuple[AbAlternative, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PlanStep:
    """One bar of the timeline: from `start_day` (day 0 is the start of the plan) for `days`, after the steps `after`.

    `percent` is the share of the users in a stage of the rollout. `basis` says where the length comes from.
    """

    key: str
    title: str
    phase: Phase
    start_day: float
    days: float
    after: tuple[str, ...]
    percent: float | None
    detail: str
    basis: str
    owner: str

    @property
    def end_day(self) -> float:
        """The day on which the step ends."""
        return self.start_day + self.days

    def dates(self, start: str) -> tuple[date, date] | None:
        """Return the first and last date of the step, None where the plan has no `start`."""
        if not start:
            return None
        first = date.fromisoformat(start)
        last = max(self.start_day, self.end_day - 1e-9)
        return first + timedelta(days=int(self.start_day)), first + timedelta(days=int(last))


@dataclass(frozen=True, kw_only=True)
class PlanMetric:
    """A metric that is watched: what it is now, what is expected and allowed, and where it is read."""

    name: str
    now: str
    expected: str
    allowed: str
    where: str


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """One threshold of the monitor in words; `limit` is its relative size."""

    metric: str
    severity: Literal["warning", "critical", "rollback"]
    limit: float
    condition: str
    action: str


@dataclass(frozen=True, kw_only=True)
class StoragePhase:
    """What all replicas hold in one phase, and what serving costs a month then."""

    title: str
    memory_gib: float
    disk_gib: float
    cost_per_month: float
    note: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The migration plan; the same inputs and evidence always give the same plan."""

    inputs: PlanInputs
    strategy: Strategy
    ab_test: AbPlan
    steps: tuple[PlanStep, ...]
    metrics: tuple[PlanMetric, ...]
    triggers: tuple[Trigger, ...]
    storage: tuple[StoragePhase, ...]
    cost: CostEstimate
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def days(self) -> float:
        """The length of the whole plan in days; 0 where there is nothing to do."""
        return max((step.end_day for step in self.steps), default=0.0)

    @property
    def ends_on(self) -> date | None:
        """The last date of the plan, None without a start or without steps."""
        last = max(self.steps, key=lambda step: step.end_day, default=None)
        dates = None if last is None else last.dates(self.inputs.start)
        return None if dates is None else dates[1]

    def step(self, key: str) -> PlanStep | None:
        """Return the step of that key, None where the plan has none."""
        return next((step for step in self.steps if step.key == key), None)
