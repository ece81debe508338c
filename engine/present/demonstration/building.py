"""Build the demonstration stage by stage; what was built stays, and a later call goes on behind it."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import ConflictError
from engine.present.demonstration.checking import tick_checks
from engine.present.demonstration.kept import (
    DEMONSTRATION_KIND,
    StageDone,
    claim,
    find_demonstration,
    keep_stage,
    release,
)
from engine.present.demonstration.measuring import estimate_costs, keep_data, measure_panels, sweep_sets
from engine.present.demonstration.moving import move_vectors
from engine.present.demonstration.others_work import others_work
from engine.present.demonstration.planning import make_first_plan, plan_cautiously
from engine.present.demonstration.ramping import ramp_and_stop, ramp_to_the_end, set_up_flags
from engine.present.demonstration.scene import Scene
from engine.present.demonstration.testing import run_test
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.seeds import check_seed
from engine.tradeoff.panels import panel

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from engine.present.demonstration.kept import Demonstration, Outcome
    from engine.progress import Cancelled, Progress
    from engine.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage: `weight` is about how many seconds it takes; `build` may be called again after it was interrupted."""

    key: str
    title: str
    weight: float
    build: Callable[[Scene, Progress], Outcome]


STAGES = (
    Stage(key="data", title="Data", weight=3, build=keep_data),
    Stage(key="sweeps", title="Sweeps", weight=3, build=sweep_sets),
    Stage(key="panels", title="Speed, size, nesting and growth", weight=12, build=measure_panels),
    Stage(key="costs", title="Costs", weight=0.5, build=estimate_costs),
    Stage(key="plan", title="Plan", weight=0.5, build=make_first_plan),
    Stage(key="ab", title="A/B test", weight=2, build=run_test),
    Stage(key="flags", title="Flags and kill switch", weight=4, build=set_up_flags),
    Stage(key="first-ramp", title="A rollout that is stopped", weight=1, build=ramp_and_stop),
    Stage(key="new-plan", title="Plan, with more caution", weight=0.5, build=plan_cautiously),
    Stage(key="second-ramp", title="A rollout to the end", weight=2, build=ramp_to_the_end),
    Stage(key="move", title="Migration", weight=6, build=move_vectors),
    Stage(key="checks", title="Runbook", weight=0.5, build=tick_checks),
)


def build_demonstration(
    workspace: Workspace,
    *,
    seed: int = 0,
    panels: Collection[str] | None = None,
    clock: Callable[[], float] = time.monotonic,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> Demonstration:
    """Take the bundled data through every stage, from the sweep to a validated migration, and return what is there.

    Rollouts run on simulated time, users are simulated, and what is stored says so; everything else is measured. A
    workspace with a finished demonstration is left as it is. One that was interrupted is gone on with, by the seed and
    `panels` (of `engine.tradeoff.panels`, None for all) that it was begun with. `clock`, in seconds, times the stages.

    Raises
    ------
    WorkspaceError
        When people keep work of their own in `workspace` (see `others_work`), or another process builds it now.
    CancelledError
        When `cancelled` says so; the stages until then are kept, and so is what the last one has stored.
    ParameterError
        When the seed or a panel is unknown.
    """
    check_seed(seed)
    keys = None if panels is None else tuple(panel(key).key for key in panels)
    present = find_demonstration(workspace)
    if present is not None and present.is_complete:
        return present
    workspace.check_access(DEMONSTRATION_KIND, "build")
    progress(0.0, "Looking at the workspace")
    claimed = claim(workspace, seed=seed, panels=keys, others=() if present is not None else others_work(workspace))
    try:
        for stage in STAGES:
            kept = claimed.demonstration
            if stage.key in {done.key for done in kept.stages}:
                continue
            stop_if(cancelled)
            began = clock()
            outcome = stage.build(Scene(workspace, kept, cancelled=cancelled), _scaled(progress, stage))
            done = StageDone(key=stage.key, title=stage.title, outcome=outcome, seconds=clock() - began)
            claimed = keep_stage(workspace, claimed, done, is_last=stage is STAGES[-1])
    finally:
        with suppress(ConflictError):  # another process has taken it over, and it is that one's now
            release(workspace, claimed)
    progress(1.0, "Done")
    return claimed.demonstration


def _scaled(progress: Progress, stage: Stage) -> Progress:
    """Return what reports the progress of `stage` as a part of the whole."""
    place = STAGES.index(stage)
    whole = sum(one.weight for one in STAGES)
    before = sum(one.weight for one in STAGES[:place])

    def report(share: float, message: str) -> None:
        progress((before + stage.weight * share) / whole, f"{place + 1} of {len(STAGES)}, {stage.title}: {message}")

    return report
