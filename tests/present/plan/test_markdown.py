"""A plan as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.present.plan import PlanInputs, make_plan, render_markdown

if TYPE_CHECKING:
    from tests.present.plan.conftest import MakeEvidence


def test_it_holds_everything_that_the_page_shows(make_evidence: MakeEvidence) -> None:
    """Recommendation, legs, steps with dates, metrics, triggers, storage and assumptions are all there."""
    plan = make_plan(PlanInputs(start="2026-03-02", owners={"copy": "Ada"}), evidence=make_evidence())
    text = render_markdown(plan)
    assert text.startswith("# Migration plan: 3,072 to 768 dims\n")
    for heading in ("Strategy", "Timeline", "Metrics", "Triggers", "Storage and cost", "Assumptions"):
        assert f"\n## {heading}\n" in text
    assert all(step.title.split(":")[0] in text.replace("\u00a0", " ") for step in plan.steps)
    assert "| Ada |" in text
    assert text.count("to be named") == len(plan.steps) - 1
    assert "Mon 2 Mar 2026" in text


def test_markup_in_owners_stays_text(make_evidence: MakeEvidence) -> None:
    """Tags, table bars, links and right-to-left marks in an owner's name act nowhere."""
    owners = {"copy": "<img src=x onerror=alert(1)>", "prepare": "a | b [c](javascript:d) `e`", "hold": "عمر 🦊"}
    text = render_markdown(make_plan(PlanInputs(owners=owners), evidence=make_evidence()))
    assert "<img" not in text.replace("\\<img", "")
    assert "a \\| b \\[c\\](javascript:d) \\`e\\`" in text
    assert "عمر 🦊" in text
    rows = [line for line in text.splitlines() if line.startswith("| Prepare")]
    assert rows[0].replace("\\|", "").count("|") == 6


def test_a_plan_that_stops_has_no_timeline_and_no_test(make_evidence: MakeEvidence) -> None:
    """A plan that stops says that there is nothing to do, and plans no A/B test."""
    text = render_markdown(make_plan(PlanInputs(), evidence=make_evidence({768: "harmful"})))
    assert "Nothing is to be done with these dims now." in text
    assert "### A/B test" not in text
