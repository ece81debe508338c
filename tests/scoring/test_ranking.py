"""Ranking metrics against naive references, published formulas and hand-made ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from engine.embeddings import Judgements
from engine.scoring import NestedTopK, nested_topk
from engine.scoring.ranking import (
    Relevance,
    judged_recall_at,
    ndcg_at,
    overlap_with_full,
    rank_biased_overlap,
    recall_at,
    reciprocal_rank,
    top1_agreement,
)

_DIMS = (2, 4, 8, 16)


def _nested(ids: object, full_scores: object, *, zero_queries: object = None) -> NestedTopK:
    """Wrap rankings (D, q, k) whose last dimension is the full one."""
    ids, full = np.asarray(ids, dtype=np.int64), np.asarray(full_scores, dtype=np.float32)
    n_dims, n_queries, k = ids.shape
    zero = np.zeros(n_queries, dtype=bool) if zero_queries is None else np.asarray(zero_queries)
    return NestedTopK(
        dims=tuple(range(1, n_dims + 1)),
        k=k,
        k_requested=k,
        n_docs=int(ids.max()) + 1,
        ids=ids,
        scores=full,
        full_scores=full,
        zero_docs=(0,) * n_dims,
        zero_queries=zero,
    )


def _judgements(*rows: tuple[int, int, float]) -> Judgements:
    query_rows, doc_rows, grades = zip(*rows, strict=True)
    return Judgements(
        query_rows=np.array(query_rows, dtype=np.int64),
        doc_rows=np.array(doc_rows, dtype=np.int64),
        grades=np.array(grades, dtype=np.float32),
    )


@pytest.fixture(scope="module")
def swept() -> NestedTopK:
    """Forty random queries against 200 random documents at four dims, top 20."""
    rng = np.random.default_rng(0)
    corpus = rng.standard_normal((200, 16)).astype(np.float32)
    queries = rng.standard_normal((40, 16)).astype(np.float32)
    return nested_topk(corpus, queries, _DIMS, 20)


def test_recall_without_ties_is_set_overlap(swept: NestedTopK) -> None:
    """Without ties recall@k equals the overlap of the two top k divided by k, for every k, dim and query."""
    ks = (1, 5, 20)
    recall = recall_at(swept, ks)
    assert recall.shape == (3, 4, 40)
    for row, k in enumerate(ks):
        for dim in range(4):
            for query in range(40):
                shared = set(swept.ids[dim, query, :k]) & set(swept.ids[-1, query, :k])
                assert recall[row, dim, query] == pytest.approx(len(shared) / k)
    assert (recall[:, -1] == 1).all()


def test_a_document_tied_with_the_kth_is_a_hit() -> None:
    """Retrieving another document with the k-th full-dimension score, or within 1e-6 of it, counts as a hit."""
    full = [[[0.9, 0.5, 0.5]], [[0.9, 0.5, 0.4]]]
    nested = _nested([[[0, 7, 8]], [[0, 1, 2]]], full)
    assert recall_at(nested, (2, 3))[:, 0, 0].tolist() == [1.0, 1.0]
    nearly = _nested([[[0, 7]], [[0, 1]]], [[[0.9, 0.4999995]], [[0.9, 0.5]]])
    assert recall_at(nearly, (2,))[0, 0, 0] == 1.0
    below = _nested([[[0, 7]], [[0, 1]]], [[[0.9, 0.499997]], [[0.9, 0.5]]])
    assert recall_at(below, (2,))[0, 0, 0] == 0.5


def test_the_tie_tolerance_grows_with_the_score() -> None:
    """At scores near -1,000 (squared distances) the tolerance is a thousandth, not a millionth."""
    tied = _nested([[[7]], [[1]]], [[[-1000.0009]], [[-1000.0]]])
    apart = _nested([[[7]], [[1]]], [[[-1000.002]], [[-1000.0]]])
    assert recall_at(tied, (1,))[0, 0, 0] == 1.0
    assert recall_at(apart, (1,))[0, 0, 0] == 0.0


def test_duplicated_documents_do_not_cost_recall() -> None:
    """With every document stored three times, recall still compares neighbours, not which copy came first."""
    rng = np.random.default_rng(1)
    once = rng.standard_normal((30, 8)).astype(np.float32)
    queries = rng.standard_normal((25, 8)).astype(np.float32)
    single = recall_at(nested_topk(once, queries, (4, 8), 5), (5,))
    tripled = recall_at(nested_topk(np.tile(once, (3, 1)), queries, (4, 8), 15), (15,))
    np.testing.assert_allclose(tripled, single)


def test_a_k_beyond_the_ranking_is_the_whole_ranking() -> None:
    """When fewer than k documents can be retrieved, recall@k reads the whole ranking."""
    nested = _nested([[[0, 9]], [[0, 1]]], [[[0.9, 0.1]], [[0.9, 0.5]]])
    assert recall_at(nested, (2, 50))[:, 0, 0].tolist() == [0.5, 0.5]


def test_zero_queries_have_no_recall_and_zero_documents_are_no_trap() -> None:
    """A zero query is NaN in every metric; so is recall@k where the k-th document has no cosine, and nothing else."""
    rng = np.random.default_rng(2)
    corpus = rng.standard_normal((12, 8)).astype(np.float32)
    corpus[:4] = 0
    queries = rng.standard_normal((3, 8)).astype(np.float32)
    queries[1] = 0
    nested = nested_topk(corpus, queries, (4, 8), 10)
    relevance = Relevance.of(nested, _judgements((0, 5, 1), (1, 5, 1), (2, 5, 1)), n_docs=12)
    values = [recall_at(nested, (8,))[0], top1_agreement(nested), overlap_with_full(nested)]
    values += [ndcg_at(relevance, (10,))[0], judged_recall_at(relevance, (10,))[0], reciprocal_rank(relevance)]
    for by_query in values:
        assert np.isnan(by_query[:, 1]).all()
        assert np.isfinite(by_query[:, [0, 2]]).all()
    assert (recall_at(nested, (8,))[0][:, [0, 2]] == 1).all()
    assert np.isnan(recall_at(nested, (10,))).all()


def test_top1_agreement_is_recall_at_one(swept: NestedTopK) -> None:
    """The first document agrees when it is the full dimension's first."""
    expected = swept.ids[:, :, 0] == swept.ids[-1, :, 0]
    np.testing.assert_array_equal(top1_agreement(swept), expected)


def _naive_rbo(a: list[int], b: list[int], p: float) -> float:
    """RBO_EXT by its definition, the infinite tail summed to 2,000 terms at the last agreement."""
    k = len(a)
    agreements = [len(set(a[:d]) & set(b[:d])) / d for d in range(1, k + 1)]
    agreements += [agreements[-1]] * 2_000
    return (1 - p) * sum(p**d * agreement for d, agreement in enumerate(agreements))


@settings(deadline=None)
@given(st.integers(1, 12), st.randoms(use_true_random=False))
def test_rank_biased_overlap_equals_its_infinite_sum(k: int, random: object) -> None:
    """The closed form equals (1-p) Σ p^(d-1) A_d with the agreement held at its last value beyond depth k."""
    a = [random.sample(range(20), k) for _ in range(5)]
    b = [random.sample(range(20), k) for _ in range(5)]
    expected = [_naive_rbo(x, y, 0.9) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(rank_biased_overlap(np.array(a), np.array(b)), expected, atol=1e-6)


def test_rank_biased_overlap_of_equal_and_disjoint_rankings() -> None:
    """Equal rankings overlap by 1, disjoint by 0, and a swap at the top costs more than one at the bottom."""
    reference = np.arange(10)[None, :]
    assert rank_biased_overlap(reference, reference)[0] == 1
    assert rank_biased_overlap(reference + 10, reference)[0] == 0
    top, bottom = reference.copy(), reference.copy()
    top[0, [0, 1]] = [1, 0]
    bottom[0, [8, 9]] = [9, 8]
    assert rank_biased_overlap(top, reference)[0] < rank_biased_overlap(bottom, reference)[0] < 1


def test_a_query_shares_documents_with_itself_only() -> None:
    """The same documents in another query's ranking are no overlap."""
    ids = np.array([[0, 1], [2, 3]])
    assert rank_biased_overlap(ids, ids[::-1]).tolist() == [0, 0]


def test_ndcg_by_hand() -> None:
    """Grades 3, 0, 1 retrieved of judged 3, 2, 1: DCG@3 = 3 + 1/2, ideal = 3 + 2/log2(3) + 1/2."""
    nested = _nested([[[4, 9, 6]]], [[[0.9, 0.8, 0.7]]])
    relevance = Relevance.of(nested, _judgements((0, 4, 3), (0, 5, 2), (0, 6, 1)), n_docs=10)
    expected = (3 + 1 / 2) / (3 + 2 / np.log2(3) + 1 / 2)
    assert ndcg_at(relevance, (3,))[0, 0, 0] == pytest.approx(expected)
    assert judged_recall_at(relevance, (3,))[0, 0, 0] == pytest.approx(2 / 3)
    assert reciprocal_rank(relevance)[0, 0] == 1


def test_ndcg_agrees_with_scikit_learn() -> None:
    """Where every judged document is in the corpus and nothing ties, nDCG@k equals sklearn.metrics.ndcg_score."""
    rng = np.random.default_rng(3)
    corpus = rng.standard_normal((50, 12)).astype(np.float32)
    queries = rng.standard_normal((20, 12)).astype(np.float32)
    grades = rng.integers(0, 4, size=(20, 50)) * (rng.random((20, 50)) < 0.2)
    grades[:, 0] += 1
    query_rows, doc_rows = np.nonzero(grades)
    order = rng.permutation(len(query_rows))
    judgements = Judgements(
        query_rows=query_rows[order],
        doc_rows=doc_rows[order],
        grades=grades[query_rows, doc_rows][order].astype(np.float32),
    )
    nested = nested_topk(corpus, queries, (6, 12), 50)
    ndcg = ndcg_at(Relevance.of(nested, judgements, n_docs=50), (1, 5, 10, 50))
    for dim, d in enumerate((6, 12)):
        scores = queries[:, :d] @ (corpus[:, :d] / np.linalg.norm(corpus[:, :d], axis=1, keepdims=True)).T
        for row, k in enumerate((1, 5, 10, 50)):
            expected = [ndcg_score(grades[[q]], scores[[q]], k=k) for q in range(20)]
            np.testing.assert_allclose(ndcg[row, dim], expected, atol=1e-6)


def test_missing_documents_count_in_the_ideal_and_cannot_be_found() -> None:
    """A judged document outside the corpus (row -1) lowers nDCG and judged recall, however often it occurs."""
    nested = _nested([[[0, 1, 2]]], [[[0.9, 0.8, 0.7]]])
    judged = _judgements((0, 0, 1), (0, -1, 1), (0, -1, 1))
    relevance = Relevance.of(nested, judged, n_docs=3)
    discounts = 1 / np.log2([2, 3, 4])
    assert relevance.n_relevant.tolist() == [3]
    assert ndcg_at(relevance, (3,))[0, 0, 0] == pytest.approx(1 / discounts.sum())
    assert judged_recall_at(relevance, (3,))[0, 0, 0] == pytest.approx(1 / 3)


def test_negative_grades_count_as_nothing() -> None:
    """A negative grade neither lowers nDCG nor makes a document relevant, as in trec_eval."""
    nested = _nested([[[0, 1]]], [[[0.9, 0.8]]])
    with_negative = Relevance.of(nested, _judgements((0, 0, -2), (0, 1, 1)), n_docs=2)
    without = Relevance.of(nested, _judgements((0, 1, 1)), n_docs=2)
    assert ndcg_at(with_negative, (2,)) == ndcg_at(without, (2,))
    assert reciprocal_rank(with_negative)[0, 0] == 0.5
    assert with_negative.n_relevant.tolist() == [1]


def test_queries_without_a_relevant_document_have_no_quality() -> None:
    """A query judged with grades of 0 only, or not at all, is NaN, never 0."""
    nested = _nested([[[0, 1]] * 3], [[[0.9, 0.8]] * 3])
    relevance = Relevance.of(nested, _judgements((0, 0, 1), (1, 0, 0)), n_docs=2)
    for values in (ndcg_at(relevance, (2,))[0], judged_recall_at(relevance, (2,))[0], reciprocal_rank(relevance)):
        assert np.isnan(values[0]).tolist() == [False, True, True]
        assert values[0, 0] == 1


def test_no_judgements_at_all() -> None:
    """Empty judgements leave every query without a value."""
    empty = Judgements(
        query_rows=np.array([], dtype=np.int64), doc_rows=np.array([], dtype=np.int64), grades=np.array([], np.float32)
    )
    nested = _nested([[[0, 1]]], [[[0.9, 0.8]]])
    assert np.isnan(ndcg_at(Relevance.of(nested, empty, n_docs=2), (2,))).all()


def test_the_later_of_two_judgements_counts() -> None:
    """A document judged twice for one query is counted once, with its later grade."""
    nested = _nested([[[0, 1]]], [[[0.9, 0.8]]])
    relevance = Relevance.of(nested, _judgements((0, 0, 1), (0, 1, 1), (0, 0, 3)), n_docs=2)
    assert relevance.grades[0, 0].tolist() == [3, 1]
    assert relevance.ideal[0].tolist() == [3, 1]


def test_judged_recall_is_capped_at_k() -> None:
    """With three relevant documents, finding two of them in the top 2 is a recall@2 of 1."""
    nested = _nested([[[0, 1, 5]]], [[[0.9, 0.8, 0.7]]])
    relevance = Relevance.of(nested, _judgements((0, 0, 1), (0, 1, 2), (0, 2, 1)), n_docs=6)
    assert judged_recall_at(relevance, (1, 2, 3))[:, 0, 0].tolist() == pytest.approx([1, 1, 2 / 3])


def test_reciprocal_rank_is_of_the_first_relevant_document() -> None:
    """1/3 when the third document is the first relevant one, 0 when none was retrieved."""
    nested = _nested([[[0, 1, 2], [0, 1, 3]]], [[[0.9, 0.8, 0.7]] * 2])
    relevance = Relevance.of(nested, _judgements((0, 2, 1), (1, 2, 1)), n_docs=4)
    assert reciprocal_rank(relevance)[0].tolist() == pytest.approx([1 / 3, 0])
