"""Sweep on a Dask cluster: the ordinary sweep, with the corpus read and ranked by the workers."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import ParameterError
from engine.progress import ignore_progress, never_cancelled
from engine.tradeoff.distributed import tasks
from engine.tradeoff.distributed.connection import connected
from engine.tradeoff.distributed.loading import PartsSource, load_parts
from engine.tradeoff.distributed.parts import mapped_part
from engine.tradeoff.distributed.ranking import ClusterRank
from engine.tradeoff.distributed.sharded import SetOnWorkers, digest_facts, digest_of_tiles
from engine.tradeoff.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.embeddings import EmbeddingSet, Metric
    from engine.progress import Cancelled, Progress
    from engine.tradeoff.distributed.connection import Cluster
    from engine.tradeoff.distributed.parts import Part
    from engine.tradeoff.results import SweepResult


def can_be_shared(embedding_set: EmbeddingSet) -> bool:
    """Tell whether the corpus lies in a file as it is, so that workers that see the file can sweep it."""
    return mapped_part(embedding_set.corpus) is not None


def sweep_on_cluster(
    source: EmbeddingSet | PartsSource,
    dims: Sequence[int] | None = None,
    ks: Sequence[int] = (1, 10, 100),
    *,
    scheduler: str,
    metric: Metric | None = None,
    n_queries: int | None = None,
    seed: int = 0,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
    clock: Callable[[], float] = time.perf_counter,
) -> SweepResult:
    """Sweep as `engine.tradeoff.sweep` does, on the workers of the Dask scheduler at ``tcp://host:port``.

    `source` is a set whose corpus is memory-mapped from a file that every worker sees under the same path, or the
    `PartsSource` of a corpus that only the workers open. Ids and scores equal those of one machine, to the last bit
    where workers have the same processors and libraries; the result names what differs. Rows of the corpus never come
    here, but those that become held-out queries. Workers that die are survived; `SweepResult.cluster` counts them.

    Raises
    ------
    ClusterError
        When no scheduler or no worker answers, or workers run another version.
    ParameterError
        When the corpus lies in memory, and as `sweep` does.
    PathError, FormatError, VectorError
        When a worker cannot read a part, or it cannot be used.
    CancelledError
        When `cancelled` says so.
    """
    began = clock()
    begin = partial(_parts, source=source, seed=seed) if isinstance(source, PartsSource) else _mapped(source)
    progress(0.0, "Connecting to the cluster")
    with connected(scheduler) as cluster:
        held = begin(cluster)
        rank = ClusterRank(cluster, held.parts, wants_digest=held.digest is None)
        result = sweep(
            held.embedding_set,
            dims,
            ks,
            metric=metric,
            n_queries=n_queries,
            seed=seed,
            progress=progress,
            cancelled=cancelled,
            rank=rank,
        )
        sha256 = digest_of_tiles(held.embedding_set, rank.digests) if held.digest is None else held.digest(cancelled)
        return replace(
            result,
            dataset=replace(result.dataset, sha256=sha256),
            warnings=(*result.warnings, *cluster.differences()),
            elapsed_s=clock() - began,
            cluster=rank.info,
        )


def sweeper(scheduler: str | None) -> Callable[..., SweepResult]:
    """Return `sweep_on_cluster` on `scheduler`, or without one the sweep of this machine; options are alike."""
    return sweep if scheduler is None else partial(sweep_on_cluster, scheduler=scheduler)


def _part_of(given: EmbeddingSet) -> Part:
    part = mapped_part(given.corpus)
    if part is None:
        raise ParameterError(
            "a sweep on a cluster reads the corpus from files that every worker sees",
            found=f"{given.name}, whose vectors are in memory",
            hint="Save them as .npy on a shared file system, give a folder or URL of parts, or sweep on this machine",
        )
    return part


@dataclass(frozen=True, eq=False, kw_only=True)
class _Held:
    """What the workers hold: the parts, the set as the sweep sees it, and its digest (None: of what they will read)."""

    parts: tuple[Part, ...]
    embedding_set: SetOnWorkers
    digest: Callable[[Cancelled], str] | None


def _parts(cluster: Cluster, source: PartsSource, *, seed: int) -> _Held:
    parts, embedding_set = load_parts(cluster, source, seed=seed)
    return _Held(parts=parts, embedding_set=embedding_set, digest=None)


def _mapped(given: EmbeddingSet) -> Callable[[Cluster], _Held]:
    part, embedding_set = _part_of(given), SetOnWorkers.of(given)

    def begin(cluster: Cluster) -> _Held:
        if embedding_set.digest:
            return _Held(parts=(part,), embedding_set=embedding_set, digest=lambda _: embedding_set.digest)
        # One worker reads the file once more, beside the scoring: the digest is the one the set has everywhere else.
        begun = cluster.begin(tasks.digest_of, part, digest_facts(given))

        def digest(cancelled: Cancelled) -> str:
            return str(cluster.result(begun, cancelled=cancelled))

        return _Held(parts=(part,), embedding_set=embedding_set, digest=digest)

    return begin
