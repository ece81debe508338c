"""The field in which a planned ramp is written: ``0: 5, 3: 10`` means 5 % from day 0 and 10 % from day 3 on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import ParameterError
from engine.experiment.settings import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlit.delta_generator import DeltaGenerator

_STEP = re.compile(r"(?P<day>\d{1,4})\s*:\s*(?P<percent>\d{1,3}(\.\d{1,6})?)\s*%?")


def ramp_field(
    where: DeltaGenerator | None = None, *, key: str, usual: Sequence[Stage] = (), seen: Sequence[Stage] = ()
) -> str:
    """Draw the field and return what is typed; `seen` are the stages that the data show. Read it with `stages_of`."""
    found = f" New users were split about {_written(seen)}." if len(seen) > 1 else ""
    typed: str = (st if where is None else where).text_input(
        "Planned ramp, day: % of users",
        _written(usual),
        key=key,
        max_chars=500,
        placeholder="none, or 0: 5, 3: 10",
        help="Of users in the treatment; days are counted from 0. Each stage is compared within itself, and its split "
        f"is checked by itself.{found}",
    )
    return typed


def stages_of(typed: str) -> tuple[Stage, ...]:
    """Return the stages that were typed, none for an empty text. Raises ParameterError."""
    stages = []
    for step in filter(None, (part.strip() for part in typed.split(","))):
        found = _STEP.fullmatch(step)
        if found is None:
            raise ParameterError(
                "a ramp is written as day: percent, with commas between", found=step, hint="As in 0: 5, 3: 10"
            )
        stages.append(Stage(first_day=int(found["day"]), treatment_share=float(found["percent"]) / 100))
    return tuple(stages)


def _written(stages: Sequence[Stage]) -> str:
    return ", ".join(f"{stage.first_day}: {100 * stage.treatment_share:.3g}" for stage in stages)
