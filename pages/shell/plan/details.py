"""What stands behind a plan: the A/B test, metrics, storage and cost, evidence, and what its revisions moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import cost as cost_charts
from engine.present.plan import PlanStore
from engine.present.plan.wording import gib_text, money_text
from pages.shell import figures
from pages.shell.company.allowed import shown
from pages.shell.plan import forms as plan_forms
from pages.shell.plan.view import said_plainly
from pages.shell.services import services
from pages.shell.text import local_time, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.present.plan import Change, Plan
    from pages.shell.plan.state import SeenPlan


def ab_test(looking: SeenPlan) -> None:
    """Say what the A/B test takes, and what to do instead where it takes too long."""
    found = looking.plan.ab_test
    for words in found.sentences:
        st.markdown(said_plainly(words))
    if not found.is_too_long:
        return
    st.warning("It takes too long on this traffic. Instead:", icon=":material/hourglass_bottom:")
    for one in found.alternatives:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(said_plainly(one.sentence))
            if one.margin is not None and st.button(
                f"Plan with {100 * one.margin:.3g} %", key=f"plan_margin_{looking.mark}", **shown("plan", "save")
            ):
                plan_forms.set_margin(looking, one.margin)


def metrics(plan: Plan) -> None:
    """Show what is watched, and what it is allowed to lose."""
    st.dataframe(
        [
            {"Metric": one.name, "Now": one.now, "Expected": one.expected, "Allowed": one.allowed, "Read in": one.where}
            for one in plan.metrics
        ],
        hide_index=True,
    )
    for one in plan.triggers:
        badge = {"warning": ":orange-badge[◆ warning]", "critical": ":red-badge[✕ critical]"}.get(
            one.severity, ":red-badge[↩ rollback]"
        )
        st.markdown(f"{badge} {said_plainly(one.condition)}. {plain(one.action)}.")


def cost(looking: SeenPlan) -> None:
    """Show storage and cost of every phase, the comparison, and the prices that can be edited."""
    plan = looking.plan
    currency = plan.cost.assumptions.currency
    st.dataframe(
        [
            {
                "Phase": one.title,
                "Memory": gib_text(one.memory_gib),
                "Disk": gib_text(one.disk_gib),
                "A month": money_text(one.cost_per_month, currency),
                "Note": one.note,
            }
            for one in plan.storage
        ],
        hide_index=True,
    )
    if plan.strategy.goes("full migration"):
        figures.show(
            cost_charts.cost_chart(plan.cost, colours=figures.colours()),
            alt=cost_charts.describe_cost(plan.cost),
            key="plan_cost_chart",
        )
    plan_forms.prices(looking)
    for note in plan.cost.notes:
        st.caption(f":material/info: {said_plainly(note)}")


def evidence(plan: Plan) -> None:
    """Show what the data say, what was not measured, and what is assumed."""
    for title, sentences in (
        ("What the data say", plan.strategy.evidence),
        ("Not measured", plan.strategy.missing),
        ("Assumed", plan.assumptions),
    ):
        if sentences:
            st.subheader(title, anchor=False)
            for words in sentences:
                st.markdown(f"- {said_plainly(words)}")


def revisions() -> None:
    """Show what each saving moved, the newest first."""
    found = PlanStore(services().workspace).revisions()
    if not found:
        st.markdown("Nothing is saved yet.")
    for place, one in enumerate(found):
        reason = f": {plain(one.reason)}" if one.reason else ""
        when = local_time(one.at, st.context.timezone)
        st.markdown(f"**{plain(when)}**, {plain(one.actor)}{reason}")
        if one.changes:
            _moved(one.changes, key=f"plan_moved_{place}")
        else:
            st.caption("The first version." if one.is_first else "Nothing that is shown moved.")


def _moved(moved: Sequence[Change], *, key: str) -> None:
    st.dataframe(
        [{"Topic": one.topic, "What": one.what, "Before": one.before, "After": one.after} for one in moved],
        hide_index=True,
        key=key,
    )
