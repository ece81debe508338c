"""What an analysis allows and how sure it must be: every threshold, with the default that users start from."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from engine.errors import ParameterError
from engine.experiment.checks import check_alpha, check_confidence, check_power, check_users_per_day

Metric = Literal["ctr", "conversion", "error_rate", "no_results"]
METRICS: tuple[Metric, ...] = get_args(Metric)
"""Shares of queries, in the order in which they are shown; conversions are counted per query, not per click."""

LATENCY = "p99"
"""The latency percentile that an overall verdict counts; p50 and p95 are shown beside it."""

JUDGED: tuple[str, ...] = ("ctr", "conversion", "error_rate", LATENCY)
"""What the overall verdict counts by default, where the events hold it."""

MIN_USERS = 30
"""With fewer users in an arm, or queries worth those of fewer, nothing is called safe or harmful."""

_STAGE = re.compile(r"(?P<day>\d{1,4})\s*:\s*(?P<percent>\d{1,3}(\.\d{1,6})?)\s*%?")
_NAMES = {"ctr": "CTR", "conversion": "conversion", "error_rate": "error rate", "no_results": "no-result rate"}


@dataclass(frozen=True, kw_only=True)
class Margin:
    """The largest loss that is acceptable: `relative` to the control, or `absolute` in the metric's own unit.

    The larger of the two counts. An absolute part keeps a rare event readable: from no error at all to one error is an
    infinite relative increase.
    """

    relative: float
    absolute: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stretch of a ramp: from `first_day` (counted from 0) on, the treatment gets `treatment_share` (0..1) of all."""

    first_day: int
    treatment_share: float


@dataclass(frozen=True, kw_only=True)
class AnalysisSettings:
    """Margins, error rates and gates of an analysis; shares are from 0 to 1.

    Margins: `ctr`, `conversion` and `no_results` relative to the control. "Any increase" of the error rate cannot be
    ruled out by any number of users, so `error_rate` allows an increase of 10 % of the control's rate (where an alert
    of the monitor starts) or of 2 errors in 10,000 queries, whichever is larger; that a smaller increase is real is
    still said. `latency` is the relative increase allowed to every percentile. `expected_speedup` is what the reduced
    arm is hoped to gain and changes no verdict.

    `alpha` is the level of the one-sided non-inferiority tests and of Holm's correction, `confidence` that of every
    two-sided interval, `power` that of the plans. `sequential_n` is the number of users at which the anytime-valid
    interval is tightest. The split is broken below `srm_threshold` or when more than `max_multi_exposure` of the users
    saw both arms. `stages` describes a planned ramp, empty for a constant split. `users_per_day` is the traffic that
    further days are counted with; None takes the events' own. `judged` names what the overall verdict counts.
    """

    ctr: Margin = Margin(relative=0.05)
    conversion: Margin = Margin(relative=0.01)
    error_rate: Margin = Margin(relative=0.10, absolute=0.0002)
    no_results: Margin = Margin(relative=0.10, absolute=0.0002)
    latency: Margin = Margin(relative=0.10)
    expected_speedup: float = 2.0
    alpha: float = 0.05
    confidence: float = 0.95
    power: float = 0.8
    sequential_n: int = 5000
    srm_threshold: float = 0.001
    max_multi_exposure: float = 0.01
    stages: tuple[Stage, ...] = ()
    users_per_day: float | None = None
    judged: tuple[str, ...] = JUDGED

    def __post_init__(self) -> None:
        """Raise `ParameterError` where a setting is out of range."""
        for metric in METRICS:
            _check_margin(_NAMES[metric], self.margin(metric))
        _check_margin("latency", self.latency, most=math.inf)
        check_alpha(self.alpha)
        check_confidence(self.confidence)
        check_power(self.power)
        _check_between("the threshold of the split check", self.srm_threshold, 0, 0.5)
        if not 0 <= self.max_multi_exposure < 1:
            raise ParameterError(
                "the share of users of both arms must be 0 or more and below 1", found=self.max_multi_exposure
            )
        if isinstance(self.sequential_n, bool) or self.sequential_n != int(self.sequential_n) or self.sequential_n < 1:
            raise ParameterError("N* must be a whole number of users, at least 1", found=self.sequential_n)
        if not (math.isfinite(self.expected_speedup) and self.expected_speedup > 0):
            raise ParameterError("the expected speed-up must be above 0", found=self.expected_speedup)
        check_users_per_day(self.users_per_day)
        _check_stages(self.stages)
        _check_judged(self.judged)

    def margin(self, metric: Metric) -> Margin:
        """Return the margin of `metric`."""
        margins: dict[Metric, Margin] = {
            "ctr": self.ctr,
            "conversion": self.conversion,
            "error_rate": self.error_rate,
            "no_results": self.no_results,
        }
        return margins[metric]


def parse_stages(text: str) -> tuple[Stage, ...]:
    """Return the stages in ``0:5, 3:10`` (from day 0 on 5 % of the users, from day 3 on 10 %), none for an empty text.

    >>> [stage.treatment_share for stage in parse_stages("0: 5, 3: 10 %")]
    [0.05, 0.1]

    Raises
    ------
    ParameterError
        When a part is no day with a percentage.
    """
    stages = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _STAGE.fullmatch(part)
        if found is None:
            raise ParameterError(
                "a ramp is written as day:percent, with commas between", found=part, hint="As in 0:5, 3:10"
            )
        stages.append(Stage(first_day=int(found["day"]), treatment_share=float(found["percent"]) / 100))
    return tuple(stages)


def metric_name(metric: str) -> str:
    """Return how `metric` is called in sentences; a percentile is called ``p99 latency``.

    >>> metric_name("error_rate")
    'error rate'
    """
    return _NAMES.get(metric, f"{metric} latency")


def is_loss_up(metric: str) -> bool:
    """Whether a higher value of `metric` is the worse one: errors, empty answers and latency, not clicks."""
    return metric not in {"ctr", "conversion"}


def _check_margin(name: str, margin: Margin, *, most: float = 1.0) -> None:
    if not (math.isfinite(margin.relative) and 0 < margin.relative < most):
        bound = " and finite" if math.isinf(most) else " and below 100 %"
        raise ParameterError(
            f"the margin of the {name} must be above 0{bound}",
            found=margin.relative,
            hint="A margin of 0 could never be shown to be kept; 0.05 allows a relative loss of 5 %",
        )
    if not 0 <= margin.absolute < 1:
        raise ParameterError(f"the absolute margin of the {name} must be 0 or more and below 1", found=margin.absolute)


def _check_between(name: str, value: float, low: float, high: float) -> None:
    if not low < value < high:
        raise ParameterError(f"{name} must be above {low} and below {high}", found=value)


def _check_stages(stages: tuple[Stage, ...]) -> None:
    days = [stage.first_day for stage in stages]
    if stages and (days[0] != 0 or sorted(set(days)) != days):
        raise ParameterError("the stages of a ramp start on day 0 and ascend", found=", ".join(map(str, days)))
    for stage in stages:
        if not 0 <= stage.treatment_share <= 1:
            raise ParameterError(
                "the treatment share of a stage must be from 0 to 1",
                found=stage.treatment_share,
                hint="A quarter of the users is 0.25",
            )


def _check_judged(judged: tuple[str, ...]) -> None:
    known = (*METRICS, LATENCY)
    unknown = [name for name in judged if name not in known]
    if unknown or not judged or len(set(judged)) != len(judged):
        raise ParameterError(
            f"what is judged is one or more of {', '.join(known)}", found=", ".join(judged) or "nothing"
        )
