"""The stage of the A/B test: simulated users see the lists of the sweep, and the read-out is judged as any other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.experiment.analysis import analyze
from engine.experiment.settings import AnalysisSettings, Margin
from engine.experiment.storage import KIND, Origin, load_sources, save_analysis
from engine.experiment.traffic import simulate
from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings
from engine.present.demonstration.kept import Outcome
from engine.present.demonstration.scene import part

if TYPE_CHECKING:
    from engine.present.demonstration.scene import Scene
    from engine.progress import Progress

_CONTROL = ArmNumbers(ctr=0.12, conversion=0.06, error_rate=0.001, p50_ms=40.0, p99_ms=120.0)
_USERS, _QUERIES_PER_DAY, _DAYS = 200_000, 200_000, 14
_CONVERSION = Margin(relative=0.05)
"""Who accepts a tenth less of nDCG accepts a twentieth of conversions; that of clicks is the plan's."""


def run_test(scene: Scene, progress: Progress) -> Outcome:
    """Simulate two weeks of an A/B test of the full dimension against the one to keep, and store the read-out.

    Clicks follow the judged lists of the sweep. Latency is assumed to fall with the number of components.
    """
    for run in scene.workspace.runs(kind=KIND):
        if run.parameters.get("sweep") == scene.sweep_run.id:
            return Outcome(sentence=str(run.summary["headline"]), run_id=run.id)
    traffic = _traffic(scene)
    sources = load_sources(scene.workspace, scene.sweep_run.id)
    events = simulate(
        traffic,
        sweep=sources.sweep,
        judgements=sources.judgements,
        progress=part(progress, 0, 2),
        cancelled=scene.cancelled,
    )
    settings = AnalysisSettings(ctr=Margin(relative=scene.plan.plan.inputs.used_margin), conversion=_CONVERSION)
    analysis = analyze(events, settings, seed=traffic.seed, progress=part(progress, 1, 2), cancelled=scene.cancelled)
    run = save_analysis(scene.workspace, analysis, Origin(traffic=traffic, sweep_run=scene.sweep_run.id))
    return Outcome(sentence=analysis.headline, run_id=run.id)


def _traffic(scene: Scene) -> TrafficSettings:
    speed = scene.dim / scene.sweep.dims[-1]
    return TrafficSettings(
        key=f"{scene.dim} of {scene.sweep.dims[-1]} dims",
        control=_CONTROL,
        treatment=ArmNumbers(
            ctr=_CONTROL.ctr,
            conversion=_CONTROL.conversion,
            error_rate=_CONTROL.error_rate,
            p50_ms=_CONTROL.p50_ms * speed,
            p99_ms=_CONTROL.p99_ms * speed,
        ),
        treatment_dim=scene.dim,
        n_users=_USERS,
        queries_per_day=_QUERIES_PER_DAY,
        n_days=_DAYS,
        seed=scene.seed,
    )
