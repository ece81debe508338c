"""The read-out of an A/B test in sentences: the verdict, then a sentence a metric; or the check that failed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import VERDICTS
from pages.shell.text import local_time, plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from engine.experiment.results import Analysis, ArmRow
    from engine.tradeoff import Verdict
    from engine.workspace import Run

    Colour = Literal["green", "yellow", "red"]

_MINUS = re.compile(r"(?<=[ (])\\-(?=\d)")
SIMULATED_LABEL = "simulated"
BADGES: Mapping[Verdict, Colour] = {"safe": "green", "undecided": "yellow", "harmful": "red"}


def headline(found: Analysis) -> None:
    """State the overall verdict and its reason, with what kind of data it rests on."""
    style, is_simulated = VERDICTS[found.verdict], SIMULATED_LABEL in found.labels
    title = f":{BADGES[found.verdict]}[{style.symbol}] {found.verdict.capitalize()}"
    if not found.is_trustworthy:
        title = ":red[:material/block:] No read-out: the experiment is broken"
    elif is_simulated:
        title += " in simulation"
    with st.container(gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.header(title, anchor=False, width="content")
            for label in found.labels:
                st.badge(plain(label), color="gray")
        if found.is_trustworthy:
            said = found.headline.partition(": ")[2]
            with st.container(key="reason"):
                st.markdown(words(said[:1].upper() + said[1:]))
        if is_simulated:
            st.caption("No real user stands behind these numbers: they follow from the assumptions listed below.")


def sentences(found: Analysis) -> None:
    """Say of each metric what it shows, its verdict first; when a check failed, of that check and nothing else."""
    if not found.is_trustworthy:
        for gate in found.gates:
            if not gate.is_passed:
                st.error(f"**{plain(gate.title)}.** {words(gate.sentence)}", icon=":material/block:")
        hint = " A planned ramp is entered under Thresholds." if len(found.detected_stages) > 1 else ""
        st.markdown(f"Metrics are hidden: with users in the wrong arm any could be wrong in any direction.{hint}")
        return
    with st.container(gap="xsmall", key="metrics"):
        for one in (*found.metrics, *(each for each in found.latencies if each.is_judged)):
            aside = "" if one.is_judged else " :gray[(not judged)]"
            st.markdown(f"{chip(one.verdict)} {told(one.sentence, one.verdict)}{aside}")
        for one in found.stratified:
            if one.is_reversed:
                st.warning(words(one.sentence), icon=":material/call_split:")


def gates(found: Analysis) -> None:
    """List the checks that did not fail; one that did stands above everything already."""
    for gate in found.gates:
        if gate.is_passed:
            mark = ":green[:material/check_circle:]" if gate.is_checked else ":gray[:material/help:]"
            st.markdown(f"{mark} **{plain(gate.title)}.** {words(gate.sentence)}")


def arms(found: Analysis) -> None:
    """Show what was counted in each arm."""
    number = st.column_config.NumberColumn
    st.dataframe(
        [_arm_row(row) for row in found.arms],
        hide_index=True,
        key="arms",
        placeholder="–",
        column_config={
            "arm": st.column_config.TextColumn("Arm", pinned=True),
            "users": number("Users", format="localized"),
            "share": number("Of all users", format="%.2f %%", help="Of the users who saw one arm only."),
            "intended": number("Intended", format="%.2f %%"),
            "queries": number("Queries", format="localized"),
            "clicks": number("With a click", format="localized"),
            "conversions": number("Converted", format="localized"),
            "errors": number("Errors", format="localized"),
            "no_results": number("No results", format="localized"),
        },
    )


def metric_field(names: Mapping[str, str], *, key: str) -> str:
    """Let the reader choose one of the metrics in `names`, from their keys to what they are called."""
    chosen: str = st.segmented_control(
        "Metric",
        list(names),
        format_func=lambda metric: names[metric],
        default=next(iter(names)),
        required=True,
        key=key,
    )
    return chosen


def small_print(found: Analysis, run: Run) -> None:
    """Say what was counted, when, and under which assumptions and warnings."""
    facts = [
        f"**{plain(found.experiment_id)}**",
        *(plain(label) for label in found.labels),
        f"{found.n_users:,} users",
        f"{found.n_queries:,} queries",
        f"{found.n_days:,} day{'' if found.n_days == 1 else 's'}",
        *([] if found.seed is None else [f"seed {found.seed}"]),
        local_time(run.created_at, st.context.timezone),
        f"{run.elapsed_s:.1f} s",
    ]
    st.caption(" · ".join(facts))
    for warning in found.warnings:
        st.caption(f":material/info: {words(warning)}")
    if found.assumptions:
        with st.expander("Assumptions", icon=":material/rule:"):
            st.markdown("\n".join(f"- {words(assumed)}" for assumed in found.assumptions))


def chip(verdict: Verdict) -> str:
    """Return the verdict as a coloured chip for Markdown, with its symbol and its word."""
    return f":{BADGES[verdict]}-badge[{VERDICTS[verdict].symbol} {verdict}]"


def words(text: str) -> str:
    """Return a sentence of the engine as plain text, with a true minus, whose numbers keep their unit on one line."""
    return _MINUS.sub("−", plain(text, longest=2000)).replace(" \\%", "\u00a0\\%")


def told(text: str, verdict: Verdict) -> str:
    """Take the verdict, which the chip says, out of a metric's sentence, and set its name in bold."""
    name, _, rest = text.partition(": ")
    return f"**{plain(name)}.** {words(rest.removeprefix(f'{verdict}.').strip())}"


def _arm_row(row: ArmRow) -> dict[str, object]:
    counted = {
        "clicks": row.n_clicks,
        "conversions": row.n_conversions,
        "errors": row.n_errors,
        "no_results": row.n_no_results,
    }
    return {
        "arm": row.name,
        "users": row.n_users,
        "share": None if row.observed_share is None else 100 * row.observed_share,
        "intended": None if row.share is None else 100 * row.share,
        "queries": row.n_queries,
        **{name: count for name, count in counted.items() if count is not None},
    }
