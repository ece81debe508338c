"""A memory-mapped corpus twice as large as the memory that may be used, under a limit that the kernel enforces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

N_ROWS, DIM, N_QUERIES = 349_526, 3072, 100  # 4 GiB of float32
LIMIT = 2 << 30
_CONTROL_GROUPS = Path("/sys/fs/cgroup/memory")
_BLOCK = 16_384


def _write_corpus(path: Path) -> None:
    written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(N_ROWS, DIM))
    rng = np.random.default_rng(0)
    scales = np.geomspace(1, 0.05, DIM, dtype=np.float32)  # earlier components carry more, as in Matryoshka embeddings
    for start in range(0, N_ROWS, _BLOCK):
        block = written[start : start + _BLOCK]
        block[:] = rng.standard_normal(block.shape, dtype=np.float32) * scales
    written.flush()


@contextmanager
def _limited() -> Iterator[tuple[str, str]]:
    """Return how children are limited, and the code with which each does that to itself.

    A control group counts the page cache as well; without the right to make one the kernel limits the data segment,
    which leaves out pages of mapped files.
    """
    group = _CONTROL_GROUPS / f"dimshift-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(LIMIT))
    except OSError:
        yield "data segment", f"import resource; resource.setrlimit(resource.RLIMIT_DATA, ({LIMIT}, {LIMIT}))"
        return
    try:
        yield "control group", f"import os; open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))"
    finally:
        group.rmdir()


def _run(arguments: list[str], limit: str, folder: Path) -> dict:
    start = f"{limit}; import sys; from engine.cli import main; sys.argv[0] = 'dimshift'; main()"
    command = [sys.executable, "-c", start, *arguments, "--workspace", str(folder / "workspace")]
    began = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said) as child,
        _Peak(child.pid) as peak,
    ):
        status = child.wait()
        if status not in {0, 3}:
            said.seek(0)
            raise RuntimeError(f"{arguments[0]} ended with {status}: {said.read()[-500:]}")
    return {"seconds": time.perf_counter() - began, "peak_anonymous_mib": peak.kib / 1024}


class _Peak(threading.Thread):
    """Samples how much memory of its own, mapped files left out, a process holds."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self._over = threading.Event()
        self.kib = 0

    def run(self) -> None:
        while not self._over.wait(0.02):
            try:
                lines = self._status.read_text().splitlines()
            except OSError:
                return
            self.kib = max([self.kib, *(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self.join()


def larger_than_memory() -> dict:
    """Sweep, time, diagnose and migrate a memory-mapped 4 GiB corpus inside 2 GiB, each by its command."""
    with tempfile.TemporaryDirectory(prefix="dimshift-bench-") as made, _limited() as (how, limit):
        folder = Path(made)
        corpus, queries = folder / "corpus.npy", folder / "queries.npy"
        _write_corpus(corpus)
        np.save(queries, np.random.default_rng(1).standard_normal((N_QUERIES, DIM), dtype=np.float32))
        given = [str(corpus), "--queries", str(queries)]
        results: dict = {
            "rows": N_ROWS,
            "dim": DIM,
            "corpus_gib": corpus.stat().st_size / (1 << 30),
            "limit_gib": LIMIT / (1 << 30),
            "limit": how,
        }
        for name, arguments in (
            ("sweep", ["sweep", *given, "--dims", "256,512,768,1536"]),
            ("latency", ["latency", *given, "--dims", "768,3072", "--path", "exact,prefix"]),
            ("diagnose", ["diagnose", *given]),
            ("migrate", ["migrate", f"file://{corpus}", f"lancedb://{folder}/lance#docs", "--dims", "256"]),
        ):
            results[name] = _run(arguments, limit, folder)
            print(name, results[name], file=sys.stderr)  # noqa: T201  # what a person sees meanwhile
    return results


if __name__ == "__main__":
    print(json.dumps(larger_than_memory()))  # noqa: T201  # its output
