"""The schedule of a rollout: on which day which share of the users moves to the treatment."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from engine.errors import ParameterError, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.workspace import JsonValue

WEIGHT_OF_ONE_PERCENT = 1000
"""Weights of a flag are whole numbers, a thousand to the percent, as in the flag file."""

_MOST_STAGES = 100
_LAST_DAY = 3650
_LONGEST_NAME = 80
_HOLDBACKS = (5, 2, 1, 0.1)  # percentages to recommend, the first that leaves every stage something to add
_FORM = "Write it as 0:5, 3:10, 7:25, or with names as 0:5:canary"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """From `day` on (whole hours; 0.5 is noon of the first day) `percent` of the users see the treatment."""

    day: float
    percent: float
    name: str = ""

    @property
    def label(self) -> str:
        """The stage's name, or its percentage where it has none."""
        return self.name or f"{self.percent:g} %"


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The stages of a rollout in order; checked when made.

    `holdback_percent` of the users stay in control through 100 %: the ones that would have come in last, so that the
    shares of every earlier stage are what they say. Days are days of running: time spent paused does not count.

    Raises
    ------
    ParameterError
        When there is no stage, days are not rising from 0, percentages fall, repeat or exceed 100, a number is not
        finite, a day is not a whole hour or a percentage finer than a thousandth, or the holdback leaves a later
        stage nothing to add.
    """

    stages: tuple[Stage, ...]
    holdback_percent: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= len(self.stages) <= _MOST_STAGES:
            raise ParameterError(
                f"a schedule has 1 to {_MOST_STAGES} stages", found=f"{len(self.stages)} stages", hint=_FORM
            )
        for stage in self.stages:
            _check_stage(stage)
        # Exact hours and thousandths: the same schedule compares equal however its numbers were written.
        object.__setattr__(self, "stages", tuple(_exact(stage) for stage in self.stages))
        _check_days(self.stages)
        _check_percentages(self.stages)
        self._check_holdback()

    def _check_holdback(self) -> None:
        held = self.holdback_percent
        _check_number(held, "the holdback")
        if not 0 <= held < 100 or not _is_multiple(held * WEIGHT_OF_ONE_PERCENT):
            raise ParameterError("the holdback is 0 to under 100 % in steps of 0.001 %", found=f"{held:g} %")
        object.__setattr__(self, "holdback_percent", round(float(held), 3))
        for stage in self.stages[:-1]:
            if self.stages[-1].percent > 100 - held and stage.percent >= 100 - held:
                raise ParameterError(
                    "a stage after the one that reaches the holdback would add nobody",
                    found=f"{stage.percent:g} % with a holdback of {held:g} %",
                    hint="Lower the holdback or leave the later stages out",
                )

    def share_percent(self, index: int) -> float:
        """Return the share of all users that see the treatment in stage `index`, the holdback taken off."""
        return min(self.stages[index].percent, 100 - self.holdback_percent)

    def weight(self, index: int) -> int:
        """Return the flag's whole-number weight of the treatment in stage `index`, out of 100,000."""
        return round(self.share_percent(index) * WEIGHT_OF_ONE_PERCENT)

    def length_days(self, index: int) -> float:
        """Return how many days stage `index` runs before the next one is due; 0 for the last stage."""
        return self.stages[index + 1].day - self.stages[index].day if index + 1 < len(self.stages) else 0.0

    @property
    def advice(self) -> str:
        """Why a holdback is recommended, empty where one is kept or the last stage leaves a control anyway."""
        if self.share_percent(-1) < 100:
            return ""
        before = self.stages[-2].percent if len(self.stages) > 1 else 0.0
        held = next((one for one in _HOLDBACKS if before < 100 - one), None)
        advised = "a holdback" if held is None else f"a holdback, of {held:g} % for instance,"
        return (
            "Nobody stays in control at 100 %, so there the monitor has only stored days of before to compare with, "
            f"or nothing at all; {advised} keeps a control to the end."
        )

    @property
    def last_day(self) -> float:
        """The day on which the last stage begins."""
        return self.stages[-1].day

    @classmethod
    def parse(cls, text: str, *, holdback_percent: float = 0.0) -> Schedule:
        """Read ``day:percent[:name]`` with commas between; ``12h`` is a day too. Raises ParameterError.

        >>> [stage.percent for stage in Schedule.parse("0:5, 3:10, 7:25").stages]
        [5.0, 10.0, 25.0]
        """
        parts = [part.strip() for part in text.split(",")]
        if not any(parts):
            raise ParameterError("a schedule has at least one stage", found="nothing", hint=_FORM)
        return cls(stages=tuple(_parsed(part) for part in parts), holdback_percent=holdback_percent)

    def __str__(self) -> str:
        return ", ".join(_written(stage) for stage in self.stages)

    def as_json(self) -> dict[str, JsonValue]:
        """Return the schedule as plain JSON."""
        return {
            "stages": [{"day": stage.day, "percent": stage.percent, "name": stage.name} for stage in self.stages],
            "holdback_percent": self.holdback_percent,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Schedule:
        """Return the schedule that `as_json` made `document` of. Raises ParameterError."""
        try:
            stages = tuple(
                Stage(day=stage["day"], percent=stage["percent"], name=stage.get("name", ""))
                for stage in document["stages"]
            )
            held = document.get("holdback_percent", 0.0)
        except (KeyError, TypeError, AttributeError) as error:
            raise ParameterError("a schedule holds stages, each with a day and a percent", found=document) from error
        return cls(stages=stages, holdback_percent=held)


def _parsed(part: str) -> Stage:
    day, _, rest = part.partition(":")
    percent, _, name = rest.partition(":")
    try:
        hours = day.strip().lower().endswith("h")
        moment = float(day.strip()[:-1]) / 24 if hours else float(day)
        return Stage(day=moment, percent=float(percent.strip().removesuffix("%")), name=name.strip())
    except ValueError:
        raise ParameterError("a stage is a day and a percentage", found=part or "nothing", hint=_FORM) from None


def _written(stage: Stage) -> str:
    day = f"{stage.day:.0f}" if stage.day == round(stage.day) else f"{round(stage.day * 24)}h"
    return f"{day}:{stage.percent:.6g}" + (f":{stage.name}" if stage.name else "")


def _exact(stage: Stage) -> Stage:
    return Stage(day=round(stage.day * 24) / 24, percent=round(float(stage.percent), 3), name=stage.name)


def _check_number(value: object, what: str) -> None:
    # The comparison is false for NaN, and takes whole numbers that no float can hold.
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if not is_number:
        raise ParameterError(f"{what} must be a finite number", found=repr(value))


def _is_multiple(value: float) -> bool:
    return abs(value - round(value)) < 1e-6


def _check_stage(stage: Stage) -> None:
    _check_number(stage.day, "the day of a stage")
    _check_number(stage.percent, "the percentage of a stage")
    if not 0 <= stage.day <= _LAST_DAY or not _is_multiple(stage.day * 24):
        raise ParameterError(f"the day of a stage is 0 to {_LAST_DAY} in whole hours", found=f"{stage.day:g}")
    if not 0 < stage.percent <= 100 or not _is_multiple(stage.percent * WEIGHT_OF_ONE_PERCENT):
        raise ParameterError(
            "the percentage of a stage is above 0 and at most 100, in steps of 0.001", found=f"{stage.percent:g} %"
        )
    name = stage.name
    is_line = isinstance(name, str) and name.isprintable() and name == printable(name, longest=_LONGEST_NAME)
    if not is_line or "," in name:
        raise ParameterError(
            f"the name of a stage is printable, without a comma and at most {_LONGEST_NAME} characters", found=name
        )


def _check_days(stages: tuple[Stage, ...]) -> None:
    if stages[0].day != 0:
        raise ParameterError("the first stage begins on day 0", found=f"day {stages[0].day:g}")
    for earlier, later in pairwise(stages):
        if later.day <= earlier.day:
            what = "twice" if later.day == earlier.day else f"after day {earlier.day:g}"
            raise ParameterError("the days of the stages must rise", found=f"day {later.day:g} {what}")


def _check_percentages(stages: tuple[Stage, ...]) -> None:
    for earlier, later in pairwise(stages):
        if later.percent <= earlier.percent:
            what = "twice" if later.percent == earlier.percent else f"after {earlier.percent:g} %"
            raise ParameterError(
                "the percentages of the stages must rise",
                found=f"{later.percent:g} % {what}",
                hint="To shrink a rollout, roll it back",
            )


DEFAULT_SCHEDULE = Schedule(
    stages=tuple(
        Stage(day=day, percent=percent)
        for day, percent in (
            (0.0, 5.0),
            (3.0, 10.0),
            (7.0, 25.0),
            (14.0, 50.0),
            (21.0, 75.0),
            (28.0, 90.0),
            (35.0, 100.0),
        )
    )
)
"""Five weeks from 5 % to everybody."""
