"""Tell a stored sweep and everything in its workspace that belongs to it as slides."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from engine.present.report.sources import read_sources
from engine.present.slides import decision, measured, planning, shipping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.present.report.sources import Sources
    from engine.present.slides.slide import Slide
    from engine.workspace import Workspace

_TELLERS: tuple[Callable[[Sources], Iterable[Slide]], ...] = (
    decision.verdict,
    measured.kept,
    measured.latency,
    measured.storage,
    decision.cost,
    decision.losers,
    measured.nesting,
    measured.growth,
    measured.cutoff,
    planning.plan,
    shipping.experiments,
    shipping.rollouts,
    shipping.migrations,
    planning.runbook,
    decision.basis,
)
"""In the order of the report."""


def slides_of(workspace: Workspace, run_id: str) -> tuple[Slide, ...]:
    """Return the slides of the stored sweep `run_id`: the verdict first, what it rests on last, two or more.

    They say what the report says, from the same stored results and with the same figures; nothing is measured, and
    what the workspace does not hold has no slide. Keys are unique and stay when other slides come or go.

    Raises
    ------
    RunNotFoundError
        When the workspace has no such run.
    WorkspaceError
        When the run is no sweep, or damaged.
    """
    sources = read_sources(workspace, run_id)
    return tuple(chain.from_iterable(tell(sources) for tell in _TELLERS))
