"""The timeline of a plan as what its chart draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.charts.plan import GanttBar
from engine.present.plan.wording import days_text

if TYPE_CHECKING:
    from engine.present.plan.results import Plan


def gantt_bars(plan: Plan) -> tuple[GanttBar, ...]:
    """Return a bar a step, in the order of the plan."""
    return tuple(
        GanttBar(
            label=f"{step.title} · {days_text(step.days)}",
            phase=step.phase,
            start_day=step.start_day,
            days=step.days,
            note=f"Owner: {step.owner}" if step.owner else step.basis,
        )
        for step in plan.steps
    )
