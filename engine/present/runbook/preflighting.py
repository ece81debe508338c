"""Make a pre-flight of a rollout, and keep that it was made and for which settings."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from engine.present.runbook.owners import kept_plan
from engine.present.runbook.results import PreflightNote
from engine.present.runbook.storage import RunbookStore
from engine.progress import Cancelled, Progress, ignore_progress, never_cancelled
from engine.rollout.traffic_days import Traffic

if TYPE_CHECKING:
    from engine.flags import FlagStore
    from engine.rollout import RolloutControl, Schedule, Thresholds
    from engine.rollout.preflight_results import Preflight
    from engine.workspace import Workspace

SIMULATIONS = 1000
_MOST_SENTENCES = 12
_LONGEST_SENTENCE = 500


def settings_sha256(schedule: Schedule, thresholds: Thresholds) -> str:
    """Return the digest of what a pre-flight is about, to tell whether it has changed since."""
    text = json.dumps([schedule.as_json(), thresholds.as_json()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def note_preflight(control: RolloutControl, rollout_key: str, result: Preflight, *, actor: str) -> PreflightNote | None:
    """Keep `result`, made outside the runbook, as evidence when it is of the settings that the rollout has now.

    None when it is of other ones, or when a pre-flight of more simulations is kept for the same settings.
    Raises RolloutError when there is no such rollout.
    """
    rollout = control.status(rollout_key, settle=False).rollout
    sha256 = settings_sha256(rollout.schedule, rollout.thresholds)
    if settings_sha256(result.schedule, result.thresholds) != sha256:
        return None
    kept = RunbookStore(control.workspace).kept().preflights.get(rollout_key)
    if kept is not None and kept.result.sha256 == sha256 and kept.result.n_simulations > result.n_simulations:
        return None
    return _noted(control.workspace, rollout_key, result, actor=actor)


def run_preflight(
    flags: FlagStore,
    rollout_key: str,
    *,
    actor: str,
    traffic: Traffic | None = None,
    n_simulations: int | None = None,
    seed: int = 0,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> PreflightNote:
    """Simulate rollouts with the schedule and thresholds of `rollout_key`, and keep that as evidence.

    `traffic` is that of the workspace's plan unless given, and without a plan that of the example migration;
    `n_simulations` are `SIMULATIONS` unless given. Raises RolloutError when there is no such rollout, and as
    `engine.rollout.preflight.preflight` does.
    """
    from engine.rollout import RolloutControl
    from engine.rollout.preflight import preflight

    rollout = RolloutControl(flags.workspace, flags).status(rollout_key, settle=False).rollout
    result = preflight(
        rollout.schedule,
        traffic or _planned_traffic(flags.workspace),
        rollout.thresholds,
        n_simulations=SIMULATIONS if n_simulations is None else n_simulations,
        seed=seed,
        progress=progress,
        cancelled=cancelled,
    )
    return _noted(flags.workspace, rollout_key, result, actor=actor)


def _noted(workspace: Workspace, rollout_key: str, result: Preflight, *, actor: str) -> PreflightNote:
    traffic = result.traffic
    note = PreflightNote(
        rollout=rollout_key,
        sha256=settings_sha256(result.schedule, result.thresholds),
        n_simulations=result.n_simulations,
        seed=result.seed,
        traffic=f"{traffic.queries_a_day:,} queries a day of {traffic.users:,} users, p99 {traffic.p99_ms:g} ms",
        sentences=tuple(one.sentence[:_LONGEST_SENTENCE] for one in result.scenarios[:_MOST_SENTENCES]),
    )
    RunbookStore(workspace).keep_preflight(note, actor=actor)
    return note


def _planned_traffic(workspace: Workspace) -> Traffic:
    kept = kept_plan(workspace)
    if kept is None:
        return Traffic()
    planned = kept.plan.inputs
    users = max(1, round(planned.queries_per_day / planned.queries_per_user))
    return Traffic(queries_a_day=planned.queries_per_day, users=users, ctr=planned.ctr, p99_ms=planned.p99_ms)
