"""The head of the Plan page: the recommendation with its reason, what it comes to, and the timeline."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import plan as charts
from engine.present.plan import PlanStore, changes, make_plan, render_markdown
from engine.present.plan.gantt import gantt_bars
from engine.present.plan.wording import date_text, days_text, gib_text, money_text
from pages.shell import figures, state
from pages.shell.company.allowed import shown
from pages.shell.flags import actor as flags_actor
from pages.shell.plan import work as plan_work
from pages.shell.services import services
from pages.shell.text import local_time, plain, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from engine.present.plan import KeptPlan, Plan
    from engine.present.plan.results import Outcome
    from pages.shell.plan.state import SeenPlan

    Colour = Literal["green", "orange", "red", "gray"]

_BADGES: Mapping[Outcome, tuple[Colour, str]] = {
    "full migration": ("green", "● go the whole way"),
    "query reduced": ("orange", "◆ go part of the way"),
    "stop": ("red", "✕ stop"),
    "measure first": ("gray", "○ measure first"),
}
LONGEST = 2000


def head(looking: SeenPlan, kept: KeptPlan | None) -> None:
    """Draw the title with the download, and say when the plan is not saved, was changed elsewhere, or is outdated."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.title("Plan", anchor=False, width="content")
        st.space("stretch")
        st.download_button(
            "Markdown",
            render_markdown(looking.plan),
            "plan.md",
            mime="text/markdown",
            icon=":material/download:",
            on_click="ignore",
            key="plan_download",
        )
        flags_actor.choose_actor()
    said = state.notice("plan")
    if said is not None:
        st.error(sentence(said.sentence))
    _version(looking, kept)


def recommendation(plan: Plan) -> None:
    """State the recommendation, its reason, and what stands against relying on it."""
    colour, word = _BADGES[plan.strategy.outcome]
    with st.container(gap="xsmall", key="plan_recommendation"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.header(plain(plan.strategy.headline, longest=200), anchor=False, width="content")
            st.badge(word, color=colour)
            for label in plan.strategy.labels:
                st.badge(plain(label), color="gray", icon=":material/science:")
        st.markdown(said_plainly(plan.strategy.reason))
    for warning in plan.warnings:
        st.caption(f":material/info: {said_plainly(warning)}")
    _cards(plan)
    _legs(plan)


def timeline(plan: Plan) -> None:
    """Draw the timeline, today in it where the plan has a start."""
    st.subheader("Timeline", anchor=False)
    if not plan.steps:
        st.markdown("Nothing is to be done with these dims now.")
        return
    figures.redraw_for_another_theme()
    bars, start = gantt_bars(plan), plan.inputs.start
    figure = charts.gantt_chart(
        bars, start=start, colours=figures.colours(), labels=plan.strategy.labels, now_day=_today(start)
    )
    figures.show(figure, alt=charts.describe_gantt(bars, start=start), key="plan_timeline")


def said_plainly(words: str) -> str:
    """Return a sentence of the engine as plain text whose numbers keep their unit on one line."""
    return plain(words, longest=LONGEST).replace(" \\%", "\u00a0\\%")


def _version(looking: SeenPlan, kept: KeptPlan | None) -> None:
    newest = 0 if kept is None else kept.version
    if newest != looking.version:
        what = "The plan was removed" if kept is None else f"Version {newest:,} was saved in between"
        with st.container(horizontal=True, vertical_alignment="center"):
            st.warning(f"{what}: you look at version {looking.version:,}, and cannot save over the newer one.")
            st.button("Load the newest", key="plan_load_newest", on_click=plan_work.load_newest)
        return
    if kept is None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info("A proposal from what this workspace knows; nobody has saved it yet.")
            if st.button("Save this plan", type="primary", key="plan_save_first", **shown("plan", "save")):
                plan_work.save(looking, lambda: looking.plan.inputs, reason="first plan")
                st.rerun()
        return
    _last_change(kept)
    _outdated(looking)


def _last_change(kept: KeptPlan) -> None:
    """Say who saved this version when, and the first thing that it moved."""
    when = local_time(kept.updated_at, st.context.timezone)
    (last, *_) = PlanStore(services().workspace).revisions(limit=1) or (None,)
    who = "" if last is None else f" by {plain(last.actor)}"
    said = ""
    if last is not None and last.changes:
        first, n = last.changes[0], len(last.changes) - 1
        more = "." if not n else f", and {n:,} more under What moved."
        said = (
            f" It moved {plain(first.what)} from “{said_plainly(first.before)}” to “{said_plainly(first.after)}”{more}"
        )
    st.caption(f"Version {kept.version:,}, saved {when}{who}.{said}")


def _outdated(looking: SeenPlan) -> None:
    """Say when the measurements of now give another plan than the one that was saved."""
    fresh = make_plan(looking.plan.inputs, evidence=plan_work.evidence(looking.run_id))
    moved = changes(looking.plan, fresh)
    if not moved:
        return
    first = moved[0]
    more = "" if len(moved) == 1 else f" and {len(moved) - 1:,} more"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(
            f"What is known has changed since it was saved: {plain(first.what)}, from “{said_plainly(first.before)}” "
            f"to “{said_plainly(first.after)}”{more}."
        )
        if st.button("Plan again", key="plan_again", **shown("plan", "save")):
            plan_work.save(looking, lambda: looking.plan.inputs, reason="new measurements")
            st.rerun()


def _cards(plan: Plan) -> None:
    currency = plan.cost.assumptions.currency
    ends = plan.ends_on
    with st.container(horizontal=True, gap="small", key="plan_cards"):
        if plan.steps:
            _card("Length", days_text(plan.days), "" if ends is None else f"until {date_text(ends)}")
        if plan.step("ab-test") is not None:
            _card("A/B test", days_text(plan.ab_test.days), f"{plan.ab_test.n_users:,} users")
        if plan.strategy.goes("full migration"):
            saved = money_text(plan.cost.saving_per_month, currency)
            _card(
                "Saved a month, after",
                saved,
                f"of {money_text(plan.cost.now.cost_per_month, currency)}, at assumed prices",
            )
            _card("Memory, after", gib_text(plan.cost.then.memory_gib), f"now {gib_text(plan.cost.now.memory_gib)}")
        else:
            _card("A month, as now", money_text(plan.cost.now.cost_per_month, currency), "no byte is saved")


def _card(label: str, value: str, below: str) -> None:
    st.metric(label, value, below or None, delta_color="off", delta_arrow="off", border=True)


def _legs(plan: Plan) -> None:
    with st.container(gap="xxsmall", key="plan_legs"):
        for leg in plan.strategy.legs:
            mark = ":green-badge[● go]" if leg.goes else ":gray-badge[✕ not now]"
            st.markdown(f"{mark} **{plain(leg.title)}**: {said_plainly(leg.reason)}")


def _today(start: str) -> float | None:
    return None if not start else float((datetime.now(UTC).date() - date.fromisoformat(start)).days)
