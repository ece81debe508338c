"""A sweep through several machines, of which one loses its link: hosts in network namespaces, which need root."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.embeddings import load
from engine.tradeoff import load_sweep, sweep
from engine.workspace import Workspace
from tests.hosts import connected_hosts, why_no_hosts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from engine.tradeoff import SweepResult
    from tests.hosts import Host

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

N, DIM, N_QUERIES, DIMS, K = 120_000, 64, 2_000, (16, 32), 10
_DASK = (sys.executable, "-m", "dask")


@pytest.fixture
def hosts(program: Callable[..., str]) -> Iterator[Sequence[Host]]:
    """Make four machines: one for the scheduler, two for workers, one where people sit."""
    program("ip", package="iproute2", runs="the sweep through several machines")
    reason = why_no_hosts()
    if reason:
        pytest.skip(f"no network namespaces can be made here, which root may: {reason}")
    with connected_hosts(4) as made:
        yield made


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a corpus as eight parts, which all machines see, and queries that keep them busy."""
    folder = tmp_path_factory.mktemp("machines")
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((N, DIM), dtype=np.float32)
    (folder / "parts").mkdir()
    np.save(folder / "corpus.npy", rows)
    np.save(folder / "queries.npy", rng.standard_normal((N_QUERIES, DIM), dtype=np.float32))
    for number, part in enumerate(np.array_split(rows, 8)):
        np.save(folder / "parts" / f"{number}.npy", part)
    return folder


@contextmanager
def cluster(hosts: Sequence[Host], folder: Path) -> Iterator[str]:
    """Start a scheduler on the first machine and a worker on each of the next two, as the README says."""
    scheduler = f"tcp://{hosts[0].address}:8786"
    commands = [hosts[0].command(*_DASK, "scheduler", "--host", hosts[0].address, "--no-dashboard")]
    commands += [
        one.command(*_DASK, "worker", scheduler, "--nworkers", "1", "--nthreads", "1", "--no-dashboard")
        for one in hosts[1:3]
    ]
    with ExitStack() as running, (folder / "log").open("wb") as log:
        for command in commands:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
            running.callback(process.wait, 30)
            running.callback(process.terminate)
        _wait_for_workers(hosts[3], scheduler)
        yield scheduler


def _wait_for_workers(host: Host, scheduler: str) -> None:
    code = f"from distributed import Client; Client({scheduler!r}, timeout=60).wait_for_workers(2, timeout=60)"
    subprocess.run(host.command(sys.executable, "-c", code), check=True, timeout=90, capture_output=True)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a command ended, what it said last, and how long it took."""

    status: int
    said: str
    seconds: float


def run_sweep(host: Host, scheduler: str, corpus: Path, folder: Path, *, on_progress: Callable[[float], None]) -> Ran:
    """Run `dimshift sweep` on a machine as in a terminal; tell the shares that it shows."""
    command = [sys.executable, "-m", "engine.cli", "sweep", f"{corpus}/parts", "--queries", f"{corpus}/queries.npy"]
    command += ["--dims", ",".join(map(str, DIMS)), "--k", str(K), "--scheduler", scheduler]
    terminal, its_end = pty.openpty()
    began = time.monotonic()
    process = subprocess.Popen(
        host.command(*command, "--workspace", str(folder / "w")), stdout=subprocess.DEVNULL, stderr=its_end
    )
    os.close(its_end)
    said = b""
    try:
        while piece := _read(terminal):
            said += piece
            for share in re.findall(rb"(\d+) ?%[^\r\n]*Scored", piece):
                on_progress(int(share) / 100)
        status = process.wait(60)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    last = said.decode(errors="replace").rpartition("\x1b[K")[2].strip()
    return Ran(status=status, said=last, seconds=time.monotonic() - began)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # nobody has it open any more
        return b""


def _found(folder: Path) -> SweepResult:
    with Workspace.open(folder / "w") as workspace:
        return load_sweep(workspace, workspace.runs(kind="sweep")[0].id)


class Cutting:
    """Takes the link of a machine down once the sweep has begun to score."""

    def __init__(self, host: Host) -> None:
        self.host, self.at = host, 0.0

    def __call__(self, share: float) -> None:
        """Take note of the share."""
        if share > 0 and not self.at:
            self.host.cut()
            self.at = share


def test_a_machine_that_loses_its_link_changes_nothing(hosts, corpus: Path, tmp_path: Path) -> None:
    """A worker's link is cut while it scores: its stretches are scored by the other, and the result is the same."""
    expected = sweep(load(corpus / "corpus.npy", queries=corpus / "queries.npy"), DIMS, (K,))
    cutting = Cutting(hosts[2])
    with cluster(hosts, tmp_path) as scheduler:
        whole = run_sweep(hosts[3], scheduler, corpus, tmp_path / "whole", on_progress=lambda _: None)
        broken = run_sweep(hosts[3], scheduler, corpus, tmp_path / "broken", on_progress=cutting)
    print(f"{whole.seconds:.1f} s whole, {broken.seconds:.1f} s, a link cut at {cutting.at:.0%}")  # noqa: T201  # pytest -s
    assert 0 < cutting.at < 1
    for folder, ran, n_lost in (("whole", whole, 0), ("broken", broken, 1)):
        assert ran.status in {0, 3}, ran.said
        found = _found(tmp_path / folder)
        assert found.cluster.workers_lost == n_lost
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_array_equal(found.scores, expected.scores)


def test_whoever_loses_the_link_to_the_scheduler_is_told(hosts, corpus: Path, tmp_path: Path) -> None:
    """The link of the machine that asked is cut: the command does not wait for ever, and ends with one sentence."""
    cutting = Cutting(hosts[3])
    with cluster(hosts, tmp_path) as scheduler:
        ran = run_sweep(hosts[3], scheduler, corpus, tmp_path / "cut", on_progress=cutting)
    print(f"told after {ran.seconds:.1f} s, the link cut at {cutting.at:.0%}")  # noqa: T201  # pytest -s
    assert ran.status == 1
    assert "the Dask scheduler must stay reachable until the sweep is done" in ran.said
    assert "Traceback" not in ran.said
