"""What people edit of the plan: inputs, steps with owners, stages, triggers, prices. The engine checks all of it."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import streamlit as st

from engine.errors import EngineError
from engine.present.plan import RISK_PROFILES, RISKS
from engine.present.plan.editing import StepEdit, with_edits
from engine.present.plan.wording import when_text
from engine.tradeoff.size.cost import CostAssumptions
from pages.shell.company.allowed import shown
from pages.shell.explore import cost as cost_view
from pages.shell.plan import state as plan_state
from pages.shell.plan import view as plan_view
from pages.shell.plan import work as plan_work
from pages.shell.rollout import fields as rollout_fields
from pages.shell.runs import title_of
from pages.shell.services import services
from pages.shell.text import sentence, told_apart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.present.plan import PlanInputs
    from pages.shell.plan.state import SeenPlan

_OPTIONAL: tuple[tuple[str, str, float, str], ...] = (
    ("margin", "Margin of the A/B test, %", 100.0, "Relative loss of CTR to rule out; empty: the appetite's."),
    ("power", "Power of the A/B test, %", 100.0, "Empty: the appetite's."),
    ("new_users_per_day", "New users a day", 1.0, "Empty: queries a day over queries a user."),
    ("copy_rows_per_s", "Rows copied a second", 1.0, "Empty: as the newest migration measured, else assumed."),
)


def inputs(looking: SeenPlan) -> None:
    """Draw the form of the inputs."""
    now, mark = looking.plan.inputs, looking.mark
    with st.form(f"plan_inputs_{mark}", border=False):
        whole: dict[str, Any] = {"step": 1, "format": "%d"}
        # A row of columns each, so that on a phone they stand in this order.
        left, middle, right = st.columns(3)
        given: dict[str, Any] = {
            "n_docs": left.number_input("Documents", value=now.n_docs, key=f"plan_n_docs_{mark}", **whole),
            "queries_per_day": middle.number_input(
                "Queries a day", value=now.queries_per_day, key=f"plan_queries_{mark}", **whole
            ),
            "p99_ms": right.number_input("p99 latency, ms", value=now.p99_ms, format="%g", key=f"plan_p99_{mark}"),
        }
        left, middle, right = st.columns(3)
        given |= {
            "from_dims": left.number_input("Dims from", value=now.from_dims, key=f"plan_from_{mark}", **whole),
            "to_dims": middle.number_input("Dims to", value=now.to_dims, key=f"plan_to_{mark}", **whole),
            "ctr": _share(
                right.number_input("CTR, %", value=_percent(now.ctr), format="%g", key=f"plan_ctr_{mark}"),
            ),
        }
        left, middle, right = st.columns(3)
        start_key = f"plan_start_{mark}"
        # Only a field that begins empty can be emptied again.
        plan_state.begin_with(start_key, _date(now.start))
        start = left.date_input("First day", None, key=start_key, help="Empty: dates stay open.")
        given["start"] = start.isoformat() if isinstance(start, date) else ""
        given["queries_per_user"] = middle.number_input(
            "Queries a user, in the A/B test", value=now.queries_per_user, format="%g", key=f"plan_per_user_{mark}"
        )
        given["longest_ab_days"] = right.number_input(
            "Longest A/B test, days", value=now.longest_ab_days, key=f"plan_longest_{mark}", **whole
        )
        given["risk"] = st.segmented_control(
            "Appetite for risk", RISKS, default=now.risk, required=True, key=f"plan_risk_{mark}"
        )
        for name in RISKS:
            st.caption(plan_view.said_plainly(RISK_PROFILES[name].sentence))
        given |= _optional(now, mark)
        run_id = _sweep(looking)
        pressed = _submit("Save the inputs", f"plan_save_inputs_{mark}")
    if pressed:
        _save(looking, lambda: replace(now, **given), run_id=run_id, reason="inputs")


def steps(looking: SeenPlan) -> None:
    """Draw the steps as a table whose lengths and owners can be written."""
    plan, mark = looking.plan, looking.mark
    if not plan.steps:
        st.markdown("No steps.")
        return
    text = st.column_config.TextColumn
    with st.form(f"plan_steps_{mark}", border=False):
        rows = st.data_editor(
            [
                {
                    "step": step.title,
                    "owner": step.owner,
                    "days": step.days,
                    "when": when_text(step, plan.inputs.start),
                    "detail": step.detail,
                    "basis": step.basis,
                }
                for step in plan.steps
            ],
            key=f"plan_step_rows_{mark}",
            hide_index=True,
            disabled=["step", "when", "detail", "basis"],
            height="content",
            column_config={
                "step": text("Step", pinned=True),
                "owner": text("Owner", width=150, max_chars=80, help="Who answers for it."),
                "days": st.column_config.NumberColumn("Days", format="%.4g", help="Empty: the usual length again."),
                "when": text("When"),
                "detail": text("What"),
                "basis": text("Why so long"),
            },
        )
        pressed = _submit("Save the steps", f"plan_save_steps_{mark}")
    if pressed:
        _save(looking, lambda: with_edits(plan, _edits(looking, rows)), reason="steps")


def stages(looking: SeenPlan) -> None:
    """Draw the stages of the rollout and its holdback."""
    now = looking.plan.inputs
    if now.schedule is None and now.holdback_percent is None:
        st.caption(f"As a {now.risk} plan has them; edited ones stay when the appetite changes.")
    _edited(
        looking,
        lambda: replace(
            now,
            schedule=rollout_fields.schedule_fields(now.used_schedule, mark=f"plan_{looking.mark}"),
            holdback_percent=None,
        ),
        what="stages",
    )


def triggers(looking: SeenPlan) -> None:
    """Draw the thresholds of the monitor."""
    now = looking.plan.inputs
    if now.thresholds is None:
        st.caption(f"As a {now.risk} plan has them; edited ones stay when the appetite changes.")
    _edited(
        looking,
        lambda: replace(
            now, thresholds=rollout_fields.thresholds_fields(now.used_thresholds, mark=f"plan_{looking.mark}")
        ),
        what="triggers",
    )


def prices(looking: SeenPlan) -> None:
    """Draw every assumption of the cost; documents and queries are those of the inputs."""
    now, mark = looking.plan.inputs, looking.mark
    given: dict[str, Any] = {"n_docs": now.prices.n_docs, "queries_per_day": now.prices.queries_per_day}
    with st.form(f"plan_prices_{mark}", border=False):
        fields = [field for field in cost_view.FIELDS if field[0] not in given]
        columns = [column for _ in range(0, len(fields) + 1, 3) for column in st.columns(3)]
        for column, (name, label, explained) in zip(columns, fields, strict=False):
            value = getattr(now.prices, name)
            given[name] = column.number_input(
                label,
                value=value,
                format="%d" if isinstance(value, int) else "%g",
                key=f"plan_{name}_{mark}",
                help=explained,
            )
        given["currency"] = columns[len(fields)].text_input(
            "Currency", now.prices.currency, max_chars=8, key=f"plan_currency_{mark}"
        )
        pressed = _submit("Save the prices", f"plan_save_prices_{mark}")
    if pressed:
        _save(looking, lambda: replace(now, prices=CostAssumptions(**given)), reason="prices")


def set_margin(looking: SeenPlan, margin: float) -> None:
    """Plan the A/B test with another margin."""
    _save(looking, lambda: replace(looking.plan.inputs, margin=margin), reason="a wider margin")


def _edited(looking: SeenPlan, draw: Callable[[], PlanInputs], *, what: str) -> None:
    """Draw fields that raise when they cannot be read, in a form with its button below."""
    chosen: PlanInputs | None = None
    with st.form(f"plan_{what}_{looking.mark}", border=False):
        try:
            chosen = draw()
        except EngineError as error:
            st.error(sentence(error))
        pressed = _submit(f"Save the {what}", f"plan_save_{what}_{looking.mark}")
    if pressed and chosen is not None:
        found = chosen
        _save(looking, lambda: found, reason=what)


def _submit(label: str, key: str) -> bool:
    return st.form_submit_button(label, type="primary", key=key, **shown("plan", "save"))


def _save(looking: SeenPlan, change: Callable[[], PlanInputs], *, run_id: str | None = None, reason: str) -> None:
    plan_work.save(looking, change, run_id=run_id, reason=reason)
    st.rerun()


def _optional(now: PlanInputs, mark: str) -> dict[str, float | None]:
    """Draw numbers that may stay empty."""
    found = {}
    for column, (name, label, unit, text) in zip(st.columns(len(_OPTIONAL)), _OPTIONAL, strict=True):
        value = getattr(now, name)
        typed = column.number_input(
            label,
            value=None if value is None else round(unit * value, 9),
            format="%g",
            key=f"plan_{name}_{mark}",
            help=text,
            placeholder="usual",
        )
        found[name] = None if typed is None else float(typed) / unit
    return found


def _sweep(looking: SeenPlan) -> str | None:
    """Offer the sweeps that the plan may rest on."""
    zone = st.context.timezone
    runs = {run.id: run for run in services().workspace.runs(kind="sweep")}
    if not runs:
        return None
    titles = told_apart({run_id: title_of(run, zone) for run_id, run in runs.items()})
    options = list(runs)
    chosen: str | None = st.selectbox(
        "Rests on the sweep",
        options,
        index=options.index(looking.run_id) if looking.run_id in options else 0,
        format_func=lambda run_id: titles[run_id],
        key=f"plan_run_{looking.mark}",
    )
    return chosen


def _edits(looking: SeenPlan, rows: Sequence[Mapping[str, Any]]) -> list[StepEdit]:
    return [
        StepEdit(key=step.key, days=_number(row.get("days")), owner=str(row.get("owner") or "").strip())
        for step, row in zip(looking.plan.steps, rows, strict=True)
    ]


def _number(cell: Any) -> float | None:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    return float(cell)


def _date(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def _percent(share: float) -> float:
    return round(100 * share, 9)


def _share(percent: float) -> float:
    return float(percent) / 100
