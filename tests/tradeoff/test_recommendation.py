"""The recommendation and its reason in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.stats import binomtest

from engine.tradeoff import Criterion, Interval, Point, SweepResult, summarize
from engine.tradeoff.recommendation import recommend

MakeResult = Callable[..., SweepResult]

_ONE = Interval(mean=1.0, low=1.0, high=1.0)


def _point(dim: int, interval: Interval, verdict: str, *, holm_p: float, further: int | None = None) -> Point:
    return Point(
        dim=dim,
        recall={10: interval},
        ndcg={},
        retention={},
        judged_recall={},
        mrr=None,
        top1_agreement=interval,
        rank_overlap=interval,
        bytes_per_vector=4 * dim,
        verdict=verdict,
        further_queries=further,
        holm_p=holm_p,
    )


_HARMFUL = _point(128, Interval(mean=0.9101, low=0.9, high=0.92), "harmful", holm_p=1.0)
_SAFE = _point(256, Interval(mean=0.962, low=0.955, high=0.969), "safe", holm_p=0.0008)
_FULL = _point(1536, _ONE, "safe", holm_p=0.0)
_CRITERION = Criterion(quantity="recall", k=10, target=0.95)


def test_the_smallest_safe_dim_is_recommended_with_its_numbers() -> None:
    """The reason names dims, recall, interval, target, queries, and why the next smaller dim is not enough."""
    recommendation = recommend((_HARMFUL, _SAFE, _FULL), _CRITERION, n_values=1_000)
    assert (recommendation.dim, recommendation.verdict) == (256, "safe")
    assert recommendation.reason == (
        "256 of 1,536 dimensions keep recall@10 at 0.962 (95 % interval 0.955–0.969), at or above the target of 0.95, "
        "over 1,000 queries; 128 do not (0.910)."
    )


def test_none_below_the_full_dimension() -> None:
    """When every smaller dim is harmful the answer is none, with the closest one's numbers."""
    recommendation = recommend((_HARMFUL, _FULL), _CRITERION, n_values=1_000)
    assert (recommendation.dim, recommendation.verdict) == (None, "harmful")
    assert recommendation.reason == (
        "No dimension below 1,536 is shown to reach the target. The closest, 128, has recall@10 0.910 "
        "(95 % interval 0.900–0.920) over 1,000 queries, below the target of 0.95."
    )


def test_undecided_dims_say_what_would_settle_them() -> None:
    """An undecided dim is not recommended; the reason gives the further queries, and leaves them out when unknown."""
    undecided = _point(256, Interval(mean=0.955, low=0.945, high=0.965), "undecided", holm_p=0.2, further=1_234)
    recommendation = recommend((_HARMFUL, undecided, _FULL), _CRITERION, n_values=400)
    assert (recommendation.dim, recommendation.verdict) == (None, "undecided")
    assert "undecided against the target of 0.95: about 1,234 further queries would settle it." in recommendation.reason
    unknown = recommend((replace(undecided, further_queries=None), _FULL), _CRITERION, n_values=400)
    assert unknown.reason.endswith("undecided against the target of 0.95.")


def test_safe_on_its_own_but_not_after_holm_is_not_recommended() -> None:
    """A dim whose verdict is safe but whose adjusted p-value is above .025 is named, not recommended."""
    point_safe = replace(_SAFE, holm_p=0.031)
    recommendation = recommend((_HARMFUL, point_safe, _FULL), _CRITERION, n_values=400)
    assert (recommendation.dim, recommendation.verdict) == (None, "undecided")
    assert "not after Holm's correction over the 2 dims tried (p = 0.031, above 0.025)" in recommendation.reason
    larger = replace(_SAFE, dim=512)
    stepped_over = recommend((point_safe, larger, _FULL), _CRITERION, n_values=400)
    assert stepped_over.dim == 512
    assert "256 reach it (0.962), but not after Holm's correction" in stepped_over.reason


def test_a_safe_dim_stands_although_a_larger_one_is_not_safe() -> None:
    """On a curve that falls again the smallest safe dim is recommended, and the reason points at the larger one."""
    fallen = replace(_HARMFUL, dim=512)
    recommendation = recommend((_SAFE, fallen, _FULL), _CRITERION, n_values=1_000)
    assert recommendation.dim == 256
    assert recommendation.reason.endswith("A larger one is not shown to be enough, though: 512 do not (0.910).")


def test_numbers_never_round_across_the_target() -> None:
    """A bound of .94996 is written with the digits that show it is below .95."""
    nearly = _point(256, Interval(mean=0.956, low=0.94996, high=0.961), "undecided", holm_p=0.03, further=9)
    reason = recommend((nearly, _FULL), _CRITERION, n_values=1_000).reason
    assert "0.956 (95 % interval 0.94996–0.961)" in reason


def test_an_interval_of_no_width_says_what_it_leaves_open() -> None:
    """Where no query differs, the reason bounds the share that may; not once the queries rule a miss out."""
    same = _point(256, _ONE, "safe", holm_p=0.0008)
    few = recommend((same, _FULL), _CRITERION, n_values=30)
    assert (few.dim, few.verdict) == (256, "safe")
    bound = 100 * binomtest(0, 30).proportion_ci(0.95, method="exact").high
    assert few.reason.endswith(
        f"None of the 30 queries differs, so the interval has no width; up to {bound:.1f} % of all queries may still "
        "(97.5 % bound): sweep more of them to be sure."
    )
    assert "None of" in recommend((same, _FULL), _CRITERION, n_values=71).reason
    assert "None of" not in recommend((same, _FULL), _CRITERION, n_values=72).reason  # 0.95**72 < 0.025
    alike = _point(256, Interval(mean=0.96, low=0.96, high=0.96), "safe", holm_p=0.0008)  # every query lost as much
    assert "None of" not in recommend((alike, _FULL), _CRITERION, n_values=30).reason


def test_too_few_queries_name_the_minimum(make_result: MakeResult) -> None:
    """29 perfect queries recommend nothing, and say that 30 are needed."""
    summary = summarize(make_result(np.ones((2, 29)), dims=(8, 16)))
    assert summary.recommendation.dim is None
    assert "fewer than 30 queries, and there are 29" in summary.recommendation.reason
    assert "about 1 further query would settle it" in summary.recommendation.reason
    assert summarize(make_result(np.ones((2, 30)), dims=(8, 16))).recommendation.dim == 8


def test_only_the_full_dimension(make_result: MakeResult) -> None:
    """A sweep of the full dimension alone has nothing to recommend."""
    recommendation = summarize(make_result(np.ones((1, 50)), dims=(16,))).recommendation
    assert (recommendation.dim, recommendation.verdict) == (None, "undecided")
    assert "Only the full dimension, 16, was swept" in recommendation.reason


def test_ndcg_is_told_in_percent(make_result: MakeResult, mixed_recall: np.ndarray) -> None:
    """Under an nDCG target the reason speaks of the share of the full dimension's nDCG."""
    summary = summarize(
        make_result(mixed_recall, dims=(16, 32, 64), ndcg=0.4 * mixed_recall),
        Criterion(quantity="ndcg", k=10, target=0.9),
    )
    assert summary.recommendation.dim == 32
    kept = 100 * mixed_recall[1].mean()
    assert f"32 of 64 dimensions keep {kept:.1f} % (95 % interval " in summary.recommendation.reason
    assert "of the full dimension's nDCG@10, at or above the target of 90 %" in summary.recommendation.reason


def test_quality_that_holds_is_told_when_recall_does_not(make_result: MakeResult, mixed_recall: np.ndarray) -> None:
    """With no dim safe by recall, an nDCG retention above .95 is added as a fact; without judgements it is not."""
    recall = np.stack([0.6 * mixed_recall[1], 0.7 * mixed_recall[1], np.ones(400)])
    ndcg = np.stack([np.full(400, 0.25), np.full(400, 0.5), np.full(400, 0.5)])
    with_ndcg = summarize(make_result(recall, dims=(16, 32, 64), ndcg=ndcg)).recommendation
    assert with_ndcg.dim is None
    assert with_ndcg.reason.endswith(
        "Against the relevance judgements less is lost: 32 dimensions keep 100.0 % of the full dimension's nDCG@10 "
        "(95 % interval 100.0–100.0 %, 400 queries)."
    )
    assert "relevance" not in summarize(make_result(recall, dims=(16, 32, 64))).recommendation.reason
    few = np.where(np.arange(400) < 10, ndcg, np.nan)
    assert "relevance" not in summarize(make_result(recall, dims=(16, 32, 64), ndcg=few)).recommendation.reason


def test_quality_of_zero_cannot_be_kept(make_result: MakeResult) -> None:
    """When the full dimension finds nothing relevant, retention is undefined and the reason says so."""
    result = make_result(np.ones((2, 50)), dims=(8, 16), ndcg=np.zeros((2, 50)))
    summary = summarize(result, Criterion(quantity="ndcg"))
    assert [point.verdict for point in summary.points] == ["undecided", "undecided"]
    assert summary.recommendation.reason == (
        "Nothing can be compared: nDCG@10 is 0 at the full dimension, for all 50 queries."
    )
    unjudged = make_result(np.ones((2, 50)), dims=(8, 16), ndcg=np.full((2, 50), np.nan))
    reason = summarize(unjudged, Criterion(quantity="ndcg")).recommendation.reason
    assert reason == "Nothing can be compared: no query has a relevant document."


def test_only_zero_queries(make_result: MakeResult) -> None:
    """When no query has a recall, nothing is recommended and the reason says why."""
    summary = summarize(make_result(np.full((2, 50), np.nan), dims=(8, 16)))
    assert summary.recommendation.dim is None
    assert "no query has neighbours to find again" in summary.recommendation.reason


def test_chance_seldom_makes_a_bad_dim_safe(make_result: MakeResult) -> None:
    """Of 60 sweeps whose five dims all sit just on a missed target, few recommend any: Holm bounds the family."""
    rng = np.random.default_rng(12)
    recommended = 0
    for trial in range(60):
        values = np.concatenate([rng.binomial(10, 0.899, (5, 100)) / 10, np.ones((1, 100))])
        result = make_result(values, dims=(1, 2, 3, 4, 5, 6), seed=trial)
        summary = summarize(result, Criterion(target=0.9), n_resamples=2_000)
        recommended += summary.recommendation.dim is not None
    # At most .025 + bootstrap error each: 60 sweeps give about 1.5, and 7 or more with a chance below .001.
    assert recommended < 7
