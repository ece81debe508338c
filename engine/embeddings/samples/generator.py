"""Generate synthetic embedding sets of any size, to try things on that real data is too small for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.embeddings.embedding_set import EmbeddingSet
from engine.errors import ParameterError

LARGEST_DIM = 3072
LARGEST_BYTES = 8 << 30
STEEPEST_SPECTRUM = 4.0

_BLOCK_VALUES = 1 << 22
_BETWEEN_SHARE = 0.5  # of the variance lies between the clusters, the other half within them


def synthetic(
    n: int = 10_000,
    d: int = 1024,
    *,
    n_queries: int = 200,
    spectrum: float = 1.0,
    clusters: int = 50,
    seed: int = 0,
) -> EmbeddingSet:
    """Generate `n` unit vectors of `d` dims in `clusters` Gaussian clusters, and queries from the same mixture.

    The variance of dim j (from 1) falls as j^-`spectrum`: 0 is flat, so that every dim says as much as any other; 1 is
    Matryoshka-like; above 2 a few dims say it all. The same arguments give the same vectors.

    Raises
    ------
    ParameterError
        When a number is out of range, or the vectors would take more than 8 GiB.
    """
    _check_size(n, d, n_queries)
    _check_mixture(spectrum, clusters, seed)
    rng = np.random.default_rng(seed)
    scale = np.sqrt(np.arange(1, d + 1, dtype=np.float64) ** -spectrum).astype(np.float32)
    centres = rng.standard_normal((clusters, d), dtype=np.float32) * (scale * np.float32(_BETWEEN_SHARE**0.5))
    scale *= np.float32((1 - _BETWEEN_SHARE) ** 0.5)
    corpus_clusters = rng.integers(clusters, size=n)
    query_clusters = rng.integers(clusters, size=n_queries)
    return EmbeddingSet(
        name=f"Synthetic {n:,} × {d:,}",
        corpus=_draw(rng, corpus_clusters, centres, scale),
        queries=_draw(rng, query_clusters, centres, scale),
        corpus_segments=_cluster_names(corpus_clusters, clusters),
        query_segments=_cluster_names(query_clusters, clusters),
        labels=("synthetic",),
    )


def _draw(
    rng: np.random.Generator,
    labels: npt.NDArray[np.int64],
    centres: npt.NDArray[np.float32],
    scale: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    n, d = len(labels), len(scale)
    vectors = np.empty((n, d), dtype=np.float32)
    rows = max(1, _BLOCK_VALUES // d)
    for start in range(0, n, rows):
        block = vectors[start : start + rows]
        rng.standard_normal(out=block, dtype=np.float32)
        block *= scale
        block += centres[labels[start : start + rows]]
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    vectors.setflags(write=False)
    return vectors


def _cluster_names(labels: npt.NDArray[np.int64], clusters: int) -> list[str]:
    digits = len(str(clusters))
    names = [f"cluster {cluster:0{digits}d}" for cluster in range(1, clusters + 1)]
    return [names[label] for label in labels]


def _check_size(n: int, d: int, n_queries: int) -> None:
    for what, value in {"number of vectors": n, "number of queries": n_queries}.items():
        if value < 1:
            raise ParameterError(f"the {what} must be at least 1", found=value)
    if not 1 <= d <= LARGEST_DIM:
        raise ParameterError(f"the number of dimensions must be from 1 to {LARGEST_DIM}", found=d)
    if (n + n_queries) * d * 4 > LARGEST_BYTES:
        raise ParameterError(
            f"synthetic vectors may take at most {LARGEST_BYTES >> 30} GiB",
            found=f"{(n + n_queries) * d * 4 / 2**30:,.1f} GiB",
            hint="Ask for fewer vectors or fewer dimensions",
        )


def _check_mixture(spectrum: float, clusters: int, seed: int) -> None:
    if not 0 <= spectrum <= STEEPEST_SPECTRUM:
        raise ParameterError(f"the spectrum exponent must be from 0 to {STEEPEST_SPECTRUM:g}", found=spectrum)
    if not 1 <= clusters <= 10_000:
        raise ParameterError("the number of clusters must be from 1 to 10,000", found=clusters)
    if seed < 0:
        raise ParameterError("the seed must be at least 0", found=seed)
