"""Sweeps read against a criterion: intervals, verdicts, and what carries over when only the target moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.errors import ParameterError
from engine.tradeoff import Criterion, SweepResult, default_criterion, estimate, judge, summarize, sweep
from engine.tradeoff.verdicts import holm, p_missed

if TYPE_CHECKING:
    from engine.embeddings import EmbeddingSet

MakeResult = Callable[..., SweepResult]


def test_verdicts_follow_the_target(make_result: MakeResult, mixed_recall: np.ndarray) -> None:
    """With recall near .6, near .97 and 1, a target of .9 finds the dims harmful, safe and safe."""
    result = make_result(mixed_recall, dims=(16, 32, 64))
    summary = summarize(result, Criterion(k=10, target=0.9))
    assert [point.verdict for point in summary.points] == ["harmful", "safe", "safe"]
    assert [point.bytes_per_vector for point in summary.points] == [64, 128, 256]
    assert summary.recommendation.dim == 32
    mean = float(mixed_recall[1].mean())
    assert summarize(result, Criterion(k=10, target=mean + 0.002)).points[1].verdict == "undecided"


def test_the_full_dimension_is_safe_whatever_the_target(make_result: MakeResult, mixed_recall: np.ndarray) -> None:
    """Recall 1 and retention 1 at the full dimension pass a target of 1 without any test."""
    result = make_result(mixed_recall, dims=(16, 32, 64), ndcg=0.5 * mixed_recall)
    for quantity in ("recall", "ndcg"):
        full = summarize(result, Criterion(quantity=quantity, target=1.0)).points[-1]
        assert (full.verdict, full.holm_p) == ("safe", 0.0)
        assert (full.retention[10].low, full.retention[10].high) == (1.0, 1.0)


def test_intervals_hold_the_mean_and_match_the_values(embedding_set: EmbeddingSet) -> None:
    """Every interval holds its mean, which is the mean of the per-query values; retention is a ratio of means."""
    result = sweep(embedding_set, (4, 8), (1, 10))
    for column, point in enumerate(summarize(result).points):
        for row, k in enumerate((1, 10)):
            for intervals, values in (
                (point.recall, result.recall),
                (point.ndcg, result.ndcg),
                (point.judged_recall, result.judged_recall),
            ):
                assert intervals[k].low <= intervals[k].mean <= intervals[k].high
                assert intervals[k].mean == pytest.approx(values[row, column].mean(dtype=float))
            expected = result.ndcg[row, column].mean(dtype=float) / result.ndcg[row, -1].mean(dtype=float)
            assert point.retention[k].mean == pytest.approx(expected)
        assert point.mrr.mean == pytest.approx(result.mrr[column].mean(dtype=float))
        assert point.top1_agreement.mean == pytest.approx(result.top1_agreement[column].mean(dtype=float))
        assert point.rank_overlap.mean == pytest.approx(result.rank_overlap[column].mean(dtype=float))


def test_without_judgements_a_point_has_recall_only(make_result: MakeResult, mixed_recall: np.ndarray) -> None:
    """nDCG, retention and judged recall are empty, MRR is None."""
    point = summarize(make_result(mixed_recall, dims=(16, 32, 64))).points[0]
    assert (point.ndcg, point.retention, point.judged_recall, point.mrr) == ({}, {}, {}, None)


def test_queries_without_relevant_documents_do_not_lower_retention(make_result: MakeResult) -> None:
    """NaN nDCG is left out of both means, and the verdict counts only the queries that have one."""
    ndcg = np.full((2, 100), 0.5)
    ndcg[:, 25:] = np.nan
    result = make_result(np.ones((2, 100)), dims=(8, 16), ndcg=ndcg)
    point = summarize(result, Criterion(quantity="ndcg")).points[0]
    assert (point.ndcg[10].mean, point.retention[10].mean) == (0.5, 1.0)
    assert (point.verdict, point.further_queries) == ("undecided", 5)
    assert summarize(result, Criterion(quantity="recall")).points[0].verdict == "safe"


def test_judging_again_equals_summarizing_again(embedding_set: EmbeddingSet) -> None:
    """Estimates judged under another k, quantity and target equal a fresh summary under it."""
    result = sweep(embedding_set, (4, 8), (1, 10))
    kept = estimate(result)
    for criterion in (Criterion(k=1, target=0.5), Criterion(quantity="ndcg", k=10, target=0.99)):
        assert judge(kept, criterion) == summarize(result, criterion)


def test_the_seed_decides_the_intervals(make_result: MakeResult, mixed_recall: np.ndarray) -> None:
    """The sweep's own seed is the default; another one moves the bounds a little and the means not at all."""
    result = make_result(mixed_recall, dims=(16, 32, 64), seed=5)
    assert summarize(result) == summarize(result, seed=5)
    own, other = summarize(result).points[0].recall[10], summarize(result, seed=6).points[0].recall[10]
    assert own.mean == other.mean
    assert own.low != other.low
    assert own.low == pytest.approx(other.low, abs=0.005)


def test_holm_covers_the_dims_below_the_full_one(make_result: MakeResult, mixed_recall: np.ndarray) -> None:
    """The points' p-values are the one-sided bootstrap p-values of the smaller dims, adjusted together."""
    kept = estimate(make_result(mixed_recall, dims=(16, 32, 64)))
    raw = np.array([p_missed(kept.recall.resamples[0, column], 0.95) for column in (0, 1)])
    points = judge(kept, Criterion(target=0.95)).points
    assert [point.holm_p for point in points[:-1]] == pytest.approx(holm(raw).tolist())


def test_the_default_criterion_takes_the_k_nearest_to_ten(make_result: MakeResult) -> None:
    """The default k is 10 where it was swept, else the nearest, the smaller of two."""
    for ks, expected in (((1, 10, 100), 10), ((1, 100), 1), ((5, 15), 5), ((20,), 20)):
        result = make_result(np.ones((len(ks), 1, 4)), dims=(8,), ks=ks)
        assert default_criterion(result) == Criterion(quantity="recall", k=expected, target=0.95)


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        (Criterion(k=5), "one of those swept: 10; found 5"),
        (Criterion(target=0.0), "above 0 and at most 1; found 0.0"),
        (Criterion(target=1.01), "found 1.01"),
        (Criterion(target=float("nan")), "found nan"),
        (Criterion(quantity="ndcg"), "nDCG needs relevance judgements"),
        (Criterion(quantity="mrr"), "one of recall, ndcg; found mrr"),
    ],
)
def test_a_criterion_that_does_not_fit_is_refused(
    make_result: MakeResult, mixed_recall: np.ndarray, criterion: Criterion, message: str
) -> None:
    """A k that was not swept, a target outside (0, 1], or nDCG without judgements is refused."""
    result = make_result(mixed_recall, dims=(16, 32, 64))
    for read in (lambda: summarize(result, criterion), lambda: judge(estimate(result), criterion)):
        with pytest.raises(ParameterError, match=message):
            read()
