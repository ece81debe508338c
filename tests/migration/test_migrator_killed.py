"""kill -9 of the migrating process at random moments: whoever resumes loses nothing and repeats nothing."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

N_ROWS, DIM, DIMS = 3000, 24, 8


def _started(source: Any, target: Any, folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "engine.cli", "migrate", source.url, target.url, "--dims", str(DIMS), "--no-index"]
    command += ["--workspace", str(folder), "--batch-size", "40", "--rate", "3000", "--json", "-", "--resume", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _killed_at_random(process: subprocess.Popen[str], target: Any, rng: random.Random, *, until: int) -> None:
    """Kill while rows are being written: once a random number of them has arrived, after a random moment more."""
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline and not (target.exists() and target.count() >= until):
        time.sleep(0.005)
    time.sleep(rng.random() * 0.03)
    process.kill()
    process.communicate()


def _assert_equal(source: Any, target: Any) -> None:
    found: list[Any] = []
    for batch in target.scan(batch_size=1000):
        found += batch.ids
        mine = source.fetch(batch.ids)
        cut = mine.vectors[:, :DIMS].astype(np.float64)
        assert np.abs(batch.vectors - cut / np.linalg.norm(cut, axis=1, keepdims=True)).max() <= 1e-6
        assert [batch.payload(row) for row in range(len(batch))] == [mine.payload(row) for row in range(len(mine))]
    assert len(found) == len(set(found)) == N_ROWS


@pytest.mark.parametrize("n_kills", [3, pytest.param(20, marks=(pytest.mark.slow, pytest.mark.timeout(300)))])
def test_killed_at_random_moments_nothing_is_lost(filled: Any, connect: Any, tmp_path: Path, n_kills: int) -> None:
    """Killed again and again and resumed each time, the target has every row once, with its values and payload."""
    rng = random.Random(n_kills)
    source, _ = filled(N_ROWS, DIM)
    target, folder = connect(), tmp_path / "killed"
    counts = sorted(rng.randrange(0, N_ROWS) for _ in range(n_kills))
    for until in counts:
        _killed_at_random(_started(source, target, folder), target, rng, until=until)
    output, complaints = _started(source, target, folder).communicate(timeout=60)
    report = json.loads(output)
    assert report["validation"]["verdict"] == "equal", complaints
    assert (report["n_read"], report["n_written"], report["n_held"]) == (N_ROWS, N_ROWS, 0)
    _assert_equal(source, target)
