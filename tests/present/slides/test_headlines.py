"""Headlines claim no more than the data hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.present.slides import decision, measured, planning, shipping

if TYPE_CHECKING:
    from engine.present.report.sources import Sources
    from engine.present.slides import Slide


def only(slides: object) -> Slide:
    """Return the one slide told."""
    (one,) = slides  # type: ignore[misc]  # tellers are generators
    return one


@pytest.mark.parametrize(
    ("here", "full", "headline"),
    [
        ((1.0, 0.9, 1.1), (2.0, 1.9, 2.1), "One query is 2 times as fast at 8 as at 16 dimensions"),
        ((3.0, 2.9, 3.1), (2.0, 1.9, 2.1), "One query takes 1.5 times as long at 8 as at 16 dimensions"),
        ((1.0, 0.5, 1.95), (2.0, 1.9, 2.1), "One query is not clearly faster at 8 than at 16 dimensions"),
        ((1.0, None, None), (2.0, 1.9, 2.1), "One query is not clearly faster at 8 than at 16 dimensions"),
    ],
)
def test_faster_is_said_when_intervals_lie_apart(
    sources: Sources, here: tuple[float, ...], full: tuple[float, ...], headline: str
) -> None:
    """Speed is claimed, in either direction, only where the intervals of both medians do not touch."""
    result = sources.result("latency")
    names = ("value", "low", "high")
    medians = {dim: dict(zip(names, found, strict=True)) for dim, found in ((8, here), (16, full))}
    points = tuple(
        replace(point, p50_ms=replace(point.p50_ms, **medians[point.dim])) if point.dim in medians else point
        for point in result.points
    )
    answer = replace(sources.answers["latency"], result=replace(result, points=points))
    told = only(measured.latency(replace(sources, answers={**sources.answers, "latency": answer})))
    assert told.headline == headline
    assert ("no interval" in told.below) == (here[1] is None)


@pytest.mark.parametrize(
    ("order", "claim"),
    [("ordered", "nest"), ("spread evenly", "do not nest"), ("undecided", "not settled")],
)
def test_nesting_is_told_as_it_was_judged(sources: Sources, order: str, claim: str) -> None:
    """Each of the three findings on the order has a headline of its own."""
    answer = replace(sources.answers["nesting"], result=replace(sources.result("nesting"), order=order))
    told = only(measured.nesting(replace(sources, answers={**sources.answers, "nesting": answer})))
    assert claim in told.headline


def test_an_example_cutoff_is_not_presented(sources: Sources) -> None:
    """Only a cut-off that somebody has in production is worth a slide."""
    assert sources.result("score-scale").translation is None
    assert list(measured.cutoff(sources)) == []


def test_a_test_without_a_read_out_shows_its_counts(sources: Sources) -> None:
    """When a gate failed there is no verdict and no change, but what was counted in each arm."""
    (one,) = sources.experiments
    found = one.analysis
    gates = tuple(replace(gate, is_passed=False) for gate in found.gates)
    broken = replace(
        found,
        gates=gates,
        metrics=(),
        latencies=(),
        segments=(),
        stratified=(),
        daily=replace(found.daily, metrics=()),
        headline="No read-out: the split is broken.",
    )
    told = only(shipping.experiments(replace(sources, experiments=(replace(one, analysis=broken),))))
    assert told.headline == "No read-out: the split is broken"
    assert told.verdict is None
    assert told.chart is None
    assert [number.value for number in told.numbers] == [f"{arm.n_users:,} users" for arm in found.arms]


def test_a_rollback_shows_the_metric_that_made_it(sources: Sources) -> None:
    """The slide of an incident names what was seen, and draws that metric."""
    told = next(one for one in shipping.rollouts(sources) if one.key.endswith("-incident"))
    assert told.headline.startswith("CTR in the latest window is")
    assert told.chart is not None
    assert told.chart.title == "CTR, day by day"
    assert told.labels == ("incident open", "simulated")


def test_a_migration_is_called_equal_only_when_it_is(sources: Sources) -> None:
    """Rows that differ or were set aside take the claim of equality from the headline."""
    (moved,) = sources.migrations
    report = moved.report
    assert only(shipping.migrations(sources)).headline.endswith("source and target are equal")
    held = replace(sources, migrations=(replace(moved, report=replace(report, n_held=2)),))
    assert "2 set aside" in only(shipping.migrations(held)).headline
    differing = replace(report, validation=replace(report.validation, verdict="differs", search=None))
    told = only(shipping.migrations(replace(sources, migrations=(replace(moved, report=differing),))))
    assert "differs" in told.headline
    assert told.numbers[0].name == "Rows moved"


def test_an_estimate_of_other_dimensions_says_so(sources: Sources) -> None:
    """Costs are at assumed prices, and those of other dimensions than the verdict's are not passed off as its own."""
    told = only(decision.cost(sources))
    assert told.labels == ("assumed prices",)
    assert told.below.endswith("These are not the dimensions of the verdict.")


def test_the_plan_is_told_with_its_length_and_reason(sources: Sources) -> None:
    """The slide of the plan has its headline, how long it takes, why, and the timeline."""
    assert sources.plan is not None
    strategy = sources.plan.plan.strategy
    told = only(planning.plan(sources))
    assert told.headline == strategy.headline.rstrip(".")
    assert strategy.reason[:80] in told.below.replace("\u00a0", " ").replace("\u2212", "-")
    assert (told.chart is None) == (not sources.plan.plan.steps)


def test_the_runbook_counts_what_is_done_and_what_is_not(sources: Sources) -> None:
    """The counts of the slide are those of the checklist; states that nothing is in are left out."""
    assert sources.runbook is not None
    told = only(planning.runbook(sources))
    states = [check.state for check in sources.runbook.checks]
    counted = {number.name.lower(): number.value for number in told.numbers}
    assert counted.pop("done") == f"{states.count('done')} of {len(states)}"
    assert counted == {state: str(states.count(state)) for state in ("not met", "stale", "open") if state in states}
