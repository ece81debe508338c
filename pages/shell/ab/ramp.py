"""The field in which a planned ramp is written: ``0: 5, 3: 10`` means 5 % from day 0 and 10 % from day 3 on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlit.delta_generator import DeltaGenerator

    from engine.experiment.settings import Stage


def ramp_field(
    where: DeltaGenerator | None = None, *, key: str, usual: Sequence[Stage] = (), seen: Sequence[Stage] = ()
) -> str:
    """Draw the field and return what is typed; `seen` are the stages that the data show. See `parse_stages`."""
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


def _written(stages: Sequence[Stage]) -> str:
    return ", ".join(f"{stage.first_day}: {100 * stage.treatment_share:.3g}" for stage in stages)
