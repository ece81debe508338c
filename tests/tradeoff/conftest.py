"""Sweeps built from chosen per-query values, and small sets to sweep for real."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from engine.embeddings import EmbeddingSet, Judgements
from engine.tradeoff import DatasetInfo, SweepResult

MakeResult = Callable[..., SweepResult]


def _make_result(
    recall: np.ndarray,
    *,
    dims: tuple[int, ...],
    ks: tuple[int, ...] = (10,),
    ndcg: np.ndarray | None = None,
    seed: int = 7,
) -> SweepResult:
    recall = np.asarray(recall, dtype=np.float32).reshape(len(ks), len(dims), -1)
    n_queries = recall.shape[2]
    by_dim = np.asarray(recall[0])
    if ndcg is not None:
        ndcg = np.asarray(ndcg, dtype=np.float32).reshape(recall.shape)
    return SweepResult(
        dataset=DatasetInfo(name="made", n_docs=500, n_queries=n_queries, dim=dims[-1], sha256="0" * 64),
        metric="cosine",
        recipe="prefix",
        dims=dims,
        ks=ks,
        seed=seed,
        query_ids=tuple(f"q{row}" for row in range(n_queries)),
        query_segments=None,
        recall=recall,
        ndcg=ndcg,
        judged_recall=ndcg,
        mrr=None if ndcg is None else ndcg[0],
        top1_agreement=by_dim,
        rank_overlap=by_dim,
        ids=np.zeros((len(dims), n_queries, max(ks)), dtype=np.int64),
        scores=np.zeros((len(dims), n_queries, max(ks)), dtype=np.float32),
        warnings=(),
        elapsed_s=0.5,
    )


@pytest.fixture
def make_result() -> MakeResult:
    """Build a result from recall values of shape (K, D, q), and optionally nDCG of the same shape."""
    return _make_result


@pytest.fixture
def mixed_recall() -> np.ndarray:
    """Per-query recall@10 of 400 queries at three dims: clearly below 0.9, clearly above, and 1."""
    rng = np.random.default_rng(3)
    return np.stack([rng.binomial(10, 0.6, 400) / 10, rng.binomial(10, 0.97, 400) / 10, np.ones(400)])


@pytest.fixture
def embedding_set() -> EmbeddingSet:
    """Return 300 documents whose variance falls over 32 components, 60 queries near them, graded judgements."""
    rng = np.random.default_rng(11)
    scale = 0.9 ** np.arange(32)
    corpus = (rng.standard_normal((300, 32)) * scale).astype(np.float32)
    sources = rng.choice(300, size=60, replace=False)
    queries = (corpus[sources] + 0.1 * rng.standard_normal((60, 32)) * scale).astype(np.float32)
    others = rng.integers(0, 300, size=60)
    others[others == sources] = (others[others == sources] + 1) % 300
    return EmbeddingSet(
        name="nested",
        corpus=corpus,
        queries=queries,
        query_ids=[f"query-{row}" for row in range(60)],
        query_segments=["long" if row % 2 else "short" for row in range(60)],
        judgements=Judgements(
            query_rows=np.tile(np.arange(60), 2),
            doc_rows=np.concatenate([sources, others]),
            grades=np.repeat(np.array([2, 1], dtype=np.float32), 60),
        ),
    )
