"""Evidence built by hand, so that every recommendation can be traced to one number."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Protocol

import pytest

from engine.present.plan import PlanEvidence
from engine.tradeoff import (
    Criterion,
    DatasetInfo,
    Interval,
    Point,
    Recommendation,
    SweepSummary,
    Verdict,
)
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

RECALLS: dict[Verdict, float] = {"safe": 0.98, "undecided": 0.95, "harmful": 0.7}


class MakeEvidence(Protocol):
    """What the fixture `make_evidence` is."""

    def __call__(
        self,
        verdicts: Mapping[int, Verdict] | None = None,
        *,
        full: int = 3072,
        holm_p: float = 0.001,
        **beside: object,
    ) -> PlanEvidence:
        """Build evidence."""
        ...


def _point(dim: int, verdict: Verdict, holm_p: float) -> Point:
    recall = Interval(mean=RECALLS[verdict], low=RECALLS[verdict] - 0.01, high=RECALLS[verdict] + 0.01)
    return Point(
        dim=dim,
        recall={10: recall},
        ndcg={},
        retention={},
        judged_recall={},
        mrr=None,
        top1_agreement=recall,
        rank_overlap=recall,
        bytes_per_vector=4 * dim,
        verdict=verdict,
        further_queries=120 if verdict == "undecided" else None,
        holm_p=holm_p,
    )


@pytest.fixture(scope="session")
def make_evidence() -> MakeEvidence:
    """Return a builder of a sweep of 1,000 documents with these verdicts by dim; the full dimension is safe."""

    def build(
        verdicts: Mapping[int, Verdict] | None = None, *, full: int = 3072, holm_p: float = 0.001, **beside: object
    ) -> PlanEvidence:
        chosen = {768: "safe"} if verdicts is None else verdicts
        points = tuple(_point(dim, verdict, holm_p) for dim, verdict in sorted(chosen.items()))
        best = next((one.dim for one in points if one.verdict == "safe" and holm_p <= 0.025), None)
        summary = SweepSummary(
            dataset=DatasetInfo(name="Books", n_docs=1000, n_queries=500, dim=full, sha256="0" * 64),
            criterion=Criterion(quantity="recall", k=10, target=0.95),
            points=(*points, _point(full, "safe", 0.0)),
            recommendation=Recommendation(dim=best, verdict="safe" if best else "undecided", reason="The reason."),
        )
        return PlanEvidence(run_id="20260101-120000-0123abcd", summary=summary, **beside)

    return build


@pytest.fixture(scope="session")
def measured(told_workspace: Path) -> Iterator[Workspace]:
    """Return the workspace in which everything has been measured and done; only read it."""
    with Workspace.open(told_workspace) as opened:
        yield opened


@pytest.fixture
def workspace(empty_workspace: Path, tmp_path: Path) -> Iterator[Workspace]:
    """Return an empty workspace."""
    with Workspace.open(shutil.copytree(empty_workspace, tmp_path / "workspace")) as opened:
        yield opened
