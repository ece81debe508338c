"""Clusters that break: workers killed again and again, all at once, and a scheduler that goes away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.errors import ClusterError
from engine.tradeoff import sweep
from engine.tradeoff.distributed import sweep_on_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.embeddings import EmbeddingSet

DIMS, KS = (8, 16, 32), (10,)


@pytest.fixture
def slow_set(on_disk) -> EmbeddingSet:
    """Return the corpus with 8,000 queries, which keep two workers busy for some seconds."""
    queries = np.random.default_rng(8).standard_normal((8_000, 48), dtype=np.float32)
    return replace(on_disk.load(), queries=queries)


@contextmanager
def _started(folder: Path, n_workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a scheduler and workers by the commands that the README names; yield the address and the processes."""
    dask = [sys.executable, "-m", "dask"]
    port = 20_000 + os.getpid() % 20_000
    address = f"tcp://127.0.0.1:{port}"
    # What they log is not read; without --no-nanny a nanny would start killed workers again.
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    commands = [[*dask, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]]
    commands += [[*dask, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]] * n_workers
    processes = [subprocess.Popen(command, **quiet) for command in commands]
    try:
        yield address, processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_workers_that_keep_dying_change_nothing(slow_set: EmbeddingSet, tmp_path: Path) -> None:
    """Of four workers three are killed during one sweep; what the last one completes is what one process finds."""
    expected = sweep(slow_set, DIMS, KS)
    with _started(tmp_path, 4) as (address, processes):
        _wait_for_workers(address, 4)
        victims = processes[1:4]

        def kill_some(share: float, _: str) -> None:
            if victims and share > 0.2 * (4 - len(victims)):
                victims.pop().send_signal(signal.SIGKILL)

        found = sweep_on_cluster(slow_set, DIMS, KS, scheduler=address, progress=kill_some)
    assert not victims
    assert (found.cluster.workers, found.cluster.workers_lost) == (1, 3)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.scores, expected.scores)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("which", "words"),
    [
        (slice(1, None), "a cluster without workers is given 1 s .* found none at tcp"),
        (slice(0, 1), "the Dask scheduler must stay reachable .* found no answer from tcp"),
    ],
)
def test_nobody_left_is_one_sentence(
    slow_set: EmbeddingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: slice, words: str
) -> None:
    """When every worker, or the scheduler, is killed the sweep ends with one sentence and does not wait for ever."""
    monkeypatch.setattr("engine.tradeoff.distributed.ranking._NO_WORKERS_FOR_S", 1.0)
    with _started(tmp_path, 2) as (address, processes):
        _wait_for_workers(address, 2)
        victims = list(processes[which])

        def kill_them(share: float, _: str) -> None:
            while share > 0 and victims:
                victims.pop().send_signal(signal.SIGKILL)

        with pytest.raises(ClusterError, match=words):
            sweep_on_cluster(slow_set, DIMS, KS, scheduler=address, progress=kill_them)
        assert not victims


def _wait_for_workers(address: str, n: int) -> None:
    from distributed import Client

    with Client(address, timeout=60, set_as_default=False) as client:
        client.wait_for_workers(n, timeout=60)
