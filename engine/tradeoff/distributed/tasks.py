"""What runs on the workers: score a stretch, merge the best of several, describe the worker."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import __version__
from engine.embeddings import EmbeddingSet
from engine.embeddings.readers.registry import damage_reported
from engine.progress import never_cancelled
from engine.scoring import TILE_ROWS, PartialTopK, merge_topk, partial_topk
from engine.scoring.blas import blas_thread_count
from engine.scoring.rows import as_float32
from engine.tradeoff.distributed.reading import map_part, read_rows
from engine.tradeoff.distributed.storage import asked_again

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from engine.embeddings import Metric, Recipe, Vectors
    from engine.progress import Cancelled
    from engine.tradeoff.distributed.parts import Part

_PACKAGES = ("numpy", "scipy", "numba")


@dataclass(frozen=True, eq=False, kw_only=True)
class Question:
    """What every worker is asked about its stretch; `cut_for_threads` is how one machine would cut the queries."""

    parts: tuple[Part, ...]
    queries: Vectors
    dims: tuple[int, ...]
    k: int
    metric: Metric
    recipe: Recipe
    exclude: npt.NDArray[np.int64] | None
    cut_for_threads: int
    wants_digest: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class Scored:
    """The best of a stretch, a sha256 for each tile of its rows (empty when not asked for), and the threads of BLAS."""

    best: PartialTopK
    digests: bytes
    blas_threads: int


@dataclass(frozen=True, kw_only=True)
class WorkerFacts:
    """What a worker runs: the result depends on `dimshift` and `python`, its last bits on `packages` and `blas`."""

    dimshift: str
    python: str
    packages: dict[str, str]
    blas: tuple[str, ...]


def hold(question: Question) -> Question:
    """Return the question: as the result of a task it is made again where the worker that held it dies."""
    return question


def score(question: Question, start: int, stop: int) -> Scored:
    """Return the best of rows `start` to `stop` for every query at every dimension, on one thread.

    Reading is tried three times; engine errors are final.
    """
    return asked_again(question.parts[0].name, partial(_score, question, start, stop))


def merge(*scored: Scored) -> Scored:
    """Return the best of stretches that follow each other."""
    return Scored(
        best=merge_topk([one.best for one in scored]),
        digests=b"".join(one.digests for one in scored),
        blas_threads=max(one.blas_threads for one in scored),
    )


def digest_of(part: Part, facts: Mapping[str, Any]) -> str:
    """Return the sha256 of the set of which `part` is the corpus and `facts` all other fields that it depends on."""
    with damage_reported(part.name):
        return EmbeddingSet(name="digest", corpus=map_part(part), **facts).sha256


def worker_facts() -> WorkerFacts:
    """Describe this worker."""
    import scipy.linalg.cython_blas  # noqa: F401 -- the BLAS that scores: what is not loaded is not listed
    from threadpoolctl import threadpool_info

    kernels = {
        f"{info['internal_api']} {info['version']} {info.get('architecture', '')}".strip()
        for info in threadpool_info()
        if info["user_api"] == "blas"
    }
    return WorkerFacts(
        dimshift=__version__,
        python=".".join(platform.python_version_tuple()[:2]),
        packages={name: metadata.version(name) for name in _PACKAGES},
        blas=tuple(sorted(kernels)),
    )


def asked_to_stop() -> Cancelled:
    """Return what tells that the scheduler no longer wants the running task: its client cancelled it, or is gone."""
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:  # no task: called directly
        return never_cancelled
    key = worker.get_current_task()

    def is_unwanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled"

    return is_unwanted


def _score(question: Question, start: int, stop: int) -> Scored:
    digests: list[bytes] = []
    threads: list[int] = []

    def blocks() -> Iterator[Vectors]:
        for block in read_rows(question.parts, start, stop):
            if not threads:
                threads.append(blas_thread_count() or 1)
            if question.wants_digest:
                digests.extend(_tile_digests(block))
            yield block

    best = partial_topk(
        blocks(),
        # What came over the wire is read-only, and numba would compile its kernels once more for that.
        np.array(question.queries),
        question.dims,
        question.k,
        metric=question.metric,
        recipe=question.recipe,
        exclude=question.exclude,
        first_row=start,
        n_threads=1,
        cut_for_threads=question.cut_for_threads,
        cancelled=asked_to_stop(),
    )
    return Scored(best=best, digests=b"".join(digests), blas_threads=threads[0])


def _tile_digests(block: Vectors) -> Iterator[bytes]:
    """Yield the sha256 of every tile as float32: the same however rows are cut into parts and stored in them."""
    for first in range(0, len(block), TILE_ROWS):
        yield hashlib.sha256(as_float32(block[first : first + TILE_ROWS]).data).digest()
