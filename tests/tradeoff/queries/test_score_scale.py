"""Score distributions and translated cut-offs, against plain counting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.embeddings import EmbeddingSet
from engine.errors import CancelledError, ParameterError
from engine.tradeoff import Interval, sweep
from engine.tradeoff.queries.distribution import Distribution
from engine.tradeoff.queries.score_scale import (
    CutoffAt,
    CutoffTranslation,
    ScoreScale,
    score_scale,
    translate_cutoff,
)
from engine.tradeoff.results import DatasetInfo
from engine.workspace.codec import decode, encode


def _scores(corpus: np.ndarray, queries: np.ndarray, d: int, metric: str) -> np.ndarray:
    corpus, queries = corpus[:, :d].astype(np.float64), queries[:, :d].astype(np.float64)
    if metric == "l2":
        return -((queries[:, None, :] - corpus[None, :, :]) ** 2).sum(axis=2)
    products = queries @ corpus.T
    if metric == "ip":
        return products
    return products / np.linalg.norm(queries, axis=1)[:, None] / np.linalg.norm(corpus, axis=1)[None, :]


@pytest.fixture(scope="module")
def scale() -> ScoreScale:
    """Return the scale of 400 documents and 100 queries, without ties."""
    rng = np.random.default_rng(2)
    weights = 0.9 ** np.arange(16)
    made = EmbeddingSet(
        name="made",
        corpus=(rng.standard_normal((400, 16)) * weights).astype(np.float32),
        queries=(rng.standard_normal((100, 16)) * weights).astype(np.float32),
    )
    return score_scale(made, (4, 8), k=5)


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_scores_are_those_of_scoring_each_prefix_alone(embedding_set: EmbeddingSet, metric: str) -> None:
    """Own scores are the best of each prefix, pair scores those of the full dimension's best, in float64 loops."""
    found = score_scale(embedding_set, (4, 8), k=7, metric=metric)
    assert found.dims == (4, 8, 32)
    full = _scores(embedding_set.corpus, embedding_set.queries, 32, metric)
    pairs = np.argsort(-full, axis=1)[:, :7]
    for place, dim in enumerate(found.dims):
        scores = _scores(embedding_set.corpus, embedding_set.queries, dim, metric)
        np.testing.assert_allclose(found.own_scores[place], -np.sort(-scores, axis=1)[:, :7], atol=2e-5)
        np.testing.assert_allclose(found.pair_scores[place], np.take_along_axis(scores, pairs, axis=1), atol=2e-5)
        assert found.top1[place].n == 60
        assert found.topk[place].n == 420
        assert found.top1[place].mean == pytest.approx(scores.max(axis=1).mean(), abs=1e-5)
        assert found.topk[place].counts.sum() == 420
        np.testing.assert_array_equal(found.topk[place].edges, found.topk[0].edges)


@settings(deadline=None, max_examples=40)
@given(share=st.floats(0, 1))
def test_a_translated_cutoff_accepts_as_much_as_before(scale: ScoreScale, share: float) -> None:
    """At every dim as many pairs pass as at the full one, so as many are lost as gained; bounds enclose it."""
    cutoff = float(np.quantile(scale.pair_scores[-1], share))
    n_accepted = (scale.pair_scores[-1] >= cutoff).sum()
    found = translate_cutoff(scale, cutoff, n_resamples=1_000)
    assert found.accepted.mean == pytest.approx(n_accepted / 500)
    for at, scores in zip(found.dims, scale.pair_scores, strict=True):
        assert (scores >= at.cutoff).sum() == n_accepted
        assert at.lost.mean == pytest.approx(at.gained.mean)
        assert at.low <= at.cutoff <= at.high
    assert (found.dims[-1].cutoff, found.dims[-1].low, found.dims[-1].high) == (cutoff, cutoff, cutoff)
    assert found.dims[-1].flipped.mean == found.dims[-1].kept_flipped.mean == 0


def test_flips_are_counted_pair_by_pair(scale: ScoreScale) -> None:
    """Lost, gained and flipped, with the translated and the kept cut-off, equal counting; so does own acceptance."""
    found = translate_cutoff(scale, 0.75)
    full = scale.pair_scores[-1].ravel() >= 0.75
    for place, at in enumerate(found.dims):
        scores, own = scale.pair_scores[place].ravel(), scale.own_scores[place]
        for cutoff, lost, gained, flipped, accepted in (
            (at.cutoff, at.lost, at.gained, at.flipped, at.own_accepted),
            (0.75, at.kept_lost, at.kept_gained, at.kept_flipped, at.kept_own_accepted),
        ):
            now = scores >= cutoff
            assert lost.mean == pytest.approx((full & ~now).mean())
            assert gained.mean == pytest.approx((~full & now).mean())
            assert flipped.mean == pytest.approx((full != now).mean())
            assert accepted == pytest.approx((own >= cutoff).mean())
            assert flipped.low <= flipped.mean <= flipped.high
    assert found.dims[0].flipped.mean > found.dims[1].flipped.mean > 0
    assert found.dims[0].kept_flipped.mean > found.dims[0].flipped.mean


def test_a_cutoff_beyond_all_scores_accepts_none_or_all(scale: ScoreScale) -> None:
    """A cut-off of 2 accepts nothing anywhere, one of -2 everything; nothing flips either way."""
    for cutoff, accepted in ((2.0, 0), (-2.0, 500)):
        found = translate_cutoff(scale, cutoff)
        assert found.accepted.mean == accepted / 500
        for at, scores in zip(found.dims, scale.pair_scores, strict=True):
            assert (scores >= at.cutoff).sum() == accepted
            assert at.flipped.mean == 0


def test_translated_bounds_hold_the_cutoff_of_many_queries(embedding_set: EmbeddingSet) -> None:
    """Of 40 samples of 150 queries, at least 36 have bounds that hold the cut-off of 20,000 queries."""
    rng = np.random.default_rng(5)
    weights = 0.9 ** np.arange(16)
    corpus = (rng.standard_normal((300, 16)) * weights).astype(np.float32)
    queries = (rng.standard_normal((20_000, 16)) * weights).astype(np.float32)
    everything = score_scale(EmbeddingSet(name="all", corpus=corpus, queries=queries), (8,), k=3, n_queries=20_000)
    truth = translate_cutoff(everything, 0.8, n_resamples=1_000).dims[0].cutoff
    held = 0
    for sample in np.array_split(np.arange(6_000), 40):
        part = replace(
            everything, pair_scores=everything.pair_scores[:, sample], own_scores=everything.own_scores[:, sample]
        )
        at = translate_cutoff(part, 0.8, n_resamples=1_000).dims[0]
        held += at.low <= truth <= at.high
    assert held >= 36


def test_a_sweep_is_read_instead_of_searching_again(embedding_set: EmbeddingSet) -> None:
    """With the sweep's rankings the scale is the same as without, for all queries or a sample of them."""
    for n_queries in (60, 25):
        result = sweep(embedding_set, (4, 8), (1, 10), n_queries=n_queries, seed=3)
        read = score_scale(embedding_set, (4, 8), k=10, cutoff=0.5, result=result, seed=3)
        found = score_scale(embedding_set, (4, 8), k=10, cutoff=0.5, n_queries=n_queries, seed=3)
        np.testing.assert_array_equal(read.own_scores, found.own_scores)
        np.testing.assert_array_equal(read.pair_scores, found.pair_scores)
        assert read.translation == found.translation
    for options in ({"dims": (5,)}, {"k": 11}):
        with pytest.raises(ParameterError, match="the sweep must hold these dims and a k of at least"):
            score_scale(embedding_set, result=result, **options)
    with pytest.raises(ParameterError, match="must be of this embedding set"):
        score_scale(replace(embedding_set, metric="ip"), result=result)


def test_held_out_queries_do_not_score_against_themselves(embedding_set: EmbeddingSet) -> None:
    """The document a query was held out from, of score 1, is in no distribution."""
    bare = replace(embedding_set, queries=None, query_ids=None, query_segments=None, judgements=None)
    found = score_scale(bare.with_held_out_queries(50), (8,), k=3)
    assert found.own_scores[-1].max() < 1 - 1e-4


def test_zero_vectors_are_left_out_and_counted(embedding_set: EmbeddingSet) -> None:
    """A zero query has no scores: its pairs are accepted nowhere, described nowhere, and warned about."""
    queries = embedding_set.queries.copy()
    queries[7] = 0
    found = score_scale(replace(embedding_set, queries=queries), (8,), k=10, cutoff=-1.0)
    assert found.top1[0].n == 59
    assert found.translation.accepted.mean == pytest.approx(59 / 60)
    assert found.warnings == ("Pairs that have no cosine at some dim, a zero vector being part of them: 10.",)


def test_fewer_documents_than_k_are_said(embedding_set: EmbeddingSet) -> None:
    """A k beyond the corpus is read as the corpus, and that is said."""
    found = score_scale(replace(embedding_set, corpus=embedding_set.corpus[:6], judgements=None), (8,), k=10)
    assert found.k == 6
    assert found.warnings == ("A query can retrieve 6 documents only: k = 10 is read as 6.",)


@pytest.mark.parametrize("cutoff", [float("nan"), float("inf")])
def test_a_cutoff_that_is_no_number_is_refused(embedding_set: EmbeddingSet, scale: ScoreScale, cutoff: float) -> None:
    """NaN and infinite cut-offs are refused, before anything is searched."""
    with pytest.raises(ParameterError, match="cut-off must be a finite score"):
        score_scale(embedding_set, cutoff=cutoff)
    with pytest.raises(ParameterError, match="cut-off must be a finite score"):
        translate_cutoff(scale, cutoff)


def test_progress_ascends_to_one_and_cancelling_stops(embedding_set: EmbeddingSet) -> None:
    """Progress never falls and ends at 1; cancelling raises."""
    shares: list[float] = []
    score_scale(embedding_set, (8,), progress=lambda share, _message: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    for stop_at in range(3):
        answers = iter([False] * stop_at)
        with pytest.raises(CancelledError):
            score_scale(embedding_set, (8,), cancelled=lambda answers=answers: next(answers, True))


def test_a_stored_scale_reads_back_equal(embedding_set: EmbeddingSet) -> None:
    """The codec of stored runs keeps every field, and a translation can be made of what was stored."""
    found = score_scale(embedding_set, (8,), cutoff=0.6)
    document, arrays = encode(found)
    parts = (CutoffTranslation, CutoffAt, Distribution, DatasetInfo, Interval)
    back = decode(document, arrays, ScoreScale, parts)
    np.testing.assert_array_equal(back.pair_scores, found.pair_scores)
    assert back.translation == found.translation
    assert translate_cutoff(back, 0.6) == found.translation
