"""One cluster of two worker processes for all tests of a run, and a corpus on disk for it to sweep."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.embeddings import load
from engine.tradeoff import sweep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from distributed import LocalCluster

    from engine.embeddings import EmbeddingSet
    from engine.tradeoff import SweepResult

N_DOCS, DIM = 20_001, 48
DIMS, KS = (8, 16), (1, 10, 50)


@dataclass(frozen=True, kw_only=True)
class OnDisk:
    """A corpus as one .npy file, the same as a folder of parts that end in the middle of tiles, and queries."""

    corpus: Path
    parts: Path
    queries: Path

    def load(self, *, metric: str = "cosine") -> EmbeddingSet:
        """Map the corpus."""
        return load(self.corpus, queries=self.queries, metric=metric)

    def swept(self, *, metric: str = "cosine") -> SweepResult:
        """Sweep it on this machine alone."""
        return sweep(self.load(metric=metric), DIMS, KS)


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """Start a scheduler and two worker processes of one thread each, which are started again when they die."""
    from distributed import LocalCluster

    with pytest.MonkeyPatch.context() as patch:
        # Tests of pages leave their page as the main module, which every new process would run first.
        patch.setitem(sys.modules, "__main__", ModuleType("__main__"))
        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1", silence_logs=50
        ) as started:
            yield started


@pytest.fixture
def scheduler(cluster: LocalCluster) -> str:
    """Return the address of the cluster."""
    return str(cluster.scheduler_address)


@pytest.fixture(scope="session")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> OnDisk:
    """Write 20,001 documents with many equal ones, whose scores tie, as one file and in four parts."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(5)
    distinct = rng.standard_normal((N_DOCS // 2, DIM), dtype=np.float32)
    corpus = distinct[rng.integers(0, len(distinct), N_DOCS)]
    corpus[100] = 0
    np.save(folder / "corpus.npy", corpus)
    np.save(folder / "queries.npy", rng.standard_normal((65, DIM), dtype=np.float32))
    (folder / "parts").mkdir()
    for number, (start, stop) in enumerate([(0, 5_000), (5_000, 5_007), (5_007, 13_000), (13_000, N_DOCS)], start=8):
        np.save(folder / "parts" / f"part-{number}.npy", corpus[start:stop])
    return OnDisk(corpus=folder / "corpus.npy", parts=folder / "parts", queries=folder / "queries.npy")
