"""The timeline of a plan: ordered, without overlap where steps follow one another, for whatever is asked."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ParameterError
from engine.present.plan import PlanInputs, changes, make_plan, render_markdown
from engine.present.plan.evidence import CopyEvidence
from engine.present.plan.inputs import RISKS
from engine.present.plan.results import PHASES
from engine.present.plan.storage import decode_plan, encode_plan
from engine.rollout.schedule import Schedule, Stage
from engine.tradeoff.size.cost import CostAssumptions
from engine.workspace import plain_json

if TYPE_CHECKING:
    from engine.tradeoff import Verdict
    from tests.present.plan.conftest import MakeEvidence

KEYS = ("measure", "prepare", "query-reduced", "ab-test", "decide", "hold", "copy", "cut-over", "keep-full", "gone")
VERDICTS: tuple[Verdict | None, ...] = ("safe", "undecided", "harmful", None)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Draw schedules of one to six stages."""
    days = sorted(draw(st.sets(st.integers(1, 400), max_size=5)))
    percents = sorted(draw(st.sets(st.integers(1, 99), min_size=len(days) + 1, max_size=len(days) + 1)))
    stages = zip((0, *days), percents, strict=True)
    return Schedule(stages=tuple(Stage(day=float(day), percent=float(percent)) for day, percent in stages))


INPUTS = st.builds(
    PlanInputs,
    n_docs=st.integers(1, 10**9),
    queries_per_day=st.integers(1, 10**12),
    p99_ms=st.floats(0.01, 60_000),
    ctr=st.floats(1e-6, 0.999),
    from_dims=st.just(3072),
    to_dims=st.sampled_from((1, 768, 3071)),
    risk=st.sampled_from(RISKS),
    start=st.sampled_from(("", "2026-03-02", "2200-12-31")),
    queries_per_user=st.floats(1, 1000),
    new_users_per_day=st.none() | st.floats(0.001, 1e9),
    longest_ab_days=st.integers(1, 365),
    margin=st.none() | st.floats(0.001, 0.5),
    power=st.none() | st.floats(0.5, 0.99),
    schedule=st.none() | schedules(),
    copy_rows_per_s=st.none() | st.floats(100, 1e6),
    lengths=st.dictionaries(st.sampled_from(KEYS), st.floats(0, 3650), max_size=4),
    owners=st.dictionaries(st.sampled_from(KEYS), st.sampled_from(("Ada", "<b>Bob</b>", "عمر", "🦊")), max_size=4),
)


@settings(max_examples=40, deadline=None)
@given(inputs=INPUTS, verdict=st.sampled_from(VERDICTS))
def test_any_valid_inputs_give_an_ordered_plan_that_is_kept_as_it_is(
    make_evidence: MakeEvidence, inputs: PlanInputs, verdict: Verdict | None
) -> None:
    """Every step begins when all it follows have ended; the plan survives codec and JSON, and equals itself."""
    plan = make_plan(inputs, evidence=None if verdict is None else make_evidence({768: verdict}))
    ends: dict[str, float] = {}
    for step in plan.steps:
        assert step.days >= 0
        assert set(step.after) <= set(ends), "a step follows only what stands before it"
        assert step.start_day == max((ends[key] for key in step.after), default=0.0)
        ends[step.key] = step.end_day
    assert len(ends) == len(plan.steps)
    assert [PHASES.index(step.phase) for step in plan.steps] == sorted(PHASES.index(step.phase) for step in plan.steps)
    again = decode_plan(json.loads(json.dumps(encode_plan(plan))))
    assert again == plan
    assert changes(plan, again) == ()
    json.dumps(plain_json(plan), allow_nan=False)
    assert render_markdown(plan).count("\n| ") >= len(plan.steps)


def test_stages_are_those_of_the_schedule(make_evidence: MakeEvidence) -> None:
    """Each stage lasts as long as the schedule says; the last is held, and the holdback is taken off."""
    inputs = PlanInputs(schedule=Schedule.parse("0:5, 3:30:canary, 10:100", holdback_percent=4))
    plan = make_plan(inputs, evidence=make_evidence())
    stages = [step for step in plan.steps if step.phase == "rollout"]
    assert [(step.key, step.days, step.percent) for step in stages] == [
        ("stage-1", 3.0, 5.0),
        ("stage-2", 7.0, 30.0),
        ("hold", 7.0, 96.0),
    ]
    assert stages[1].title == "30 % of users: canary"


def test_the_copy_takes_its_rate_from_what_is_known(make_evidence: MakeEvidence) -> None:
    """The rate is the one entered, else the newest migration's, else assumed; the step says which."""
    measured = CopyEvidence(run_id="move", rows_per_s=10.0, dims=768)
    for inputs, beside, days, where in (
        (PlanInputs(), {}, 1, "5,000 rows a second (assumed, not measured)"),
        (PlanInputs(), {"copy": measured}, 8, "10 rows a second (measured by migration move)"),
        (PlanInputs(copy_rows_per_s=20.0), {"copy": measured}, 5, "20 rows a second (as entered)"),
    ):
        step = make_plan(inputs, evidence=make_evidence(**beside)).step("copy")
        assert step is not None
        assert where in step.basis
        expected = 5e6 / (5000 if days == 1 else 10 if days == 8 else 20) / 86_400 + 5e6 / 1000 / 86_400
        assert expected <= step.days < expected + 1
        assert step.days == int(step.days)


def test_a_copy_of_ten_years_is_refused(make_evidence: MakeEvidence) -> None:
    """A measured rate that would take more than ten years ends in one sentence."""
    slow = CopyEvidence(run_id="move", rows_per_s=0.001, dims=768)
    with pytest.raises(ParameterError, match="the copy must end within ten years"):
        make_plan(PlanInputs(), evidence=make_evidence(copy=slow))
    with pytest.raises(ParameterError, match="the index must be built within ten years"):
        make_plan(PlanInputs(prices=CostAssumptions(build_rows_per_s=1e-6)), evidence=make_evidence())


def test_dates_follow_the_start(make_evidence: MakeEvidence) -> None:
    """With a start every step has dates that touch: a step begins on the day after the one before has ended."""
    plan = make_plan(PlanInputs(start="2026-03-02"), evidence=make_evidence())
    first, second = plan.steps[0].dates("2026-03-02"), plan.steps[1].dates("2026-03-02")
    assert first == (date(2026, 3, 2), date(2026, 3, 4))
    assert second is not None
    assert second[0] == first[1] + timedelta(days=1)
    assert plan.ends_on == date(2026, 3, 2) + timedelta(days=plan.days - 1)
    assert replace(plan, inputs=PlanInputs()).ends_on is None
