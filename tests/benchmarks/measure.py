"""One measurement a call, in a process of its own, printed as JSON: python tests/benchmarks/measure.py NAME.

Ratios are taken within one process and one round, since machines drift; what is reported is their median.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import psutil

DIMS = (64, 128, 256, 384, 512, 768, 1024, 1536)
MIB = 1 << 20


def _seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _vectors(n: int, d: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)


class _PeakMemory:
    """Resident memory of this process, sampled every 5 ms on another thread."""

    def __enter__(self) -> Self:
        self._process, self._done = psutil.Process(), threading.Event()
        self.before = self.peak = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.peak = max(self.peak, self._process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def sweep() -> dict:
    """Time all dims of 100,000 × 1,536 with 1,000 queries, k = 100, against one matrix product and a FAISS loop."""
    import faiss

    from engine.scoring import nested_topk, usable_processors

    corpus, queries = _vectors(100_000, 1536, 0), _vectors(1000, 1536, 1)
    faiss.omp_set_num_threads(usable_processors())

    def faiss_loop() -> None:
        for dim in DIMS:
            cut, asked = corpus[:, :dim].copy(), queries[:, :dim].copy()
            faiss.normalize_L2(cut)
            faiss.normalize_L2(asked)
            index = faiss.IndexFlatIP(dim)
            index.add(cut)
            index.search(asked, 100)

    nested_topk(corpus[:2048], queries, DIMS, 100)  # compiles
    rounds = []
    for _ in range(5):
        product = _seconds(lambda: queries @ corpus.T)
        nested = _seconds(lambda: nested_topk(corpus, queries, DIMS, 100))
        rounds.append((product, nested, _seconds(faiss_loop)))
    return {
        "threads": usable_processors(),
        "matrix_product_s": statistics.median(product for product, _, _ in rounds),
        "sweep_s": statistics.median(nested for _, nested, _ in rounds),
        "faiss_loop_s": statistics.median(loop for _, _, loop in rounds),
        "sweep_over_product": statistics.median(nested / product for product, nested, _ in rounds),
        "faiss_over_sweep": statistics.median(loop / nested for _, nested, loop in rounds),
    }


def memory() -> dict:
    """Measure how far the same sweep's resident memory rises above its input arrays."""
    from engine.scoring import nested_topk

    corpus, queries = _vectors(100_000, 1536, 0), _vectors(1000, 1536, 1)
    with _PeakMemory() as memory_used:
        nested_topk(corpus, queries, DIMS, 100)
    return {"above_inputs_mib": (memory_used.peak - memory_used.before) / MIB}


def mapped() -> dict:
    """Measure the resident memory of a sweep over a memory-mapped 1,000,000 × 256 file with 200 queries."""
    from engine.embeddings import EmbeddingSet
    from engine.tradeoff import sweep as run_sweep

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.npy"
        written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(1_000_000, 256))
        for start, stop in pairwise(range(0, 1_000_001, 50_000)):
            written[start:stop] = _vectors(stop - start, 256, start)
        written.flush()
        del written
        embedding_set = EmbeddingSet(name="mapped", corpus=np.load(path, mmap_mode="r"), queries=_vectors(200, 256, 1))
        with _PeakMemory() as memory_used:
            seconds = _seconds(lambda: run_sweep(embedding_set, (32, 64, 128, 256)))
    return {"peak_resident_mib": memory_used.peak / MIB, "seconds": seconds}


def bootstrap() -> dict:
    """Time 10,000 resamples × 1,000 queries × 8 dims."""
    from engine.tradeoff.bootstrap import bootstrap_means

    values = np.random.default_rng(0).random((8, 1000)).astype(np.float32)
    return {"seconds": min(_seconds(lambda: bootstrap_means(values, seed=0, n_resamples=10_000)) for _ in range(3))}


def start() -> dict:
    """Time `import engine`, the app's first answer after `dimshift app`, and opening a stored sweep."""
    imported = min(float(subprocess.check_output([sys.executable, "-c", _TIME_IMPORT], text=True)) for _ in range(3))
    with tempfile.TemporaryDirectory() as folder:
        answered = statistics.median(_time_to_answer(folder, port) for port in (18431, 18432, 18433))
        stored = float(subprocess.check_output([sys.executable, "-c", _TIME_STORED, folder], text=True))
    return {"import_engine_s": imported, "app_answers_s": answered, "stored_sweep_s": stored}


_TIME_IMPORT = "import time; began = time.perf_counter(); import engine; print(time.perf_counter() - began)"
_TIME_STORED = """
import sys, time
from engine.embeddings.samples import load_sample
from engine.tradeoff import load_sweep, save_sweep, summarize, sweep
from engine.workspace import Workspace
workspace = Workspace.open(sys.argv[1])
run = save_sweep(workspace, sweep(load_sample("api-reference")))
began = time.perf_counter()
summarize(load_sweep(workspace, run.id))
print(time.perf_counter() - began)
"""


def _time_to_answer(folder: str, port: int) -> float:
    command = [sys.executable, "-m", "engine.cli", "app", "--port", str(port), "--workspace", folder]
    environment = {**os.environ, "STREAMLIT_SERVER_HEADLESS": "true"}
    began = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while time.perf_counter() - began < 60:
                try:
                    urllib.request.urlopen(f"http://localhost:{port}/", timeout=1).close()
                except OSError:
                    time.sleep(0.02)
                else:
                    return time.perf_counter() - began
        finally:
            server.terminate()
    raise TimeoutError("the app did not answer within 60 s")


if __name__ == "__main__":
    measurements = {work.__name__: work for work in (sweep, memory, mapped, bootstrap, start)}
    print(json.dumps(measurements[sys.argv[1]]()))  # noqa: T201 -- its output
