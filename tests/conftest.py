"""A workspace in which everything has been measured and done, made once for all workers of a run."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from engine.embeddings import EmbeddingSet
    from engine.workspace import Workspace

HOSTILE = (
    "<script>window.hacked=1</script>",
    '"><img src=x onerror=window.hacked=1>',
    "javascript:window.hacked=1",
    "\u202egnp.exe\u202c \u2066x\u2069",
    "</script><svg onload=window.hacked=1>",
    "=cmd|' /C calc'!A0",
    "שלום עולם",
    "👩‍👩‍👧‍👦 family",
    "half a pair \ud83d",
    "x" * 10_000,
)
"""Texts that a data set may hold; every id, text and group of the set below is one of them."""

_MADE_WITHIN_S = 110.0


def hostile_set() -> EmbeddingSet:
    """Return 2,000 synthetic documents whose every name, id and text would like to be markup, code or a formula."""
    from engine.embeddings.samples import synthetic

    made = synthetic(2_000, 16, n_queries=60, clusters=2, spectrum=3.0, seed=3)
    texts = [HOSTILE[row % len(HOSTILE)] for row in range(made.n_docs)]
    queries = texts[: made.n_queries]
    return replace(
        made,
        name='<b>Set</b> & "co" <script>window.hacked=1</script>',
        corpus_ids=[f"{text[:90]} #{row}" for row, text in enumerate(texts)],
        corpus_texts=[f"{text} document {row}" for row, text in enumerate(texts)],
        query_ids=[f"{text[:90]} q{row}" for row, text in enumerate(queries)],
        query_texts=[f"query {row} {text}" for row, text in enumerate(queries)],
        query_segments=[HOSTILE[row % 2] for row in range(made.n_queries)],
    )


@pytest.fixture(scope="session")
def told_workspace(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder of a workspace with a sweep of `hostile_set`, all panels, cost, A/B, rollouts and a migration.

    Making it takes seconds, so the workers of a run share one; nobody writes into it.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    folder, failed = shared / "told", shared / "told-failed"
    try:
        os.close(os.open(shared / "told-lock", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        deadline = time.monotonic() + _MADE_WITHIN_S
        while not folder.exists() and not failed.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert folder.exists(), "another worker could not make the workspace"
        return Path(shutil.copytree(folder, base / "told-copy"))
    try:
        _tell(shared / "told-unfinished")
    except BaseException:
        failed.touch()
        raise
    (shared / "told-unfinished").rename(folder)
    return folder


def _tell(folder: Path) -> None:
    from engine.tradeoff import save_sweep, sweep
    from engine.tradeoff.panels import explore
    from engine.tradeoff.size.cost import CostAssumptions
    from engine.tradeoff.size.options import compare_costs, save_estimate, serving_options
    from engine.workspace import Workspace

    chosen = hostile_set()
    with Workspace.open(folder) as workspace:
        workspace.save_dataset(chosen)
        result = sweep(chosen, (2, 4, 8, 16), (1, 10))
        run = save_sweep(workspace, result)
        answers = explore(workspace, chosen, result, run_id=run.id)
        assumptions = CostAssumptions(currency="<i>€</i>")
        options = serving_options(
            result.dims,
            n_docs=assumptions.n_docs,
            footprint=answers["footprint"].result,
            latency=answers["latency"].result,
        )
        estimate = compare_costs(assumptions, now=options[0], then=options[1])
        save_estimate(workspace, run, result.dataset, estimate)
        _experiment(workspace, run.id)
        _rollouts(workspace)
        _migration(workspace, folder.parent)


def _experiment(workspace: Workspace, sweep_run: str) -> None:
    from engine.experiment.analysis import analyze
    from engine.experiment.settings import AnalysisSettings
    from engine.experiment.storage import Origin, save_analysis
    from engine.experiment.traffic import simulate
    from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings

    traffic = TrafficSettings(
        control=ArmNumbers(ctr=0.12, conversion=0.06, error_rate=0.001),
        treatment=ArmNumbers(ctr=0.12, conversion=0.06, error_rate=0.001, p50_ms=14, p99_ms=42),
        key=HOSTILE[0],
        n_users=3_000,
        queries_per_day=3_000,
        n_days=3,
    )
    analysis = analyze(simulate(traffic), AnalysisSettings(), seed=traffic.seed)
    save_analysis(workspace, analysis, Origin(traffic=traffic, sweep_run=sweep_run))


def _rollouts(workspace: Workspace) -> None:
    from engine.flags import FlagStore
    from engine.rollout import RolloutControl, Schedule, SimulatedRollouts, SimulationSettings, parse_fault

    control = RolloutControl(workspace, FlagStore(workspace, refresh_s=0))
    simulated = SimulatedRollouts(control)
    shared = {"flag_key": "use_reduced_dims", "actor": "ann", "is_simulated": True, "is_automatic": True}
    for key, faults in (("broken", ("clicks:-40%@day1",)), ("ramp", ())):
        control.create(key, **shared, description=HOSTILE[0], owner="<i>ann</i>", schedule=Schedule.parse("0:10,2:100"))
        simulated.set(key, SimulationSettings(faults=tuple(parse_fault(one) for one in faults)), actor="ann")
        control.start(key, actor="ann", reason=HOSTILE[1])
        simulated.step(key, days=4, actor="ann")


def _migration(workspace: Workspace, folder: Path) -> None:
    from engine.migration import MigrationSettings, Migrator, open_store
    from engine.tradeoff import Interval

    vectors = np.random.default_rng(1).standard_normal((300, 16)).astype(np.float32)
    np.save(folder / "told-vectors.npy", vectors)
    urls = [f"file://{folder}/told-{name}.npy" for name in ("vectors", "moved")]
    with open_store(urls[0], role="source") as source, open_store(urls[1]) as target:
        settings = MigrationSettings(dims=8, validate_share=1.0)
        predicted = Interval(mean=0.6, low=0.5, high=0.7)
        Migrator(
            source, target, settings, workspace=workspace, actor="ann", queries=vectors[:20], predicted=predicted
        ).run()
