"""Plan and runbook in a report: as they are kept, and absent where nobody has begun them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.flags import FlagStore
from engine.present.plan import PlanInputs, PlanStore, evidence_of, inputs_from, make_plan
from engine.present.report.blocks import Chart, Heading, Words
from engine.present.report.building import arranged, build_report
from engine.present.report.html import render_html
from engine.present.report.markdown import render_markdown
from engine.present.report.sections import parse_sections
from engine.present.runbook import CHECKS, RunbookStore
from engine.workspace.access import Identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.present.report.blocks import Report
    from engine.workspace import Run, Workspace


def keep_plan(workspace: Workspace, run: Run, **changes: object) -> None:
    """Plan on what the sweep `run` says."""
    evidence = evidence_of(workspace, run.id)
    inputs = inputs_from(evidence, PlanInputs(**changes))  # type: ignore[arg-type]  # fields of the inputs
    plan = make_plan(inputs, evidence=evidence)
    PlanStore(workspace).save(plan, run_id=run.id, expected_version=None, actor="ann")


def warnings(report: Report, key: str) -> list[str]:
    """Return what a section warns of."""
    section = next(one for one in report.sections if one.key == key)
    return [block.text for block in section.blocks if isinstance(block, Words) and block.tone == "warning"]


def cells(report: Report, key: str, name: str) -> list[object]:
    """Return the values of one column of a table."""
    table = next(one for one in report.tables if one.key == key)
    return list(next(one for one in table.columns if one.name == name).values)


def test_the_plan_is_told_with_its_timeline(workspace: Workspace, save: Callable[..., Run]) -> None:
    """Headline, a bar and a row a step, owners and assumptions are those of the plan that is kept."""
    run = save()
    keep_plan(workspace, run, owners={"ab-test": "Ann & Bo"}, start="2026-03-02")
    report = build_report(workspace, run.id)
    kept = PlanStore(workspace).load()
    assert kept is not None
    section = next(one for one in report.sections if one.key == "plan")
    assert [block.text for block in section.blocks if isinstance(block, Heading)] == [kept.plan.strategy.headline]
    assert [block.title for block in section.blocks if isinstance(block, Chart)] == ["Timeline"]
    assert cells(report, "plan_steps", "step") == [step.title for step in kept.plan.steps]
    assert "Ann & Bo" in cells(report, "plan_steps", "owner")
    assert cells(report, "plan_storage", "memory, GiB") == [phase.memory_gib for phase in kept.plan.storage]
    assert [one.title for one in report.tables if one.key == "plan_triggers"]
    assert "Ann &amp; Bo" in render_html(report)
    assert not any("another sweep" in words for words in warnings(report, "plan"))


def test_a_plan_on_another_sweep_says_so(workspace: Workspace, save: Callable[..., Run]) -> None:
    """The report of one sweep tells a plan that rests on another one with a warning that names it."""
    run, other = save(), save(seed=1)
    keep_plan(workspace, other)
    report = build_report(workspace, run.id, sections=parse_sections("plan"))
    assert f"This plan rests on another sweep, run {other.id}." in warnings(report, "plan")


def test_the_runbook_is_told_once_somebody_has_begun_it(workspace: Workspace, save: Callable[..., Run]) -> None:
    """Without a tick or a measurement it is absent; with one, every item has its state and every step its commands."""
    run = save()
    FlagStore(workspace)  # makes the flags that every workspace has
    assert "runbook" not in [one.key for one in build_report(workspace, run.id).sections]
    RunbookStore(workspace).tick("scripts", actor="ann", note="gone through on Monday")
    before = workspace.audit_head()
    report = build_report(workspace, run.id)
    assert workspace.audit_head() == before
    assert len(cells(report, "runbook_checks", "state")) == len(CHECKS)
    assert "gone through on Monday" in cells(report, "runbook_checks", "why")
    assert "ann" in cells(report, "runbook_checks", "who")
    assert "dimshift flags kill" in str(cells(report, "runbook_steps", "commands"))
    assert any("of the checklist are done" in words for words in warnings(report, "runbook"))


def test_who_may_only_look_gets_the_same_report(told: Workspace, told_report: Report) -> None:
    """A viewer's handle on the workspace gives every section; but for the runbook, which has a clock, word for word."""
    bound = told.acting_as(Identity(name="vera", role="viewer"))
    theirs = build_report(bound, told_report.run_id, clock=lambda: told_report.made_at)
    assert [one.key for one in theirs.sections] == [one.key for one in told_report.sections]
    timeless = parse_sections(",".join(one.key for one in theirs.sections if one.key != "runbook"))
    written = [render_markdown(arranged(report, sections=timeless)) for report in (theirs, told_report)]
    assert written[0] == written[1]
