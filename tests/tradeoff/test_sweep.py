"""The sweep from an embedding set to per-query values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.embeddings import EmbeddingSet, Judgements
from engine.errors import CancelledError, ParameterError, VectorError
from engine.tradeoff import sweep


def _scores(corpus: np.ndarray, queries: np.ndarray, d: int, metric: str) -> np.ndarray:
    corpus, queries = corpus[:, :d].astype(np.float64), queries[:, :d].astype(np.float64)
    if metric == "l2":
        return -((queries[:, None, :] - corpus[None, :, :]) ** 2).sum(axis=2)
    products = queries @ corpus.T
    if metric == "ip":
        return products
    return products / np.linalg.norm(queries, axis=1)[:, None] / np.linalg.norm(corpus, axis=1)[None, :]


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_a_sweep_equals_a_loop_over_truncated_copies(embedding_set: EmbeddingSet, metric: str) -> None:
    """Rankings and recall@10 equal those of scoring every prefix on its own in float64."""
    result = sweep(embedding_set, (4, 8, 32), (1, 10), metric=metric)
    assert result.metric == metric
    full = np.argsort(-_scores(embedding_set.corpus, embedding_set.queries, 32, metric), axis=1)[:, :10]
    for row, d in enumerate((4, 8, 32)):
        ids = np.argsort(-_scores(embedding_set.corpus, embedding_set.queries, d, metric), axis=1)[:, :10]
        np.testing.assert_array_equal(result.ids[row], ids)
        overlap = [len(set(a) & set(b)) / 10 for a, b in zip(ids, full, strict=True)]
        np.testing.assert_allclose(result.recall[1, row], overlap)


def test_the_full_dimension_is_added_and_perfect(embedding_set: EmbeddingSet) -> None:
    """Dims without the full one get it; there recall, top-1 agreement and rank overlap are 1."""
    result = sweep(embedding_set, (4, 8), (10,))
    assert result.dims == (4, 8, 32)
    for values in (result.recall[:, -1], result.top1_agreement[-1], result.rank_overlap[-1]):
        assert (values == 1).all()
    assert sweep(embedding_set, ks=(1,)).dims == (2, 4, 8, 16, 32)


def test_a_result_describes_itself(embedding_set: EmbeddingSet) -> None:
    """Shapes, ids, segments, digest and elapsed time are those of what was swept."""
    ticks = iter([10.0, 12.5])
    result = sweep(embedding_set, (8,), (1, 10), seed=4, clock=lambda: next(ticks))
    assert result.recall.shape == result.ndcg.shape == result.judged_recall.shape == (2, 2, 60)
    assert result.mrr.shape == result.top1_agreement.shape == result.rank_overlap.shape == (2, 60)
    assert result.ids.shape == result.scores.shape == (2, 60, 10)
    assert result.query_ids[:2] == ("query-0", "query-1")
    assert result.query_segments[:2] == ("short", "long")
    assert (result.dataset.sha256, result.dataset.n_docs) == (embedding_set.sha256, 300)
    assert (result.elapsed_s, result.seed) == (2.5, 4)
    assert result.has_judgements


def test_without_judgements_there_is_no_quality(embedding_set: EmbeddingSet) -> None:
    """nDCG, judged recall and MRR are None without relevance judgements."""
    result = sweep(replace(embedding_set, judgements=None), (8,), (10,))
    assert (result.ndcg, result.judged_recall, result.mrr) == (None, None, None)
    assert not result.has_judgements


def test_a_held_out_query_never_retrieves_itself(embedding_set: EmbeddingSet) -> None:
    """Queries held out from the corpus are excluded from their own rankings, and the result says they are held out."""
    held_out = replace(embedding_set, queries=None, judgements=None, query_ids=None, query_segments=None)
    held_out = held_out.with_held_out_queries(40, seed=1)
    result = sweep(held_out, (8,), (10,))
    assert not (result.ids == held_out.query_corpus_rows[None, :, None]).any()
    assert any("held-out" in warning for warning in result.warnings)


def test_a_sample_of_the_queries_keeps_their_own_values(embedding_set: EmbeddingSet) -> None:
    """Each sampled query has the values it has in the whole sweep; the digest stays that of the whole set."""
    whole = sweep(embedding_set, (8,), (10,))
    part = sweep(embedding_set, (8,), (10,), n_queries=35, seed=2)
    rows = [whole.query_ids.index(query_id) for query_id in part.query_ids]
    assert len(rows) == part.dataset.n_queries == 35
    np.testing.assert_array_equal(part.recall, whole.recall[..., rows])
    np.testing.assert_array_equal(part.ndcg, whole.ndcg[..., rows])
    assert part.dataset.sha256 == embedding_set.sha256
    assert "A sample of 35 of the 60 queries was swept." in part.warnings


def test_k_beyond_the_corpus_becomes_the_corpus_and_is_said(embedding_set: EmbeddingSet) -> None:
    """With 12 documents k = 100 is read as 12, the labels stay, and a warning says so."""
    small = replace(embedding_set, corpus=embedding_set.corpus[:12], judgements=None)
    result = sweep(small, (8,), (1, 100))
    assert result.ks == (1, 100)
    assert result.ids.shape == (2, 60, 12)
    assert (result.recall[1] == 1).all()
    assert "A query can retrieve 12 documents only: k = 100 is read as 12." in result.warnings


def test_zero_vectors_and_few_queries_are_warned_about(embedding_set: EmbeddingSet) -> None:
    """Zero documents, zero prefixes, zero queries and fewer than 30 queries each have their sentence and count."""
    corpus, queries = embedding_set.corpus.copy(), embedding_set.queries[:20].copy()
    corpus[:3] = 0
    corpus[3:5, :8] = 0
    queries[7] = 0
    few = replace(embedding_set, corpus=corpus, queries=queries, query_ids=None, query_segments=None, judgements=None)
    result = sweep(few, (8,), (10,))
    assert result.warnings == (
        "Too few queries, 20: nothing is called safe with fewer than 30.",
        "Queries that are zero vectors, left out of every mean: 1.",
        "Documents that are zero vectors, ranked last: 3.",
        "Documents whose first 8 components are zero, ranked last there: 5.",
    )
    assert np.isnan(result.recall[..., 7]).all()


def test_a_zero_query_has_distances(embedding_set: EmbeddingSet) -> None:
    """Under l2 a zero query is a point like any other and keeps its recall."""
    queries = embedding_set.queries.copy()
    queries[7] = 0
    result = sweep(replace(embedding_set, queries=queries), (8,), (10,), metric="l2")
    assert np.isfinite(result.recall).all()


def test_judgements_that_fit_nothing_are_counted(embedding_set: EmbeddingSet) -> None:
    """Judgements of unknown queries and documents, and queries without a relevant document, are warned about."""
    judgements = Judgements(
        query_rows=np.array([0, 1]),
        doc_rows=np.array([5, -1]),
        grades=np.array([1, 1], dtype=np.float32),
        unknown_queries=4,
        unknown_docs=1,
    )
    warnings = sweep(replace(embedding_set, judgements=judgements), (8,), (10,)).warnings
    assert len(warnings) == 3
    assert warnings[0].endswith("left out: 4.")
    assert warnings[1].endswith("ideal ranking: 1.")
    assert warnings[2].endswith("MRR: 58.")


def test_a_healthy_set_has_no_warnings(embedding_set: EmbeddingSet) -> None:
    """Nothing is warned about when nothing is wrong."""
    assert sweep(embedding_set, (8,), (10,)).warnings == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dims": (8, 40)}, "full dimension 32; found 40"),
        ({"dims": ()}, "must not be empty"),
        ({"ks": (0, 10)}, "k must be at least 1; found 0"),
        ({"metric": "dot"}, "one of cosine, ip, l2; found dot"),
        ({"n_queries": 0}, "number of queries must be at least 1"),
        ({"seed": -1}, "whole number from 0"),
        ({"seed": 1.5}, "whole number from 0"),
    ],
)
def test_parameters_out_of_range_are_refused(
    embedding_set: EmbeddingSet, options: dict[str, object], message: str
) -> None:
    """Every parameter out of range is refused with one sentence that names the value."""
    with pytest.raises(ParameterError, match=message):
        sweep(embedding_set, **options)


def test_a_set_without_queries_is_refused_with_a_hint(embedding_set: EmbeddingSet) -> None:
    """Without queries the error says how to hold some out."""
    bare = EmbeddingSet(name="bare", corpus=embedding_set.corpus)
    with pytest.raises(ParameterError, match="needs queries.*hold some of the corpus out"):
        sweep(bare)


def test_a_corpus_of_one_cannot_be_held_out(embedding_set: EmbeddingSet) -> None:
    """A single document that is also the query leaves nothing to retrieve."""
    lonely = EmbeddingSet(name="one", corpus=embedding_set.corpus[:1]).with_held_out_queries(1)
    with pytest.raises(ParameterError, match="at least one document to retrieve"):
        sweep(lonely)


def test_rankings_beyond_memory_are_refused_before_scoring() -> None:
    """Dims × queries × k beyond the limit is refused, naming the three numbers."""
    vectors = np.ones((100_000, 2), dtype=np.int8)
    huge = EmbeddingSet(name="huge", corpus=vectors, queries=vectors)
    with pytest.raises(ParameterError, match="found 2 × 100,000 × 100,000"):
        sweep(huge, (1,), (1_000_000,))


def test_not_finite_vectors_are_refused(embedding_set: EmbeddingSet) -> None:
    """A NaN in the corpus is refused by row number and leaves no result."""
    corpus = embedding_set.corpus.copy()
    corpus[17, 3] = np.nan
    with pytest.raises(VectorError, match="17"):
        sweep(replace(embedding_set, corpus=corpus))


def test_progress_ascends_to_one(embedding_set: EmbeddingSet) -> None:
    """Progress never falls and ends at 1."""
    shares: list[float] = []
    sweep(embedding_set, (8,), (10,), progress=lambda share, _message: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_a_cancelled_sweep_returns_nothing(embedding_set: EmbeddingSet) -> None:
    """Cancelling raises before a result exists, also when asked after scoring."""
    answers = iter([False, True])
    with pytest.raises(CancelledError):
        sweep(embedding_set, (8,), (10,), cancelled=lambda: next(answers, True))
