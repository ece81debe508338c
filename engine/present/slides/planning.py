"""The slides on what is to come and what happens when it goes wrong: the plan, and the runbook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.experiment.wording import as_start
from engine.present.plan.wording import date_text, days_text
from engine.present.report import planning as told
from engine.present.report.blocks import Card
from engine.present.slides.slide import charts_of, slide

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.present.report.sources import Sources
    from engine.present.runbook.checks import CheckState
    from engine.present.slides.slide import Slide

_NOT_DONE: tuple[CheckState, ...] = ("not met", "stale", "open")


def plan(sources: Sources) -> Iterable[Slide]:
    """Say how far the plan goes, why, and how long that takes."""
    if sources.plan is None:
        return
    found = sources.plan.plan
    ends = "" if found.ends_on is None else f", until {date_text(found.ends_on)}"
    length = f"{as_start(days_text(found.days))} in all{ends}." if found.steps else ""
    charts = charts_of(told.plan, sources)
    yield slide(
        "plan",
        "Plan",
        found.strategy.headline,
        below=f"{length} {found.strategy.reason}".strip(),
        chart=charts[0] if charts else None,
        numbers=() if charts else (Card(name="Length", value=days_text(found.days)),),
        labels=found.strategy.labels,
    )


def runbook(sources: Sources) -> Iterable[Slide]:
    """Say how ready everybody is to roll back."""
    found = sources.runbook
    if found is None:
        return
    missing = [(state, found.count(state)) for state in _NOT_DONE]
    yield slide(
        "runbook",
        "Runbook",
        found.readiness,
        below=found.check("kill-switch").reason,
        numbers=(
            Card(
                name="Done", value=f"{found.count('done'):,} of {len(found.checks):,}", below="items of the checklist"
            ),
            *(Card(name=as_start(state), value=f"{number:,}") for state, number in missing if number),
        ),
        labels=found.labels,
    )
