"""Funnels against their ceilings, a plain loop, and the sweep that they end in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.embeddings import EmbeddingSet
from engine.errors import CancelledError, ParameterError
from engine.tradeoff import sweep
from engine.tradeoff.results import DatasetInfo, Interval
from engine.tradeoff.size.funnel import SHORTLISTS, FunnelResult, FunnelRow, sweep_funnel
from engine.workspace.codec import decode, encode

SIZES = (5, 12, 40, 300)
TYPES = ("float32", "int8", "binary")


def funnel(embedding_set: EmbeddingSet, **options) -> FunnelResult:
    """Sweep three types, three dims and four shortlists, the last of them the whole corpus."""
    return sweep_funnel(
        embedding_set, (4, 12), k=5, shortlists=SIZES, **{"dtypes": TYPES, "n_resamples": 1000, **options}
    )


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_a_full_rerank_reaches_the_ceiling(embedding_set: EmbeddingSet, metric: str) -> None:
    """Reranked by the full vectors, recall is the shortlist recall; it rises with the shortlist, to 1 of everything."""
    result = funnel(embedding_set, metric=metric)
    assert result.recall.shape == (3, 3, 4, 60)
    np.testing.assert_allclose(result.recall, result.shortlist_recall, atol=1e-6)
    assert (np.diff(result.recall, axis=2) >= -1e-6).all()
    assert (result.recall[:, :, -1] == 1).all()
    np.testing.assert_allclose(result.ndcg[:, :, -1].mean(axis=-1), result.full_ndcg.mean, atol=1e-6)


def test_a_shortlist_of_k_by_float32_is_the_sweep(embedding_set: EmbeddingSet) -> None:
    """With a shortlist of k the rerank can only reorder: recall is that of the sweep at the same dim."""
    result = funnel(embedding_set)
    swept = sweep(embedding_set, (4, 12, 32), (5,))
    np.testing.assert_allclose(result.recall[0, :, 0], swept.recall[0], atol=1e-6)
    np.testing.assert_allclose(result.ndcg[0, -1, 0], swept.ndcg[0, -1], atol=1e-6)


def test_a_shorter_rerank_equals_a_plain_loop(embedding_set: EmbeddingSet) -> None:
    """A rerank by 12 components of a shortlist by 4 ranks as float64 does, at or below the ceiling."""
    result = funnel(embedding_set, rerank_dim=12, dtypes=("float32",))
    assert (result.recall <= result.shortlist_recall + 1e-6).all()
    scores = {}
    for dim in (4, 12, 32):
        docs, asked = (np.asarray(rows, float)[:, :dim] for rows in (embedding_set.corpus, embedding_set.queries))
        products = asked @ docs.T
        scores[dim] = products / np.linalg.norm(docs, axis=1) / np.linalg.norm(asked, axis=1)[:, None]
    truth = np.argsort(-scores[32], axis=1)[:, :5]
    for column, size in enumerate(SIZES):
        shortlist = np.argsort(-scores[4], axis=1)[:, :size]
        again = np.take_along_axis(scores[12], shortlist, axis=1)
        final = np.take_along_axis(shortlist, np.argsort(-again, axis=1)[:, :5], axis=1)
        for found, ids in ((result.recall, final), (result.shortlist_recall, shortlist)):
            expected = [len(set(a) & set(b)) / 5 for a, b in zip(ids, truth, strict=True)]
            assert np.mean(np.abs(found[0, 0, column] - expected) > 1e-6) <= 0.05
    assert result.rows[0].fetched_bytes_per_query == 5 * 4 * 12


def test_rows_are_the_means_in_order(embedding_set: EmbeddingSet) -> None:
    """A row a type, dim and shortlist, the last fastest, with its bytes: int8 at 12 holds 12 in memory, 140 on disk."""
    result = funnel(embedding_set)
    assert [(row.dtype, row.dim, row.shortlist) for row in result.rows[:5]] == [
        ("float32", 4, 5),
        ("float32", 4, 12),
        ("float32", 4, 40),
        ("float32", 4, 300),
        ("float32", 12, 5),
    ]
    means = [row.recall.mean for row in result.rows]
    np.testing.assert_allclose(np.reshape(means, (3, 3, 4)), result.recall.mean(axis=-1), atol=1e-6)
    row = next(row for row in result.rows if (row.dtype, row.dim, row.shortlist) == ("int8", 12, 40))
    assert (row.memory_bytes_per_vector, row.disk_bytes_per_vector) == (12, 12 + 128)
    assert row.fetched_bytes_per_query == 40 * 128


def test_a_shortlist_beyond_the_corpus_is_read_as_the_corpus(embedding_set: EmbeddingSet) -> None:
    """The default shortlists end at the 300 documents there are, and the result says so."""
    result = sweep_funnel(embedding_set, (8,), n_resamples=1000)
    assert result.shortlists == (*SHORTLISTS[:-1], 300)
    assert any("shortlists of more are read as 300" in sentence for sentence in result.warnings)


def test_a_set_without_judgements_has_recall_only(embedding_set: EmbeddingSet) -> None:
    """Without judgements nDCG is None everywhere, and a stored funnel reads back alike."""
    result = sweep_funnel(replace(embedding_set, judgements=None), (8,), n_resamples=1000)
    assert (result.ndcg, result.full_ndcg, {row.ndcg for row in result.rows}) == (None, None, {None})
    back = decode(*encode(result), FunnelResult, (FunnelRow, DatasetInfo, Interval))
    assert back.rows == result.rows
    np.testing.assert_array_equal(back.shortlist_recall, result.shortlist_recall)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 20, "shortlists": (10, 50)}, "at least the k = 20.*found 10"),
        ({"shortlists": ()}, "shortlists must ascend"),
        ({"shortlists": (50, 20)}, "shortlists must ascend.*found 50, 20"),
        ({"shortlists": (20, 20)}, "each once"),
        ({"shortlists": (20.5,)}, "whole number"),
        ({"rerank_dim": 33}, "full dimension 32"),
        ({"dtypes": ("pq",)}, "code types"),
        ({"n_resamples": 5}, "resamples"),
        ({"link_bytes_per_vector": float("nan")}, "links"),
    ],
)
def test_parameters_out_of_range_are_refused(embedding_set: EmbeddingSet, options: dict, message: str) -> None:
    """A shortlist below k, shortlists out of order and other wrong numbers are refused with their rule."""
    with pytest.raises(ParameterError, match=message):
        sweep_funnel(embedding_set, **options)


def test_too_many_rankings_and_a_lone_held_out_document_are_refused(embedding_set: EmbeddingSet) -> None:
    """Rankings that would not fit in memory, and a corpus whose only document is the query, are refused."""
    lone = EmbeddingSet(name="lone", corpus=np.ones((1, 4), np.float32)).with_held_out_queries(1)
    with pytest.raises(ParameterError, match="at least one document to retrieve"):
        sweep_funnel(lone)
    many = EmbeddingSet(name="many", corpus=np.ones((30_000, 2), np.float32), queries=np.ones((10_000, 2), np.float32))
    with pytest.raises(ParameterError, match="to fit in memory"):
        sweep_funnel(many, (1,), shortlists=(20_000,))


def test_progress_rises_to_one_and_cancel_stops(embedding_set: EmbeddingSet) -> None:
    """Progress never falls and ends at 1; a cancel ends the work."""
    shares: list[float] = []
    funnel(embedding_set, progress=lambda share, _: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    with pytest.raises(CancelledError):
        funnel(embedding_set, cancelled=lambda: True)
