"""What a sweep on a cluster takes: seconds, memory a worker, bytes moved; fitted to runs, then read for larger ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.scoring.selection import capacity
from engine.tradeoff.distributed.cutting import cut
from engine.tradeoff.rows import at_least

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Float64 = npt.NDArray[np.float64]

_BYTES_KEPT = 16  # an id of 8 bytes and two float32 scores a document retrieved
_BLOCK_BYTES = 1 << 26
_MERGED_AT_ONCE = 4
_LIBRARIES_BYTES = 400 << 20  # Python, NumPy, SciPy, Numba, Arrow and Dask, loaded
_ON_WORKERS = ("flop", "score", "byte", "kept", "task")
_HERE = ("startup", "listed")


@dataclass(frozen=True, kw_only=True)
class SweepSize:
    """How much is swept: `n_dims` dims up to `dim`, the top `k` of each of `n_queries`."""

    n_docs: int
    dim: int
    n_queries: int
    n_dims: int
    k: int
    bytes_per_component: int = 4

    def __post_init__(self) -> None:
        for name in ("n_docs", "dim", "n_queries", "n_dims", "k", "bytes_per_component"):
            at_least(name, getattr(self, name), 1)

    @property
    def corpus_bytes(self) -> int:
        """What the workers read."""
        return self.n_docs * self.dim * self.bytes_per_component

    @property
    def kept_bytes(self) -> int:
        """What one task returns, and what reaches this machine in the end."""
        return self.n_dims * self.n_queries * min(self.k, self.n_docs) * _BYTES_KEPT


@dataclass(frozen=True, kw_only=True)
class TimedSweep:
    """A sweep that was run on `n_threads` of a cluster: processor seconds of its workers together, and of this machine.

    Processor time, since other work on the same machines makes the time by the clock say little.
    """

    size: SweepSize
    n_threads: int
    worker_s: float
    here_s: float


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Processor seconds that each piece of the work takes.

    On a worker's thread: `flop` a multiplication and addition, `score` a score looked at, `byte` a byte of the corpus
    read, `kept` a document that a task keeps and that is merged, `task` a task. Here, once: `startup`, and `listed` for
    a document in the lists that come back, which are compared.
    """

    flop: float
    score: float
    byte: float
    kept: float
    task: float
    startup: float
    listed: float


@dataclass(frozen=True, kw_only=True)
class ClusterEstimate:
    """What a sweep takes on machines that do nothing else.

    `worker_s` is processor time of all workers together, `worker_bytes` the memory that one needs, `moved_bytes` what
    is sent between machines at most.
    """

    seconds: float
    worker_s: float
    tasks: int
    corpus_bytes: int
    worker_bytes: int
    moved_bytes: int


def estimate(
    size: SweepSize, rates: Rates, *, workers: int, threads: int, storage_bytes_s: float | None = None
) -> ClusterEstimate:
    """Return what sweeping `size` takes on `workers` with `threads` each.

    Stretches share nothing, so the work of the workers is divided by their threads (the last round may keep only some
    of them busy); what is done here is added. `storage_bytes_s` is how fast one worker reads the corpus where it is not
    in memory already; that time is added too, as if nothing overlapped.

    Raises
    ------
    ParameterError
        For a number below 1.
    """
    at_least("the number of workers", workers, 1)
    at_least("the number of threads", threads, 1)
    tasks = _n_tasks(size, workers * threads)
    worker_s = float(_work(size, tasks) @ [getattr(rates, kind) for kind in _ON_WORKERS])
    rounds = -(-tasks // (workers * threads))
    seconds = worker_s * rounds / tasks + float(_work_here(size) @ [getattr(rates, kind) for kind in _HERE])
    if storage_bytes_s is not None:
        seconds += size.corpus_bytes / (workers * storage_bytes_s)
    candidates = size.n_dims * size.n_queries * capacity(size.k) * _BYTES_KEPT
    queries = size.n_queries * size.dim * 4
    # A thread holds a block, also as float32, and what it is a candidate of; beside that lie results to be merged.
    a_thread = 2 * _BLOCK_BYTES + candidates + queries
    merging = (_MERGED_AT_ONCE + 1) * size.kept_bytes
    merged = tasks / (_MERGED_AT_ONCE - 1)
    return ClusterEstimate(
        seconds=seconds,
        worker_s=worker_s,
        tasks=tasks,
        corpus_bytes=size.corpus_bytes,
        worker_bytes=_LIBRARIES_BYTES + threads * (a_thread + merging) + queries,
        moved_bytes=int(workers * queries + (tasks + merged + 1) * size.kept_bytes),
    )


def fit_rates(runs: Sequence[TimedSweep]) -> Rates:
    """Return the rates, none below 0, that come nearest to the times of `runs`, each error relative to its run.

    Raises
    ------
    ParameterError
        When there are fewer runs than rates.
    """
    if len(runs) < len(_ON_WORKERS):
        raise ParameterError(f"at least {len(_ON_WORKERS)} runs are needed to fit as many rates", found=len(runs))
    on_workers = [_work(run.size, _n_tasks(run.size, run.n_threads)) for run in runs]
    here = [_work_here(run.size) for run in runs]
    fitted = [
        *_fitted(np.stack(on_workers), np.array([run.worker_s for run in runs])),
        *_fitted(np.stack(here), np.array([run.here_s for run in runs])),
    ]
    return Rates(**dict(zip((*_ON_WORKERS, *_HERE), fitted, strict=True)))


def _fitted(work: Float64, seconds: Float64) -> list[float]:
    from scipy.optimize import nnls

    relative = work / seconds[:, None]
    scale = relative.max(axis=0)  # products are 10¹² times tasks: without this they would drown in rounding
    solution, _ = nnls(relative / scale, np.ones(len(seconds)))
    return [float(rate) for rate in solution / scale]


def _n_tasks(size: SweepSize, n_threads: int) -> int:
    return len(cut(size.n_docs, size.dim, size.k, n_threads=n_threads))


def _work(size: SweepSize, tasks: int) -> Float64:
    """Return how often each of `_ON_WORKERS` happens on all workers together."""
    products = size.n_docs * size.n_queries
    kept = tasks * size.kept_bytes // _BYTES_KEPT
    return np.array([products * size.dim, products * size.n_dims, size.corpus_bytes, kept, tasks], np.float64)


def _work_here(size: SweepSize) -> Float64:
    """Return how often each of `_HERE` happens."""
    return np.array([1, size.kept_bytes // _BYTES_KEPT], np.float64)
