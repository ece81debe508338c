"""A report is built of what is stored: verdict first, every section that has data, and every number from its result."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.errors import CancelledError, ParameterError, RunNotFoundError, WorkspaceError
from engine.experiment.analysis import analyze_counts
from engine.experiment.storage import Origin, load_analysis, save_analysis
from engine.flags import FlagStore
from engine.migration.storage import load_report
from engine.present.report.blocks import Cards, Heading, Points, Statement, Table, Words
from engine.present.report.building import arranged, build_report
from engine.present.report.html import render_html
from engine.present.report.markdown import render_markdown
from engine.present.report.sections import SECTIONS, SectionChoice, parse_sections
from engine.rollout import RolloutControl
from engine.tradeoff import load_sweep, summarize
from engine.tradeoff.panels import explore
from engine.tradeoff.size.cost import CostAssumptions, Serving
from engine.tradeoff.size.options import compare_costs, save_estimate

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.embeddings import EmbeddingSet
    from engine.present.report.blocks import Report
    from engine.workspace import Run, Workspace

MOMENT = datetime(2026, 3, 1, 9, tzinfo=UTC)


def table(report: Report, key: str) -> Table:
    """Return one table of a report."""
    return next(one for one in report.tables if one.key == key)


def column(report: Report, key: str, name: str) -> list[object]:
    """Return the values of one column of a table."""
    return list(next(one for one in table(report, key).columns if one.name == name).values)


def said(report: Report, key: str) -> str:
    """Return every sentence of one section."""
    section = next(one for one in report.sections if one.key == key)
    words = []
    for block in section.blocks:
        if isinstance(block, Words | Heading):
            words.append(block.text)
        elif isinstance(block, Points):
            words += block.items
        elif isinstance(block, Statement):
            words += [block.title, block.reason]
    return "\n".join(words)


def test_everything_stored_is_in_the_report_in_the_usual_order(told_report: Report) -> None:
    """A workspace with all stages gives every section but the comparison nobody asked for, the verdict first."""
    expected = [kind.key for kind in SECTIONS if kind.key != "comparison"]
    assert [section.key for section in told_report.sections] == expected
    assert told_report.left_out == ()
    assert len(told_report.charts) >= 18
    keys = [one.key for one in told_report.tables]
    assert len(keys) == len(set(keys))


def test_numbers_are_those_of_the_stored_results(told_report: Report, told: Workspace) -> None:
    """Recall with its interval, the A/B change and the rows that moved are the stored values, digit for digit."""
    run = told.runs(kind="sweep")[0]
    summary = summarize(load_sweep(told, run.id))
    recall = next(one for one in table(told_report, "dimensions").columns if one.name == "recall@10")
    assert list(recall.values) == [point.recall[10].mean for point in summary.points]
    assert list(recall.low or ()) == [point.recall[10].low for point in summary.points]
    assert summary.recommendation.reason in said(told_report, "verdict")
    analysis = load_analysis(told, told.runs(kind="ab")[0].id)
    assert column(told_report, "ab_1_metrics", "relative change") == [one.relative.value for one in analysis.metrics]
    assert analysis.headline in said(told_report, "verdict")
    moved = load_report(told, told.runs(kind="migration")[0].id)
    assert f"{moved.n_written:,} of {moved.n_read:,} rows moved" in said(told_report, "migration")


def test_everything_simulated_says_so(told_report: Report) -> None:
    """A/B test, rollouts, their tables and their incident are labelled simulated wherever they are told."""
    assert all(one.labels == ("simulated",) for one in told_report.tables if one.key.startswith(("ab_", "rollout_")))
    for section in told_report.sections:
        for block in section.blocks:
            if section.key == "ab" and isinstance(block, Statement):
                assert "simulated" in block.labels
            if section.key == "rollout" and isinstance(block, Heading):
                assert "simulated" in block.labels
    verdict = said(told_report, "verdict")
    assert verdict.count("(simulated)") == 3
    assert "Simulated: no real user stands behind these numbers." in said(told_report, "ab")


def test_a_rollback_is_told_with_its_incident_and_its_replay(told_report: Report) -> None:
    """The rollout that the monitor rolled back names the cause, lists its steps and agrees with the audit log."""
    words = said(told_report, "rollout")
    assert "was rolled back" in words
    assert "Incident: " in words
    assert words.count("the rollout ends in the very state that is kept") == 2
    steps = {step for key in ("rollout_1_steps", "rollout_2_steps") for step in column(told_report, key, "step")}
    assert {"create", "start", "advance", "complete", "roll back"} <= steps


def test_a_draft_of_a_rollout_is_told_as_one(workspace: Workspace, save: Callable[..., Run]) -> None:
    """A rollout that has not begun has its planned timeline and its one step, and no metric to draw."""
    RolloutControl(workspace, FlagStore(workspace)).create("soon", flag_key="use_reduced_dims", actor="ann")
    report = build_report(workspace, save().id, sections=parse_sections("rollout"))
    assert "Rollout soon is a draft of 7 stages over 35 days." in said(report, "rollout")
    assert column(report, "rollout_1_steps", "step") == ["create"]
    assert [one.title for one in report.charts] == ["Share of users in the treatment"]


def test_the_report_can_be_made_again(told_report: Report, told: Workspace) -> None:
    """Runs, seeds, the digest of the data and the machine are in it."""
    run = told.runs(kind="sweep")[0]
    assert run.id in column(told_report, "runs", "run")
    assert len(column(told_report, "runs", "run")) == 10
    assert run.dataset["sha256"] in column(told_report, "digests", "sha256")
    assert run.environment["platform"] in column(told_report, "machine", "found")
    assert "bootstrap" in said(told_report, "method")
    assert "HNSW is usearch" in said(told_report, "assumptions")


def test_sections_without_data_are_absent(workspace: Workspace, save: Callable[..., Run]) -> None:
    """A workspace with one sweep and nothing else gives no latency, cost, A/B, rollout or migration."""
    report = build_report(workspace, save().id)
    assert [one.key for one in report.sections] == ["verdict", "curves", "losers", "method", "provenance"]
    assert "Keep 8 of 16 dimensions" in said(report, "verdict")
    assert all(section.blocks for section in report.sections)


def test_sections_are_chosen_ordered_and_titled(workspace: Workspace, save: Callable[..., Run]) -> None:
    """Only what was asked for is in it, in that order and under those titles; what has no data is named."""
    chosen = parse_sections('curves=What we keep,ab,"verdict=So, this"')
    report = build_report(workspace, save().id, sections=chosen, title="For Tuesday")
    assert [(one.key, one.title) for one in report.sections] == [("curves", "What we keep"), ("verdict", "So, this")]
    assert report.title == "For Tuesday"
    assert report.left_out == ("ab",)


def test_a_report_is_arranged_as_if_it_had_been_built_so(told: Workspace, told_report: Report) -> None:
    """Choosing, ordering and titling what is built gives what building it so gives, without reading anything."""
    chosen = parse_sections("method,verdict=So,comparison")
    made = arranged(told_report, sections=chosen, title="For Tuesday")
    built = build_report(told, told_report.run_id, sections=chosen, title="For Tuesday", clock=lambda: MOMENT)
    assert render_markdown(made) == render_markdown(built)
    assert made.left_out == built.left_out == ("comparison",)
    for sections, title, sentence in (
        ("comparison", None, "at least one chosen section must have data"),
        ("verdict,verdict", None, "verdict twice"),
        ("verdict", " ", "1 to 200 characters"),
    ):
        with pytest.raises(ParameterError, match=sentence):
            arranged(told_report, sections=parse_sections(sections), title=title)


def test_building_says_how_far_it_is_and_stops_when_asked(workspace: Workspace, save: Callable[..., Run]) -> None:
    """Shares grow from 0 to below 1 with a sentence each; a build that is cancelled leaves no report."""
    run, told = save(), list[tuple[float, str]]()
    build_report(workspace, run.id, progress=lambda share, message: told.append((share, message)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[0] >= 0
    assert shares[-1] < 1
    assert all(message for _, message in told)
    with pytest.raises(CancelledError):
        build_report(workspace, run.id, cancelled=lambda: True)


@pytest.mark.parametrize(
    ("sections", "title", "sentence"),
    [
        ((SectionChoice(key="ab"), SectionChoice(key="cost")), None, "at least one chosen section must have data"),
        ((SectionChoice(key="ab"), SectionChoice(key="ab")), None, "ab twice"),
        ((), " ", "the title has 1 to 200 characters"),
        ((), "x" * 201, "the title has 1 to 200 characters"),
    ],
)
def test_a_choice_that_makes_no_report_is_refused(
    workspace: Workspace, save: Callable[..., Run], sections: tuple[SectionChoice, ...], title: str, sentence: str
) -> None:
    """Nothing but absent sections, a section twice, and an empty or endless title are one sentence each."""
    with pytest.raises(ParameterError, match=sentence):
        build_report(workspace, save().id, sections=sections, title=title)


def test_unknown_runs_and_runs_that_are_no_sweep_are_refused(told: Workspace) -> None:
    """An id that is not stored, text that is no id, and the run of a cost estimate are one sentence each."""
    for run_id in ("20200101-000000-00000000", "../../etc/passwd", ""):
        with pytest.raises(RunNotFoundError, match="no such run is in this workspace"):
            build_report(told, run_id)
    with pytest.raises(WorkspaceError, match="the run must be a sweep; found cost"):
        build_report(told, told.runs(kind="cost")[0].id)


def test_one_dimension_is_reported_as_what_it_is(workspace: Workspace, save: Callable[..., Run]) -> None:
    """A sweep of the full dimension alone has a verdict and a curve, and nobody who loses."""
    report = build_report(workspace, save(dims=(16,)).id)
    assert [one.key for one in report.sections] == ["verdict", "curves", "method", "provenance"]
    assert "Only the full dimension, 16, was swept" in said(report, "verdict")
    assert "chart-curves-0" in render_html(report)


def test_judgements_bring_ranking_quality(
    workspace: Workspace, save: Callable[..., Run], make_set: Callable[..., EmbeddingSet]
) -> None:
    """With judgements nDCG has a chart, columns and a card of its own; without them nothing speaks of it."""
    judged = build_report(workspace, save(make_set(judged=True)).id)
    plain = build_report(workspace, save(make_set(seed=1)).id)
    names = [[one.name for one in table(report, "dimensions").columns] for report in (judged, plain)]
    assert "nDCG@10 kept" in names[0]
    assert not [name for name in names[1] if "nDCG" in name]
    cards = [next(one for one in report.sections[0].blocks if isinstance(one, Cards)) for report in (judged, plain)]
    assert [len(one.items) for one in cards] == [4, 3]
    assert [len([one for one in report.charts if one.title == "Ranking quality"]) for report in (judged, plain)] == [
        1,
        0,
    ]


def test_queries_that_find_nothing_make_a_report_without_numbers(
    workspace: Workspace, save: Callable[..., Run], make_set: Callable[..., EmbeddingSet]
) -> None:
    """Zero vectors have no neighbours: the report says so, writes dashes, and claims nothing."""
    chosen = make_set()
    assert chosen.queries is not None
    empty = replace(chosen, queries=np.zeros_like(chosen.queries))
    report = build_report(workspace, save(empty).id)
    assert "Nothing can be compared" in said(report, "verdict")
    page = render_html(report).partition('<script type="application/json"')[0]
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)
    assert "losers" not in [one.key for one in report.sections]


def test_a_panel_that_was_refused_says_why(
    workspace: Workspace, save: Callable[..., Run], make_set: Callable[..., EmbeddingSet]
) -> None:
    """A forecast that needs 2,000 documents is told as the sentence with which it was refused."""
    chosen = make_set()
    run = save(chosen)
    explore(workspace, chosen, load_sweep(workspace, run.id), run_id=run.id, keys=["forecast"])
    report = build_report(workspace, run.id)
    assert "2,000 documents" in said(report, "growth")


def test_a_deleted_data_set_leaves_ids_without_texts(
    told: Workspace, workspace: Workspace, save: Callable[..., Run]
) -> None:
    """With the data set the worst queries show their texts and documents their ids; without it rows have numbers."""
    report = build_report(told, told.runs(kind="sweep")[0].id, sections=parse_sections("losers"))
    assert [one.name for one in table(report, "worst_queries").columns][:2] == ["query", "text"]
    assert str(column(report, "lost_documents", "lost document")[0]).endswith(tuple("0123456789"))
    bare = build_report(workspace, save().id, sections=parse_sections("losers"))
    assert "text" not in [one.name for one in table(bare, "worst_queries").columns]
    assert str(column(bare, "lost_documents", "lost document")[0]).startswith("row ")


def test_a_cost_of_other_dimensions_is_no_headline(workspace: Workspace, save: Callable[..., Run]) -> None:
    """Of two estimates the one for the recommended dimension is told; alone, another one is told with a warning."""
    run = save()
    info = load_sweep(workspace, run.id).dataset
    for dim, warns in ((4, True), (8, False)):
        now, then = Serving.float32(16), Serving.float32(dim)
        save_estimate(workspace, run, info, compare_costs(CostAssumptions(), now=now, then=then))
        save_estimate(workspace, run, info, compare_costs(CostAssumptions(), now=now, then=Serving.float32(4)))
        report = build_report(workspace, run.id)
        cards = next(one for one in report.sections[0].blocks if isinstance(one, Cards))
        assert ("Saved a month" not in [one.name for one in cards.items]) == warns
        assert ("This estimate is for 4 dimensions, and the verdict is about 8." in said(report, "cost")) == warns
        assert f"Serving float32, {dim} dims instead of float32, 16 dims saves" in said(report, "cost")


def test_an_experiment_on_another_sweep_is_not_told(workspace: Workspace, save: Callable[..., Run]) -> None:
    """A/B tests on the lists of another sweep stay out; those on this one's and on logs come in, newest first."""
    mine, other = save(), save(seed=1)
    for name, sweep_run in (("theirs", other.id), ("ours", mine.id), ("a log", None)):
        found = replace(analyze_counts((120, 1000), (118, 1000)), experiment_id=name)
        save_analysis(workspace, found, Origin(sweep_run=sweep_run))
    report = build_report(workspace, mine.id)
    titles = [one.title for one in report.sections[3].blocks if isinstance(one, Statement)]
    assert titles == ["a log", "ours"]


def test_what_cannot_be_read_is_named_and_left_out(
    workspace: Workspace, save: Callable[..., Run], make_set: Callable[..., EmbeddingSet]
) -> None:
    """A stored panel of another version's form costs the report that section only, and is named at the end."""
    chosen = make_set()
    run = save(chosen)
    workspace.save_run(
        kind="latency",
        dataset=run.dataset,
        parameters={"sweep": run.id},
        seed=0,
        summary={"result": {"class": "Unknown", "fields": {}}},
        arrays={},
        elapsed_s=0.0,
    )
    report = build_report(workspace, run.id)
    assert "latency" not in [one.key for one in report.sections]
    assert "cannot be read" in said(report, "provenance")


def test_other_sweeps_stand_beside_it_when_asked_for(
    workspace: Workspace, save: Callable[..., Run], make_set: Callable[..., EmbeddingSet]
) -> None:
    """Named runs give a section of their own with curves, differences and what keeps them from being alike."""
    runs = [save(make_set(seed=seed)).id for seed in (0, 1)]
    report = build_report(workspace, runs[0], compared_with=runs[1:])
    assert [one.key for one in report.sections][:3] == ["verdict", "curves", "comparison"]
    assert len(column(report, "compared_runs", "run")) == 2
    assert "paired by their row numbers" in said(report, "comparison")
    with pytest.raises(ParameterError, match="2 to 8 different runs"):
        build_report(workspace, runs[0], compared_with=[runs[0]])


def test_building_a_report_changes_nothing(told: Workspace) -> None:
    """Neither a run nor a record nor the audit log grows by it."""
    before = (len(told.runs(limit=1000)), told.audit_head())
    build_report(told, told.runs(kind="sweep")[0].id, sections=parse_sections("rollout,ab"))
    assert (len(told.runs(limit=1000)), told.audit_head()) == before
