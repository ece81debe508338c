"""What the journey of a migration says: its steps, their figures, alerts, and the next action."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

StepKey = Literal["data", "sweep", "decision", "ab", "rollout", "move", "done"]
StepState = Literal["done", "rehearsed", "under way", "stopped", "next", "waiting", "left out"]
"""``rehearsed`` is what would be done had it been real: simulated users, a simulated clock, stores to try things with.
``stopped`` waits for somebody to look, ``next`` is the first step, begun by nothing yet, ``waiting`` comes after it,
``left out`` is none of the plan."""
BEHIND: frozenset[StepState] = frozenset({"done", "left out"})
"""States of steps that nothing is missing of."""

AlertKind = Literal["kill switch", "incident", "rollout", "migration", "unreadable"]
FigureKey = Literal["dim", "recall", "ndcg", "bytes", "cost", "p99", "ab", "rollout", "move"]
Demonstrated = Literal["no", "under way", "unfinished", "complete"]
SIMULATED = "simulated"
EXAMPLE = "example data"

_ORDER = get_args(FigureKey)


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something to do: the page of the app that does it, by the name in its address, with query parameters."""

    label: str
    page: str
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number as people read it: `below` is its interval or what it rests on, `explained` what it is.

    `value`, `low` and `high` are the numbers behind it, None where there is none. `labels` hold ``simulated`` when no
    real user or clock stands behind it.
    """

    key: FigureKey
    name: str
    text: str
    below: str = ""
    explained: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Alert:
    """Something that somebody must know, whatever step the migration is at."""

    kind: AlertKind
    severity: Literal["critical", "warning"]
    sentence: str
    action: Action
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the path; `missing` is what it still takes until it is done, `at` when it came to where it is."""

    key: StepKey
    title: str
    state: StepState
    sentence: str
    action: Action
    figures: tuple[Figure, ...] = ()
    missing: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Journey:
    """Where a migration stands; `current` is the step that the next action is about.

    `other_action` goes on with a rehearsal where the next action would make it real. `is_example` tells that the newest
    sweep is of a bundled or synthetic set, `is_untried` that nobody has stored more than the app does by itself: sweeps
    of such a set and simulated A/B tests. `demonstration` tells whether one was built, and how far.
    """

    headline: str
    steps: tuple[Step, ...]
    current: Step
    alerts: tuple[Alert, ...]
    next_action: Action
    other_action: Action | None
    is_empty: bool
    is_example: bool
    is_untried: bool
    demonstration: Demonstrated

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Every headline figure: what to keep first, then what that keeps and saves, then how shipping goes."""
        every = chain.from_iterable(step.figures for step in self.steps)
        return tuple(sorted(every, key=lambda figure: _ORDER.index(figure.key)))

    @property
    def missing(self) -> tuple[str, ...]:
        """What is missing before the next step."""
        return self.current.missing

    def step(self, key: StepKey) -> Step:
        """Return one step."""
        return next(step for step in self.steps if step.key == key)
