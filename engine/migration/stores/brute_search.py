"""Nearest rows by comparing every one, for files that have no index."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from engine.embeddings.embedding_set import Metric


def search_blocks(
    blocks: Iterable[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]],
    queries: npt.NDArray[np.float32],
    k: int,
    *,
    metric: Metric,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Return the `k` best row numbers (q, k), -1 where fewer are there, their scores, and each query's milliseconds.

    Higher score first, then lower row. Zero vectors have no cosine and are never found by it. All queries share a pass,
    so that each one's time is its share.
    """
    started = time.perf_counter()
    n = len(queries)
    rows = np.full((n, k), -1, dtype=np.int64)
    scores = np.full((n, k), -np.inf, dtype=np.float32)
    for numbers, vectors in blocks:
        both = np.concatenate([scores, _scores(queries, vectors, metric)], axis=1)
        of_both = np.concatenate([rows, np.broadcast_to(numbers, (n, len(numbers)))], axis=1)
        # Sorted by row first, a stable sort by score leaves the lower row first among equals.
        by_row = np.argsort(of_both, axis=1, kind="stable")
        both, of_both = np.take_along_axis(both, by_row, axis=1), np.take_along_axis(of_both, by_row, axis=1)
        best = np.argsort(-both, axis=1, kind="stable")[:, :k]
        scores, rows = np.take_along_axis(both, best, axis=1), np.take_along_axis(of_both, best, axis=1)
    missing = ~np.isfinite(scores)
    rows = np.where(missing, -1, rows)
    took = 1000 * (time.perf_counter() - started) / max(1, n)
    return rows, np.where(missing, np.nan, scores).astype(np.float32), np.full(n, took)


def _scores(
    queries: npt.NDArray[np.float32], vectors: npt.NDArray[np.float32], metric: Metric
) -> npt.NDArray[np.float32]:
    products = queries @ vectors.T
    if metric == "ip":
        return products
    lengths = np.einsum("ij,ij->i", vectors, vectors)
    of_queries = np.einsum("ij,ij->i", queries, queries)
    if metric == "l2":
        scores: npt.NDArray[np.float32] = np.minimum(0.0, 2.0 * products - lengths - of_queries[:, None])
        return scores
    norms = np.sqrt(np.outer(of_queries, lengths))
    cosines: npt.NDArray[np.float32] = np.full_like(products, -np.inf)
    np.divide(products, norms, out=cosines, where=norms > 0)
    return cosines
