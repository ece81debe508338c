"""Rank a corpus on the workers of a cluster: stretches are scored where they lie, and only the best travel."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import ClusterError
from engine.progress import stop_if
from engine.scoring import complete_topk, usable_processors
from engine.tradeoff.distributed import tasks
from engine.tradeoff.distributed.connection import as_engine_error
from engine.tradeoff.distributed.cutting import cut
from engine.tradeoff.results import ClusterInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from engine.embeddings import Metric, Recipe, Vectors
    from engine.progress import Cancelled, Progress
    from engine.scoring import NestedTopK
    from engine.tradeoff.distributed.connection import Cluster
    from engine.tradeoff.distributed.cutting import Stretch
    from engine.tradeoff.distributed.parts import Part
    from engine.tradeoff.distributed.tasks import Scored

_POLL_S = 0.1
_POLLS_A_LOOK = 10  # how often the workers are counted
_NO_WORKERS_FOR_S = 60.0
_MERGED_AT_ONCE = 4


class ClusterRank:
    """Ranks the corpus that `parts` are, on `cluster`; called as `nested_topk` is, with the same answer, bit by bit.

    After a call, `info` says who scored and `digest` is a sha256 over the rows, when it was asked for.
    """

    def __init__(self, cluster: Cluster, parts: Sequence[Part], *, wants_digest: bool) -> None:
        self.info: ClusterInfo | None = None
        self.digests = b""
        self._cluster = cluster
        self._parts = tuple(parts)
        self._wants_digest = wants_digest

    def __call__(
        self,
        corpus: Vectors,
        queries: Vectors,
        dims: Sequence[int],
        k: int,
        *,
        metric: Metric,
        recipe: Recipe,
        exclude: npt.NDArray[np.int64] | None,
        progress: Progress,
        cancelled: Cancelled,
    ) -> NestedTopK:
        """Return the exact top k of `queries`; of `corpus` only the shape is looked at."""
        question = tasks.Question(
            parts=self._parts,
            queries=np.ascontiguousarray(queries),
            dims=tuple(dims),
            k=k,
            metric=metric,
            recipe=recipe,
            exclude=exclude,
            cut_for_threads=usable_processors(),
            wants_digest=self._wants_digest,
        )
        n_rows, dim = corpus.shape
        stretches = cut(n_rows, dim, k, n_threads=self._cluster.threads())
        run = _Run(self._cluster, question, stretches)
        try:
            scored = run.wait(progress, cancelled)
        finally:
            run.abandon()
        self.digests = scored.digests
        self.info = self._described(len(stretches), scored.blas_threads)
        best = replace(
            scored.best,  # what came over the wire is read-only
            ranking=np.array(scored.best.ranking),
            full_ranking=np.array(scored.best.full_ranking),
        )
        return complete_topk(best, queries, dims, k, metric=metric, recipe=recipe)

    def _described(self, n_tasks: int, blas_threads: int) -> ClusterInfo:
        cluster = self._cluster
        threads = cluster.threads()
        return ClusterInfo(
            workers=len(cluster.client.nthreads()),
            threads=threads,
            workers_lost=cluster.lost(),
            tasks=n_tasks,
            blas_threads=blas_threads,
            dask=metadata.version("distributed"),
            blas=tuple(sorted({kernel for facts in cluster.workers.values() for kernel in facts.blas})),
        )


class _Run:
    """The tasks of one question: scored stretches that are merged four at a time into one."""

    def __init__(self, cluster: Cluster, question: tasks.Question, stretches: Sequence[Stretch]) -> None:
        self._cluster, self._client = cluster, cluster.client
        self._name = f"dimshift-{uuid.uuid4().hex[:12]}"
        self._submitted = 0
        self._n_rows = stretches[-1][1]
        self._held = self._submit_question(question)
        # Futures of stretches are let go as soon as they are finished: the scheduler keeps what a merge still needs.
        self._waiting: dict[Any, int] = {}
        self._root = self._submit_tree(stretches)
        self._without_workers_since: float | None = None

    def wait(self, progress: Progress, cancelled: Cancelled) -> Scored:
        """Return the best of all stretches; raises what stopped one of them, or `CancelledError`."""
        done, polls = 0, 0
        while True:
            stop_if(cancelled)
            done += self._take_finished()
            progress(done / self._n_rows, f"Scored {done:,} documents on {len(self._cluster.workers):,} workers")
            status = self._root.status
            if status == "finished":
                return self._gathered()
            self._check(status)
            if polls % _POLLS_A_LOOK == 0:
                self._check_workers()
            polls += 1
            time.sleep(_POLL_S)

    def abandon(self) -> None:
        """Let go of every task: those not begun never run, those under way stop at their next block."""
        # What no future asks for is forgotten by the scheduler. Cancelling as well may reach what is forgotten already,
        # upon which (2026.8) it drops the connection.
        for one in (*self._waiting, self._root, self._held):
            one.release()

    def _submit_question(self, question: tasks.Question) -> Any:
        import dask

        # The queries go to the scheduler with the task, so that it can be run again: that is meant, and no large graph.
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "4GiB"}):
            return self._submit(tasks.hold, question, priority=1000)

    def _submit(self, work: Any, *arguments: Any, priority: int) -> Any:
        self._submitted += 1
        key = f"{self._name}-{work.__name__}-{self._submitted}"
        return self._client.submit(work, *arguments, key=key, priority=priority, pure=False)

    def _submit_tree(self, stretches: Sequence[Stretch]) -> Any:
        """Submit stretches and merges in the order in which they can run, so that few results wait for each other."""
        levels: list[list[Any]] = [[]]
        for start, stop in stretches:
            one = self._submit(tasks.score, self._held, start, stop, priority=0)
            self._waiting[one] = stop - start
            self._push(levels, 0, one)
        left: list[Any] = []
        for level in levels:  # those of a higher level are of earlier rows
            left = [*level, *left]
            if len(left) > 1:
                left = [self._submit(tasks.merge, *left, priority=len(levels))]
        return left[0]

    def _push(self, levels: list[list[Any]], level: int, future: Any) -> None:
        if level == len(levels):
            levels.append([])
        levels[level].append(future)
        if len(levels[level]) == _MERGED_AT_ONCE:
            merged = self._submit(tasks.merge, *levels[level], priority=level + 1)
            levels[level] = []
            self._push(levels, level + 1, merged)

    def _take_finished(self) -> int:
        finished = [one for one in self._waiting if one.status == "finished"]
        rows = sum(self._waiting.pop(one) for one in finished)
        for one in finished:
            if one is not self._root:
                one.release()
        return rows

    def _check(self, status: str) -> None:
        failed = next((one for one in (*self._waiting, self._root) if one.status == "error"), None)
        if failed is not None:
            raise as_engine_error(failed.exception()) from None
        if status in {"cancelled", "lost"} or self._client.status != "running":
            raise self._unreachable()

    def _check_workers(self) -> None:
        try:
            threads = self._cluster.threads()
        except OSError:
            raise self._unreachable() from None
        if threads:
            self._without_workers_since = None
            return
        now = time.monotonic()
        self._without_workers_since = self._without_workers_since or now
        if now - self._without_workers_since > _NO_WORKERS_FOR_S:
            raise ClusterError(
                f"a cluster without workers is given {_NO_WORKERS_FOR_S:.0f} s to get one",
                found=f"none at {self._cluster.address}",
                hint="Start workers and sweep again; their logs say why they ended",
            )

    def _unreachable(self) -> ClusterError:
        return ClusterError(
            "the Dask scheduler must stay reachable until the sweep is done",
            found=f"no answer from {self._cluster.address}",
            hint="Start it again, with its workers, and sweep again; nothing was kept",
        )

    def _gathered(self) -> Scored:
        try:
            scored: Scored = self._client.gather(self._root)
        except OSError:
            raise self._unreachable() from None
        return scored
