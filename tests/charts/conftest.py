"""Summaries built by hand, so that every number in a figure can be traced."""

from __future__ import annotations

from typing import Protocol

import pytest

from engine.tradeoff import Criterion, DatasetInfo, Interval, Point, Quantity, Recommendation, SweepSummary, Verdict


class MakeSummary(Protocol):
    """What the fixture `make_summary` is."""

    def __call__(
        self,
        *,
        quantity: Quantity = "recall",
        judged: bool = True,
        recommended: int | None = 256,
        labels: tuple[str, ...] = (),
        recalls: tuple[float, ...] = (0.30, 0.55, 0.94, 0.97, 1.0),
    ) -> SweepSummary:
        """Build a summary."""
        ...


_DIMS = (64, 128, 192, 256, 512)
_VERDICTS: tuple[Verdict, ...] = ("harmful", "harmful", "undecided", "safe", "safe")


def _interval(mean: float) -> Interval:
    return Interval(mean=mean, low=mean - 0.02, high=mean + 0.01)


def _point(dim: int, recall: float, verdict: Verdict, *, judged: bool) -> Point:
    return Point(
        dim=dim,
        recall={1: _interval(recall / 2), 10: _interval(recall)},
        ndcg={10: _interval(recall * 0.4)} if judged else {},
        retention={10: _interval(recall * 0.99)} if judged else {},
        judged_recall={10: _interval(recall * 0.5)} if judged else {},
        mrr=_interval(0.3) if judged else None,
        top1_agreement=_interval(recall),
        rank_overlap=_interval(recall),
        bytes_per_vector=4 * dim,
        verdict=verdict,
        further_queries=120 if verdict == "undecided" else None,
        holm_p=0.01,
    )


@pytest.fixture
def make_summary() -> MakeSummary:
    """Return a builder of summaries over 64 to 512 dims with all three verdicts."""

    def build(
        *,
        quantity: Quantity = "recall",
        judged: bool = True,
        recommended: int | None = 256,
        labels: tuple[str, ...] = (),
        recalls: tuple[float, ...] = (0.30, 0.55, 0.94, 0.97, 1.0),
    ) -> SweepSummary:
        points = tuple(
            _point(dim, recall, verdict, judged=judged)
            for dim, recall, verdict in zip(_DIMS, recalls, _VERDICTS, strict=True)
        )
        return SweepSummary(
            dataset=DatasetInfo(name="set", n_docs=1000, n_queries=100, dim=512, sha256="0" * 64, labels=labels),
            criterion=Criterion(quantity=quantity, k=10, target=0.95),
            points=points,
            recommendation=Recommendation(
                dim=recommended, verdict="undecided" if recommended is None else "safe", reason="Because it is so."
            ),
        )

    return build
