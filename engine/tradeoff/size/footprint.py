"""Quality against bytes: every storage option of the vectors, measured by exact scoring over its codes."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.scoring import usable_processors
from engine.scoring.codes import CODE_TYPES, CodeType, code_bytes
from engine.scoring.rows import as_float32
from engine.tradeoff.bootstrap import MIN_RESAMPLES, bootstrap_means
from engine.tradeoff.rows import at_least, draw_rows, take_rows
from engine.tradeoff.size.reference import check_shortlist, exact_reference
from engine.tradeoff.summary import BYTES_PER_COMPONENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from engine.embeddings import EmbeddingSet, Metric, Recipe
    from engine.progress import Cancelled, Progress
    from engine.tradeoff.results import DatasetInfo, Interval
    from engine.tradeoff.size.reference import Judged, Reference

    Float32 = npt.NDArray[np.float32]

_SHARE_OF_REFERENCE = 0.3
_ROWS_LOOKED_AT = 1_000
_ONE_SIDED = 0.95


@dataclass(frozen=True, kw_only=True)
class StorageOption:
    """A way to store vectors: codes of `dtype` of the first `dim` components, reranked by the full vectors or not."""

    dtype: CodeType
    dim: int
    rerank: bool = False


@dataclass(frozen=True, kw_only=True)
class StorageBytes:
    """Bytes a vector: of the code alone, and of everything kept in memory and on disk."""

    code: int
    memory: float
    disk: float


@dataclass(frozen=True, kw_only=True)
class FootprintRow:
    """One storage option: its bytes a vector and what it keeps.

    `recall` is recall@k against the float32 full-dimension top k, `ndcg` nDCG@k against the judgements (None without).
    """

    option: StorageOption
    code_bytes_per_vector: int
    memory_bytes_per_vector: float
    disk_bytes_per_vector: float
    recall: Interval
    ndcg: Interval | None


@dataclass(frozen=True, eq=False, kw_only=True)
class FootprintResult:
    """Every storage option measured on the same queries; O options, q queries.

    `recall` and `ndcg` (O, q) are the per-query values behind `rows`, in their order; NaN where a query has none. The
    float32 full dimension, the reference, is always the last row. `link_bytes_per_vector` (of an index, 0 for none) is
    counted into every option; `full_bytes_per_vector` into those that rerank, in memory or on disk as
    `full_in_memory` says.
    """

    dataset: DatasetInfo
    metric: Metric
    recipe: Recipe
    dims: tuple[int, ...]
    dtypes: tuple[CodeType, ...]
    k: int
    shortlist: int
    seed: int
    n_resamples: int
    n_threads: int
    link_bytes_per_vector: float
    full_bytes_per_vector: int
    full_in_memory: bool
    query_ids: tuple[str, ...]
    rows: tuple[FootprintRow, ...]
    recall: Float32
    ndcg: Float32 | None
    warnings: tuple[str, ...]
    elapsed_s: float

    def position(self, option: StorageOption) -> int:
        """Return the row of `option`.

        Raises
        ------
        ParameterError
            When it was not measured.
        """
        for position, row in enumerate(self.rows):
            if row.option == option:
                return position
        raise ParameterError(
            "only measured storage options can be compared",
            found=f"{option.dtype} at {option.dim}{' with rerank' if option.rerank else ''}",
            hint="Measure again with that dim and type",
        )


def storage_bytes(
    option: StorageOption,
    *,
    full_dim: int,
    metric: Metric = "cosine",
    link_bytes_per_vector: float = 0.0,
    full_in_memory: bool = False,
) -> StorageBytes:
    """Return the bytes a vector of `option`: what a search touches in memory, and what is kept on disk.

    ``code = code_bytes(dtype, dim)``, with its norm where one is stored. ``memory = code + links``, and with a rerank
    the full float32 vector (4 × full_dim) where it is held in memory. ``disk = code + links``, and with a rerank the
    full float32 vector. The calibration of int8, 4 × dim + 4 bytes for all vectors together, is not counted.

    Raises
    ------
    ParameterError
        When `link_bytes_per_vector` is negative or not finite.
    """
    check_links(link_bytes_per_vector)
    code = code_bytes(option.dtype, option.dim, metric=metric)
    full = BYTES_PER_COMPONENT * full_dim if option.rerank else 0
    kept = code + link_bytes_per_vector
    return StorageBytes(code=code, memory=kept + (full if full_in_memory else 0), disk=kept + full)


def check_links(link_bytes_per_vector: float) -> None:
    """Raise `ParameterError` unless the bytes of an index's links are a finite number of at least 0."""
    if not (math.isfinite(link_bytes_per_vector) and link_bytes_per_vector >= 0):
        raise ParameterError("bytes of links a vector must be 0 or more", found=link_bytes_per_vector)


def measure_footprint(
    embedding_set: EmbeddingSet,
    dims: Sequence[int] | None = None,
    *,
    k: int = 10,
    shortlist: int = 100,
    dtypes: Sequence[CodeType] = CODE_TYPES,
    rerank: bool = True,
    metric: Metric | None = None,
    link_bytes_per_vector: float = 0.0,
    full_in_memory: bool = False,
    n_queries: int | None = None,
    n_resamples: int = 10_000,
    seed: int = 0,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
    clock: Callable[[], float] = time.perf_counter,
) -> FootprintResult:
    """Measure recall@k and nDCG@k of each of `dtypes` at each of `dims`, as they are and after a rerank.

    Every code of the corpus is scored exactly, so nothing is lost to an index; with `rerank` the best `shortlist`
    documents are ordered again by the full float32 vectors. Codes are made block by block and never held as a whole.
    The float32 full dimension is always measured. Rows are grouped by type, then dim, the full float32 last.

    Raises
    ------
    ParameterError
        When the set has no queries, the shortlist is below k, or dims, dtypes or numbers are out of range.
    VectorError
        When a component does not fit float16.
    CancelledError
        When `cancelled` answers true.
    """
    began = clock()
    check_shortlist(shortlist, k)
    at_least("the number of resamples", n_resamples, MIN_RESAMPLES)
    check_links(link_bytes_per_vector)
    chosen_types = check_dtypes(dtypes)
    reference = exact_reference(
        embedding_set,
        dims,
        k=k,
        depth=shortlist if rerank else k,
        metric=metric,
        n_queries=n_queries,
        seed=seed,
        progress=lambda share, message: progress(_SHARE_OF_REFERENCE * share, message),
        cancelled=cancelled,
    )
    options = _options(chosen_types, reference.dims, rerank=rerank)
    judged = reference.judge(_rankings(reference, options, progress=progress, cancelled=cancelled))
    stop_if(cancelled)
    result = _result(
        reference,
        options,
        judged,
        n_resamples=n_resamples,
        link_bytes_per_vector=float(link_bytes_per_vector),
        full_in_memory=full_in_memory,
    )
    signs = _sign_warnings(embedding_set, seed=seed) if "binary" in chosen_types else ()
    return replace(
        result,
        dtypes=chosen_types,
        shortlist=min(shortlist, reference.depth) if rerank else shortlist,
        warnings=(*reference.warnings(k=k, depth=shortlist if rerank else k), *signs),
        elapsed_s=clock() - began,
    )


def check_dtypes(dtypes: Sequence[CodeType]) -> tuple[CodeType, ...]:
    """Return `dtypes` in the order of `CODE_TYPES`; `ParameterError` when one is unknown or repeated, or none given."""
    unknown = [dtype for dtype in dtypes if dtype not in CODE_TYPES]
    if unknown or not dtypes or len(set(dtypes)) != len(dtypes):
        raise ParameterError(
            f"the code types are some of {', '.join(CODE_TYPES)}, each once",
            found=", ".join(map(str, dtypes)) or "none",
        )
    return tuple(dtype for dtype in CODE_TYPES if dtype in dtypes)


def _options(dtypes: tuple[CodeType, ...], dims: tuple[int, ...], *, rerank: bool) -> tuple[StorageOption, ...]:
    reference = StorageOption(dtype="float32", dim=dims[-1])
    options = [
        StorageOption(dtype=dtype, dim=dim, rerank=again)
        for again in ((False, True) if rerank else (False,))
        for dtype in dtypes
        for dim in dims
        # A rerank of the full float32 vectors by themselves changes nothing.
        if (dtype, dim) != (reference.dtype, reference.dim)
    ]
    return (*options, reference)


def _rankings(
    reference: Reference, options: tuple[StorageOption, ...], *, progress: Progress, cancelled: Cancelled
) -> npt.NDArray[np.int64]:
    """Return the ids of the k best of every option, (O, q, k); a type and dim is scored once for both its options."""
    ids = np.empty((len(options), reference.chosen.n_queries, reference.k), np.int64)
    kinds = list(dict.fromkeys((option.dtype, option.dim) for option in options))
    for done, (dtype, dim) in enumerate(kinds):
        stop_if(cancelled)
        share = _SHARE_OF_REFERENCE + (1 - _SHARE_OF_REFERENCE) * done / len(kinds)
        progress(share, f"Scoring {dtype} codes at {dim:,} dims")
        shortlist = reference.shortlist(dtype, dim, cancelled=cancelled)
        for row, option in enumerate(options):
            if (option.dtype, option.dim) == (dtype, dim):
                ids[row] = reference.rerank(shortlist).ids if option.rerank else shortlist[:, : reference.k]
    progress(1.0, "Done")
    return ids


def _sign_warnings(embedding_set: EmbeddingSet, *, seed: int) -> tuple[str, ...]:
    """Warn where most components have one sign in nearly all documents, so that a sign bit tells little."""
    rows = take_rows(embedding_set.corpus, draw_rows(embedding_set.n_docs, _ROWS_LOOKED_AT, seed=seed))
    positive = (as_float32(rows, embedding_set.recipe) > 0).mean(axis=0)
    share = float((np.maximum(positive, 1 - positive) > _ONE_SIDED).mean())
    if share < 0.5:
        return ()
    sentence = (
        f"{100 * share:.0f} % of the components have the same sign in nearly all documents: binary codes, which keep "
        "signs only, tell little apart here."
    )
    return (sentence,)


def _result(
    reference: Reference,
    options: tuple[StorageOption, ...],
    judged: Judged,
    *,
    n_resamples: int,
    link_bytes_per_vector: float,
    full_in_memory: bool,
) -> FootprintResult:
    full_dim = reference.dims[-1]
    sizes = [
        storage_bytes(
            option,
            full_dim=full_dim,
            metric=reference.metric,
            link_bytes_per_vector=link_bytes_per_vector,
            full_in_memory=full_in_memory,
        )
        for option in options
    ]
    return FootprintResult(
        dataset=reference.dataset,
        metric=reference.metric,
        recipe=reference.chosen.recipe,
        dims=reference.dims,
        dtypes=(),
        k=reference.k,
        shortlist=0,
        seed=reference.seed,
        n_resamples=n_resamples,
        n_threads=usable_processors(),
        link_bytes_per_vector=link_bytes_per_vector,
        full_bytes_per_vector=BYTES_PER_COMPONENT * full_dim,
        full_in_memory=full_in_memory,
        query_ids=reference.query_ids,
        rows=_rows(options, sizes, judged, seed=reference.seed, n_resamples=n_resamples),
        recall=judged.recall,
        ndcg=judged.ndcg,
        warnings=(),
        elapsed_s=0.0,
    )


def _rows(
    options: tuple[StorageOption, ...], sizes: list[StorageBytes], judged: Judged, *, seed: int, n_resamples: int
) -> tuple[FootprintRow, ...]:
    judgements = () if judged.ndcg is None else (judged.ndcg,)
    recall, *rest = bootstrap_means(judged.recall, *judgements, seed=seed, n_resamples=n_resamples)
    return tuple(
        FootprintRow(
            option=option,
            code_bytes_per_vector=size.code,
            memory_bytes_per_vector=size.memory,
            disk_bytes_per_vector=size.disk,
            recall=recall.interval(row),
            ndcg=rest[0].interval(row) if rest else None,
        )
        for row, (option, size) in enumerate(zip(options, sizes, strict=True))
    )
