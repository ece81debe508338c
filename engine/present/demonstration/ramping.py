"""The stages that ship: flags for these dims, a rehearsed kill switch, a ramp that is stopped, and one that ends well.

Rollouts run on simulated time, with simulated traffic that is at first what the A/B test found: that is said in each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.experiment.storage import load_analysis
from engine.present.demonstration.kept import ACTOR, Outcome
from engine.present.demonstration.scene import FIRST_RAMP, RAMPED_FLAG, SECOND_RAMP
from engine.present.runbook import RunbookStore, rehearse_kill, run_preflight
from engine.progress import stop_if
from engine.rollout import RolloutState, SimulationSettings
from engine.rollout.traffic_days import RolloutFault

if TYPE_CHECKING:
    from engine.present.demonstration.scene import Scene
    from engine.progress import Progress
    from engine.rollout import RolloutStatus

_SIZE_FLAG = "reduced_dim_size"
_LONGEST_DAYS = 90.0  # a cautious schedule takes 54
_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class _Ramp:
    """A rollout to make: what breaks in it, and how many simulated days after it was drafted it starts."""

    key: str
    description: str
    reason: str
    faults: tuple[RolloutFault, ...] = ()
    starts_after_days: float = 0.0


_STOPPED = _Ramp(
    key=FIRST_RAMP,
    description="Simulated users and days. Too small an index answers slower and slower from day 8 on.",
    reason="Simulated: the A/B test is safe",
    faults=(
        RolloutFault(kind="latency", amount=2.2, first_day=8),
        RolloutFault(kind="latency", amount=1.7, first_day=9),
    ),
)
_COMPLETED = _Ramp(
    key=SECOND_RAMP,
    description="Simulated users and days. The second try, with the index that was built anew.",
    reason="Simulated: the index was built anew and has held in staging",
    starts_after_days=14.0,
)


def set_up_flags(scene: Scene, progress: Progress) -> Outcome:
    """Give the flag of the dims the sizes of the bundled set, and rehearse the kill switch on a copy of the flags."""
    full, dim = scene.sweep.dims[-1], scene.dim
    flag = scene.flags.flag(_SIZE_FLAG)
    wanted = replace(
        flag, variants={"full": full, str(dim): dim}, default_variant="full", safe_variant="full", split=None
    )
    if flag != wanted:
        scene.flags.set(
            wanted, expected_version=flag.version, actor=ACTOR, reason="The sizes of the bundled set", action="set"
        )
    kept = RunbookStore(scene.workspace).kept().rehearsal
    if kept is not None:
        return Outcome(sentence=kept.result.sentence)
    found = rehearse_kill(scene.flags, actor=ACTOR, flag_key=RAMPED_FLAG, progress=progress, cancelled=scene.cancelled)
    return Outcome(sentence=found.sentence)


def ramp_and_stop(scene: Scene, progress: Progress) -> Outcome:
    """Ramp until an alert pauses, go on against it, and be rolled back: an incident, closed with what was found."""
    status = _started(scene, _STOPPED, progress)
    while status.rollout.is_active:
        stop_if(scene.cancelled)
        if status.state is RolloutState.PAUSED:
            scene.rollouts.resume(
                FIRST_RAMP,
                actor=ACTOR,
                reason="Simulated: a restart of the index was to help",
                override="Simulated: whoever was on call took the alert for a cold cache",
            )
        status = _stepped(scene, FIRST_RAMP, progress)
    for incident in scene.rollouts.incidents(FIRST_RAMP):
        if incident.is_open:
            note = "Simulated: the index was too small for the traffic; it was built anew, and waits for a second try."
            scene.rollouts.close_incident(incident.key, note=note, actor=ACTOR)
    return Outcome(sentence=status.sentence)


def ramp_to_the_end(scene: Scene, progress: Progress) -> Outcome:
    """Ramp by the whole schedule of the plan; its holdback stays in control."""
    status = _started(scene, _COMPLETED, progress)
    if status.rollout.is_active:
        status = _stepped(scene, SECOND_RAMP, progress)
    return Outcome(sentence=status.sentence)


def _started(scene: Scene, ramp: _Ramp, progress: Progress) -> RolloutStatus:
    """Return the rollout of `ramp` once it has started, made where it is not there yet."""
    progress(0.0, f"Rollout {ramp.key}: pre-flight")
    status = _found(scene, ramp.key) or _drafted(scene, ramp)
    if status.state is not RolloutState.DRAFT:
        return status
    if ramp.key not in RunbookStore(scene.workspace).kept().preflights:
        run_preflight(scene.flags, ramp.key, actor=ACTOR, seed=scene.seed, cancelled=scene.cancelled)
    left = ramp.starts_after_days - (status.now - status.rollout.created_at) / _DAY
    if left > 0:
        scene.simulated.step(ramp.key, actor=ACTOR, hours=round(24 * left))
    return scene.rollouts.start(ramp.key, actor=ACTOR, reason=ramp.reason)


def _found(scene: Scene, key: str) -> RolloutStatus | None:
    return next((one for one in scene.rollouts.rollouts() if one.rollout.key == key), None)


def _drafted(scene: Scene, ramp: _Ramp) -> RolloutStatus:
    planned = scene.plan.plan.inputs
    status = scene.rollouts.create(
        ramp.key,
        flag_key=RAMPED_FLAG,
        actor=ACTOR,
        schedule=planned.used_schedule,
        thresholds=planned.used_thresholds,
        owner="demonstration",
        description=ramp.description,
        is_simulated=True,
        is_automatic=True,
        reason=ramp.reason,
    )
    settings = SimulationSettings(faults=(*_as_tested(scene), *ramp.faults), seed=scene.seed)
    scene.simulated.set(ramp.key, settings, actor=ACTOR)
    return status


def _as_tested(scene: Scene) -> tuple[RolloutFault, ...]:
    """Return what the treatment did to clicks and p99 latency in the A/B test, as traffic takes it."""
    analysis = load_analysis(scene.workspace, scene.demonstration.run_of("ab") or "")
    clicks = next(one.relative.value for one in analysis.metrics if one.key == "ctr")
    latency = next(one.relative.value for one in analysis.latencies if one.key == "p99")
    return (
        RolloutFault(kind="clicks", amount=clicks or 0.0),
        RolloutFault(kind="latency", amount=1 + (latency or 0.0)),
    )


def _stepped(scene: Scene, key: str, progress: Progress) -> RolloutStatus:
    """Step through the days of a rollout until it has ended, or somebody has to look."""
    passed = scene.simulated.step(key, actor=ACTOR, days=_LONGEST_DAYS, progress=progress, cancelled=scene.cancelled)
    return passed[-1]
