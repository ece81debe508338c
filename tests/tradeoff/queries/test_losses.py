"""Who loses, read off sweeps whose per-query values are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from engine.embeddings import EmbeddingSet
from engine.errors import ParameterError
from engine.tradeoff import Interval, SweepResult, sweep
from engine.tradeoff.queries.distribution import Distribution
from engine.tradeoff.queries.losses import Losses, QueryLoss, changes_of_query, losses
from engine.tradeoff.queries.segments import QueryClusters, SegmentChange, cluster_queries
from engine.workspace.codec import decode, encode

MakeResult = Callable[..., SweepResult]


def test_losses_equal_a_loop_over_the_queries(make_result: MakeResult, mixed_recall: np.ndarray) -> None:
    """Changes, mean, share harmed, p5, histogram and the worst queries are those of a plain loop."""
    result = make_result(mixed_recall, dims=(8, 16, 32))
    found = losses(result, 8, n_worst=5)
    changes = mixed_recall[0] - 1
    np.testing.assert_allclose(found.changes, changes, atol=1e-6)
    assert (found.full_dim, found.k, found.n_queries, found.seed) == (32, 10, 400, 7)
    assert found.mean.mean == pytest.approx(changes.mean(), abs=1e-6)
    assert found.mean.low < changes.mean() < found.mean.high
    assert found.harmed.mean == pytest.approx((changes < -1e-9).mean())
    assert found.improved == Interval(mean=0, low=0, high=0)
    assert found.p5 == pytest.approx(sorted(changes)[19])
    assert found.distribution.counts.sum() == 400
    for value in np.unique(changes.round(6)):
        bin_of = np.searchsorted(found.distribution.edges, value) - 1
        assert found.distribution.counts[bin_of] == (np.abs(changes - value) < 1e-6).sum()
    expected = sorted(range(400), key=lambda row: (round(changes[row], 6), row))[:5]
    assert [query.query_row for query in found.worst] == expected
    assert found.worst[0].query_id == f"q{expected[0]}"
    assert found.worst[0].change == pytest.approx(found.worst[0].at_dim - found.worst[0].at_full)
    assert (found.segment_source, found.segments, found.worst_segment) == (None, (), None)


def test_the_full_dimension_harms_nobody(make_result: MakeResult, mixed_recall: np.ndarray) -> None:
    """Against itself there is no change, no worst query and no worst segment."""
    result = replace(make_result(mixed_recall, dims=(8, 16, 32)), query_segments=("a", "b") * 200)
    found = losses(result, 32)
    assert found.mean == found.harmed == Interval(mean=0, low=0, high=0)
    assert (found.p5, found.worst, found.worst_segment) == (0, (), None)


def test_quality_may_also_improve(make_result: MakeResult, mixed_recall: np.ndarray) -> None:
    """Changes of nDCG go both ways, against the full dimension's own value; queries without one are left out."""
    rng = np.random.default_rng(0)
    ndcg = rng.random((3, 400))
    ndcg[:, :50] = np.nan
    found = losses(make_result(mixed_recall, dims=(8, 16, 32), ndcg=ndcg), 16, quantity="ndcg", n_worst=400)
    changes = (ndcg[1] - ndcg[2])[50:]
    assert found.n_queries == 350
    assert found.harmed.mean == pytest.approx((changes < 0).mean())
    assert found.improved.mean == pytest.approx((changes > 0).mean())
    assert len(found.worst) == (changes < -1e-6).sum()
    assert all(query.query_row >= 50 for query in found.worst)


def test_segments_come_from_clusters_or_labels(make_result: MakeResult, mixed_recall: np.ndarray) -> None:
    """Clusters go before the sweep's labels; the worst large segment is named, a worse small one is not."""
    recall = mixed_recall.copy()
    recall[0, :20] = 0
    recall[0, 20:80] = 0.1
    labels = ("few",) * 20 + ("bad",) * 60 + ("rest",) * 320
    result = replace(make_result(recall, dims=(8, 16, 32)), query_segments=labels)
    found = losses(result, 8)
    assert (found.segment_source, found.worst_segment) == ("labels", "bad")
    assert [segment.name for segment in found.segments] == ["bad", "rest", "few"]
    assert found.segments[2].too_small
    clusters = QueryClusters(labels=("one",) * 200 + ("two",) * 200, n_clusters=2, n_fitted=400, seed=0)
    found = losses(result, 8, clusters=clusters)
    assert (found.segment_source, found.worst_segment) == ("clusters", "one")
    with pytest.raises(ParameterError, match="label the 400 queries.*found 2 labels"):
        losses(result, 8, clusters=replace(clusters, labels=("one", "two")))


def test_query_clusters_fit_a_real_sweep(embedding_set: EmbeddingSet) -> None:
    """Clusters of the swept queries give segments that hold all queries."""
    result = sweep(embedding_set, (8,), (10,))
    found = losses(result, 8, clusters=cluster_queries(embedding_set.queries, 2, seed=1))
    assert sum(segment.n_queries for segment in found.segments) == 60


@pytest.mark.parametrize(
    ("dim", "options", "message"),
    [
        (12, {}, "dim must be one of those swept: 8, 16, 32; found 12"),
        (8, {"k": 5}, "k must be one of those swept"),
        (8, {"quantity": "ndcg"}, "needs relevance judgements"),
        (8, {"quantity": "mrr"}, "quantity is one of"),
        (8, {"n_worst": -1}, "worst queries must be at least 0"),
    ],
)
def test_what_was_not_swept_is_refused(
    make_result: MakeResult, mixed_recall: np.ndarray, dim: int, options: dict[str, object], message: str
) -> None:
    """A dim, k or quantity that the sweep does not hold is refused."""
    with pytest.raises(ParameterError, match=message):
        losses(make_result(mixed_recall, dims=(8, 16, 32)), dim, **options)


@pytest.mark.parametrize("k", [1, 5, 20])
def test_lost_and_gained_documents_are_the_difference_of_the_rankings(embedding_set: EmbeddingSet, k: int) -> None:
    """For every query: lost and gained are set differences, ranks and scores are those of the two rankings."""
    result = sweep(embedding_set, (8,), (1, 5, 20))
    for row in range(60):
        found = changes_of_query(result, row, 8, k=k)
        reduced, full = result.ids[0, row].tolist(), result.ids[1, row].tolist()
        assert [document.doc_row for document in found.full] == full[:k]
        assert [document.doc_row for document in found.reduced] == reduced[:k]
        assert {document.doc_row for document in found.lost} == set(full[:k]) - set(reduced[:k])
        assert {document.doc_row for document in found.gained} == set(reduced[:k]) - set(full[:k])
        assert found.recall == pytest.approx(1 - len(found.lost) / k)
        for document in found.lost:
            assert document.score == result.scores[1, row, document.rank - 1]
            assert document.other_rank == (reduced.index(document.doc_row) + 1 if document.doc_row in reduced else None)
            if document.other_rank is not None:
                assert document.other_score == result.scores[0, row, document.other_rank - 1]
        for document in found.gained:
            assert document.other_rank == (full.index(document.doc_row) + 1 if document.doc_row in full else None)
        assert (found.depth, found.query_id) == (20, f"query-{row}")


def test_a_document_that_ties_with_the_kth_is_marked(embedding_set: EmbeddingSet) -> None:
    """Of two equal documents around rank k, the one that comes in for the other ties: recall stays 1."""
    corpus = np.zeros((6, 4), dtype=np.float32)
    corpus[:, 0] = [5, 4, 3, 3, 1, 1]
    corpus[3, :2] = [0, 3]
    corpus[3], corpus[2] = corpus[2].copy(), corpus[3].copy()
    tied = EmbeddingSet(name="tied", corpus=corpus, queries=np.array([[1, 1, 0, 0]], dtype=np.float32), metric="ip")
    result = sweep(tied, (1,), (3, 6))
    found = changes_of_query(result, 0, 1, k=3)
    assert [document.doc_row for document in found.full] == [0, 1, 2]
    assert [document.doc_row for document in found.reduced] == [0, 1, 3]
    assert (found.lost[0].doc_row, found.lost[0].tied) == (2, True)
    assert (found.gained[0].doc_row, found.gained[0].tied) == (3, True)
    assert not found.full[0].tied
    assert found.recall == 1


def test_what_is_beyond_the_kept_ranks_is_unknown(embedding_set: EmbeddingSet) -> None:
    """When only k documents were kept, lost and gained ones have no rank at the other dimension."""
    result = sweep(embedding_set, (4,), (10,))
    found = changes_of_query(result, int(np.argmin(result.recall[0, 0])), 4)
    assert found.lost
    for document in (*found.lost, *found.gained):
        assert (document.other_rank, document.other_score) == (None, None)
    assert all(document.tied is None for document in found.gained)


def test_a_query_that_was_not_swept_is_refused(embedding_set: EmbeddingSet) -> None:
    """Rows outside the sweep's queries are refused; a zero query has no recall."""
    queries = embedding_set.queries.copy()
    queries[4] = 0
    result = sweep(replace(embedding_set, queries=queries), (8,), (10,))
    for row in (-1, 60):
        with pytest.raises(ParameterError, match="query row must"):
            changes_of_query(result, row, 8)
    assert changes_of_query(result, 4, 8).recall is None
    assert losses(result, 8).n_queries == 59


def test_stored_losses_read_back_equal(embedding_set: EmbeddingSet) -> None:
    """The codec of stored runs keeps every field."""
    found = losses(sweep(embedding_set, (8,), (10,)), 8)
    document, arrays = encode(found)
    back = decode(document, arrays, Losses, (Interval, Distribution, QueryLoss, SegmentChange))
    np.testing.assert_array_equal(back.changes, found.changes)
    np.testing.assert_array_equal(back.distribution.counts, found.distribution.counts)
    same = {"changes": found.changes, "distribution": found.distribution}
    assert replace(back, **same).__dict__ == found.__dict__
