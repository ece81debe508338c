"""The sweep on a Dask cluster of this machine against one process, and the cost model against runs at three sizes.

Not named distributed.py: a script's folder comes first where Python looks for modules, and that is Dask's name.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np

WORKERS = 2
MIB = 1 << 20
# (documents, dim, queries, dims, k): small ones to fit the model to, then three that it has not seen.
FITTED = (
    (20_000, 128, 100, (32, 128), 10),
    (20_000, 128, 1_000, (32, 128), 10),
    (60_000, 128, 300, (16, 32, 48, 64, 80, 96, 112, 128), 10),
    (20_000, 512, 300, (128, 512), 10),
    (40_000, 256, 300, (64, 256), 100),
    (40_000, 256, 100, (32, 64, 128, 256), 200),
    (80_000, 128, 50, (128,), 10),
    (40_000, 768, 600, (96, 192, 384, 768), 100),
)
CHECKED = (
    (100_000, 256, 500, (32, 64, 128, 256), 100),
    (200_000, 384, 500, (48, 96, 192, 384), 100),
    (300_000, 768, 500, (96, 192, 384, 768), 100),
)
# (documents, dim, queries, number of dims, k), workers, threads each: what nobody measured here.
EXTRAPOLATED = (
    ((5_000_000, 3_072, 1_000, 10, 100), 4, 16),
    ((1_000_000_000, 768, 1_000, 8, 100), 64, 16),
)
_WITHIN = 1.5  # the model is wrong when it is off by more, either way


def cluster() -> dict:
    """Fit the cost model to small sweeps, check it on three larger ones, and compare the cluster with one process."""
    from distributed import LocalCluster

    from engine.tradeoff.distributed.estimate import estimate, fit_rates

    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as started,
    ):
        bench = _Bench(Path(folder), str(started.scheduler_address))
        bench.timed(FITTED[0])  # compiles
        rates = fit_rates([min((bench.timed(shape) for _ in range(5)), key=_worker_s) for shape in FITTED])
        checks = [bench.check(shape, rates) for shape in CHECKED]
    extrapolated = [
        {**_told(shape), "workers": workers, "threads": threads}
        | asdict(estimate(_size(*shape), rates, workers=workers, threads=threads))
        for shape, workers, threads in EXTRAPOLATED
    ]
    worst = max(max(one["predicted_over_measured"], 1 / one["predicted_over_measured"]) for one in checks)
    return {
        "workers": WORKERS,
        "is_equal": all(one["is_equal"] for one in checks),
        "cluster_over_process": statistics.median(one["cluster_over_process"] for one in checks),
        "model_off_by": worst,
        "model_holds": worst <= _WITHIN,
        "memory_over_estimate": max(one["memory_over_estimate"] for one in checks),
        "checks": checks,
        "rates": asdict(rates),
        "extrapolated": extrapolated,
    }


class _Bench:
    def __init__(self, folder: Path, scheduler: str) -> None:
        self._folder, self._scheduler = folder, scheduler

    def timed(self, shape: tuple):
        """Sweep `shape` once and return the processor time that it took on the workers and here."""
        from distributed import Client

        from engine.tradeoff.distributed.estimate import TimedSweep

        with Client(self._scheduler, set_as_default=False) as client:
            before, here = client.run(time.process_time), time.process_time()
            self.swept(shape)
            here, after = time.process_time() - here, client.run(time.process_time)
        worker_s = sum(after.values()) - sum(before.values())
        size = _size(*shape[:3], len(shape[3]), shape[4])
        return TimedSweep(size=size, n_threads=WORKERS, worker_s=worker_s, here_s=here)

    def swept(self, shape: tuple):
        from engine.tradeoff.distributed import sweep_on_cluster

        return sweep_on_cluster(self._set(shape), shape[3], (shape[4],), scheduler=self._scheduler)

    def check(self, shape: tuple, rates) -> dict:
        """Measure one size that the model has not seen: seconds, memory of the workers, and one process beside it."""
        from engine.tradeoff import sweep
        from engine.tradeoff.distributed.estimate import estimate

        measured = min((self.timed(shape) for _ in range(3)), key=_worker_s)
        predicted = estimate(measured.size, rates, workers=WORKERS, threads=1)
        began = time.perf_counter()
        found = self.swept(shape)
        clock_s, began = time.perf_counter() - began, time.perf_counter()
        expected = sweep(self._set(shape), shape[3], (shape[4],))
        alone_s = time.perf_counter() - began
        peak = self._peak()
        return {
            **_told((*shape[:3], len(shape[3]), shape[4])),
            "worker_s": measured.worker_s,
            "predicted_worker_s": predicted.worker_s,
            "predicted_over_measured": predicted.worker_s / measured.worker_s,
            "here_s": measured.here_s,
            "clock_s": clock_s,
            "predicted_clock_s": predicted.seconds,
            "cluster_over_process": clock_s / alone_s,
            "peak_worker_mib": peak / MIB,
            "predicted_worker_mib": predicted.worker_bytes / MIB,
            "memory_over_estimate": peak / predicted.worker_bytes,
            "predicted_moved_bytes": predicted.moved_bytes,
            "is_equal": bool((found.ids == expected.ids).all() and (found.scores == expected.scores).all()),
        }

    def _peak(self) -> int:
        from distributed import Client

        with Client(self._scheduler, set_as_default=False) as client:
            return max(client.run(_peak_resident).values())

    def _set(self, shape: tuple):
        from engine.embeddings import EmbeddingSet

        n_docs, dim, n_queries, _, _ = shape
        path = self._folder / f"{n_docs}x{dim}.npy"
        if not path.is_file():
            written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n_docs, dim))
            for start, stop in pairwise([*range(0, n_docs, 20_000), n_docs]):
                written[start:stop] = _vectors(stop - start, dim, start)
            written.flush()
        made = EmbeddingSet(name="made", corpus=np.load(path, mmap_mode="r"), queries=_vectors(n_queries, dim, 1))
        made.__dict__["sha256"] = "0" * 64  # reading the file for its digest is no part of what is timed
        return made


def _told(shape: tuple[int, int, int, int, int]) -> dict:
    return dict(zip(("documents", "dim", "queries", "n_dims", "k"), shape, strict=True))


def _worker_s(run) -> float:
    return run.worker_s


def _peak_resident() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _vectors(n: int, dim: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)


def _size(n_docs: int, dim: int, n_queries: int, n_dims: int, k: int):
    from engine.tradeoff.distributed.estimate import SweepSize

    return SweepSize(n_docs=n_docs, dim=dim, n_queries=n_queries, n_dims=n_dims, k=k)


if __name__ == "__main__":
    measurements = {work.__name__: work for work in (cluster,)}
    print(json.dumps(measurements[sys.argv[1]]()))  # noqa: T201 -- its output
