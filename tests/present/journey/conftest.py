"""A workspace with a small sweep of somebody's own vectors, and what stores A/B tests, rollouts and moves in it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.embeddings.embedding_set import Judgements
from engine.embeddings.samples import synthetic
from engine.experiment.analysis import analyze
from engine.experiment.settings import AnalysisSettings
from engine.experiment.storage import Origin, save_analysis
from engine.experiment.traffic import simulate
from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings
from engine.flags import FlagStore
from engine.migration import MigrationSettings, Migrator, open_store
from engine.rollout import Observation, RolloutControl, Schedule
from engine.tradeoff import Criterion, save_sweep, sweep
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.embeddings import EmbeddingSet
    from engine.workspace import Run


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the moment."""
        return self.moment

    def pass_days(self, days: float) -> None:
        """Move on."""
        self.moment += timedelta(days=days)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIMSHIFT_WORKSPACE", raising=False)
    monkeypatch.delenv("DIMSHIFT_DATABASE_URL", raising=False)


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands at 2026-03-01 09:00 UTC."""
    return Clock()


@pytest.fixture(scope="session")
def own_set() -> EmbeddingSet:
    """Return vectors that neither come with Dimshift nor say that they were generated, with judgements."""
    made = synthetic(600, 16, n_queries=60, clusters=2, spectrum=3.0, seed=3)
    rows = np.arange(60)
    judged = Judgements(query_rows=rows, doc_rows=rows * 7, grades=np.ones(60, np.float32))
    return replace(made, name="Ours", labels=(), judgements=judged)


@pytest.fixture(scope="session")
def _swept_folder(tmp_path_factory: pytest.TempPathFactory, own_set: EmbeddingSet) -> Path:
    folder = tmp_path_factory.mktemp("journey") / "workspace"
    with Workspace.open(folder, clock=Clock()) as workspace:
        FlagStore(workspace)
        result = sweep(own_set, (4, 8, 16), (1, 10))
        save_sweep(workspace, result, criterion=Criterion(quantity="recall", k=10, target=0.5))
    return folder


@pytest.fixture
def empty(tmp_path: Path, clock: Clock) -> Iterator[Workspace]:
    """Return an empty workspace."""
    with Workspace.open(tmp_path / "empty", clock=clock) as opened:
        yield opened


@pytest.fixture
def swept(_swept_folder: Path, tmp_path: Path, clock: Clock) -> Iterator[Workspace]:
    """Return a workspace with one sweep of `own_set` that shows a smaller dimension to be safe."""
    folder = Path(shutil.copytree(_swept_folder, tmp_path / "workspace"))
    with Workspace.open(folder, clock=clock) as opened:
        yield opened


@pytest.fixture
def store_test(clock: Clock) -> Callable[..., Run]:
    """Return what stores an A/B test, an hour after the last: simulated, or its events as a log would give them."""

    def store(
        workspace: Workspace, *, is_real: bool = False, treatment_ctr: float = 0.12, percent: float = 50.0, **other: str
    ) -> Run:
        clock.pass_days(1 / 24)
        traffic = TrafficSettings(
            control=ArmNumbers(ctr=0.12, conversion=0.02, error_rate=0.001),
            treatment=ArmNumbers(ctr=treatment_ctr, conversion=0.02, error_rate=0.001),
            key="test",
            percent=percent,
            n_users=6_000,
            queries_per_day=12_000,
            n_days=2,
        )
        events = simulate(traffic)
        if is_real:
            events = replace(events, labels=("log",), shares=(0.5, 0.5))
        found = analyze(events, AnalysisSettings(judged=("ctr",), ctr=AnalysisSettings().latency), seed=traffic.seed)
        origin = Origin(file="log.csv") if is_real else Origin(traffic=traffic, **other)
        return save_analysis(workspace, found, origin)

    return store


@pytest.fixture
def begin_rollout(clock: Clock) -> Callable[..., RolloutControl]:
    """Return what starts a rollout of two stages, 10 % and from the second day on all users."""

    def begin(workspace: Workspace, key: str = "ramp", *, is_simulated: bool = False) -> RolloutControl:
        control = RolloutControl(workspace, FlagStore(workspace, refresh_s=0))
        control.create(
            key,
            flag_key="use_reduced_dims",
            actor="ann",
            is_simulated=is_simulated,
            is_automatic=is_simulated,
            schedule=Schedule.parse("0:10,2:100"),
        )
        control.start(key, actor="ann")
        return control

    return begin


@pytest.fixture
def observed_day(clock: Clock) -> Callable[..., tuple[Observation, ...]]:
    """Return what makes a day of both arms, ending now, in which the treatment's users click at `ctr`."""

    def make(*, ctr: float = 0.12, percent: float = 10.0, is_simulated: bool = False) -> tuple[Observation, ...]:
        end = clock.moment
        counted = {"start": (end - timedelta(days=1)).isoformat(), "end": end.isoformat(), "percent": percent}
        return tuple(
            Observation(
                **counted,
                arm=arm,
                n_users=50_000,
                n_queries=100_000,
                n_clicks=round(100_000 * clicked),
                n_errors=100,
                p99_ms=120.0,
                p99_low_ms=118.0,
                p99_high_ms=122.0,
                source="test",
                is_simulated=is_simulated,
            )
            for arm, clicked in (("control", 0.12), ("treatment", ctr))
        )

    return make


@pytest.fixture
def move(tmp_path: Path) -> Callable[..., None]:
    """Return what moves 200 vectors from file to file, below `folder`."""

    def moved(workspace: Workspace, folder: Path = tmp_path) -> None:
        vectors = np.random.default_rng(1).standard_normal((200, 16)).astype(np.float32)
        np.save(folder / "vectors.npy", vectors)
        urls = [f"file://{folder}/{name}.npy" for name in ("vectors", "moved")]
        with open_store(urls[0], role="source") as source, open_store(urls[1]) as target:
            settings = MigrationSettings(dims=8, validate_share=1.0)
            Migrator(source, target, settings, workspace=workspace, actor="ann", queries=vectors[:20]).run()

    return moved
