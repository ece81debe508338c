"""What pre-flight promises of a rollout, and what two settings of it differ by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.rollout.schedule import Schedule
    from engine.rollout.thresholds import Thresholds
    from engine.rollout.traffic_days import RolloutFault, Traffic

CONFIDENCE = 0.95
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True, kw_only=True)
class Probability:
    """A share `value` of `n` simulated rollouts, with the 95 % Wilson interval of the probability behind it.

    NaN where there was nothing to count (`n` is 0).
    """

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Median and 95th percentile of `n` rollouts; None where there was none."""

    median: float | None
    p95: float | None
    n: int


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A named set of faults to simulate."""

    name: str
    faults: tuple[RolloutFault, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class ScenarioResult:
    """How the simulated rollouts of one scenario went.

    Without a fault, `alert` is the chance of any false alert, `pause` and `roll_back` of being stopped for nothing.
    With faults, every rollout that a fault reached is one of three: `stopped` (paused or rolled back), `warned_only`
    (alerted, but nothing stops it unless a person acts) or `missed` (no alert of any kind while the fault is at work).
    `complete` is the chance to finish within the simulated days, `days_to_finish` tells of those that do.
    `days_to_catch` runs from the start of the day on which the fault began to the look that raised the first alert;
    `users_exposed` are the users in treatment by then, or at the end where it was missed; `users_exposed_at_end` those
    at the end of the rollout, when nobody acts on a warning.

    `end` (n) is 0 completed, 1 paused, 2 rolled back, 3 unfinished; `is_alerted` and `has_fault` (n) tell whether an
    alert was raised and whether a fault began; `exposed` (n) are users, `end_day` (n) days, NaN where unfinished.
    """

    scenario: Scenario
    alert: Probability
    pause: Probability
    roll_back: Probability
    complete: Probability
    missed: Probability
    stopped: Probability
    warned_only: Probability
    days_to_finish: Spread
    days_to_catch: Spread
    users_exposed: Spread
    users_exposed_at_end: Spread
    sentence: str
    end: npt.NDArray[np.int8]
    is_alerted: npt.NDArray[np.bool_]
    has_fault: npt.NDArray[np.bool_]
    exposed: npt.NDArray[np.float32]
    end_day: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class Preflight:
    """What a schedule and thresholds promise for the user's traffic, by simulation of `n_simulations` a scenario.

    `advice` names what would go on unless somebody acted, and a control that is missing at the end.
    """

    schedule: Schedule
    traffic: Traffic
    thresholds: Thresholds
    scenarios: tuple[ScenarioResult, ...]
    n_simulations: int
    max_days: int
    seed: int
    sentences: tuple[str, ...]
    advice: tuple[str, ...]
    assumptions: tuple[str, ...]

    def scenario(self, name: str) -> ScenarioResult | None:
        """Return the scenario of that name, None when it was not simulated."""
        return next((result for result in self.scenarios if result.scenario.name == name), None)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One quantity of a scenario under two settings: `second` - `first` with its 95 % interval over paired rollouts."""

    scenario: str
    quantity: str
    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None

    @property
    def is_clear(self) -> bool:
        """Whether the interval lies wholly on one side of no difference."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, kw_only=True)
class PreflightComparison:
    """Two settings beside each other."""

    differences: tuple[Difference, ...]
    sentences: tuple[str, ...]


def probability(happened: npt.NDArray[np.bool_]) -> Probability:
    """Return the share of true values (n) with its interval (Wilson 1927)."""
    n, hits = len(happened), int(happened.sum())
    if not n:
        return Probability(value=math.nan, low=math.nan, high=math.nan, n=0)
    share, square = hits / n, _Z * _Z
    centre, width = (
        (hits + square / 2) / (n + square),
        math.sqrt(share * (1 - share) * n + square / 4) * _Z / (n + square),
    )
    # Rounding leaves a bound of 1e-17 at no success, which would read as something.
    low, high = (0.0 if not hits else centre - width), (1.0 if hits == n else centre + width)
    return Probability(value=share, low=max(0.0, low), high=min(1.0, high), n=n)


def spread(values: npt.NDArray[np.floating]) -> Spread:
    """Return median and 95th percentile of the values (n) that are not NaN."""
    known = values[~np.isnan(values)]
    if not len(known):
        return Spread(median=None, p95=None, n=0)
    return Spread(median=float(np.median(known)), p95=float(np.quantile(known, 0.95)), n=len(known))


def difference_of_shares(first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return the bounds of P(second) - P(first) over pairs (n): half a pair is added to each kind of disagreement.

    Source: Agresti & Min 2005, "Simple improved confidence intervals for comparing matched proportions", Statistics in
    Medicine 24. So settings that never disagreed have an interval of some width, too.
    """
    gained, lost = float((second & ~first).sum()) + 0.5, float((first & ~second).sum()) + 0.5
    n = len(first) + 2.0
    centre, width = (gained - lost) / n, _Z * math.sqrt(gained + lost - (gained - lost) ** 2 / n) / n
    return max(-1.0, centre - width), min(1.0, centre + width)
