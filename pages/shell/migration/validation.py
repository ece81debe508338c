"""The tab Validation: equal or not first, then why, the rows that differ, and search against what was promised."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import migration as charts
from engine.workspace import plain_json
from pages.shell import figures
from pages.shell.migration import view as migration_view
from pages.shell.text import plain

if TYPE_CHECKING:
    from engine.migration import MigrationReport, Validation
    from engine.migration.results import SearchCheck
    from pages.shell.migration.view import View

_NAMES = {"counts": "Counts", "ids": "Ids", "values": "Values", "payloads": "Payloads"}


def show(view: View) -> None:
    """Draw the newest validation of the migration."""
    report = view.report
    if report is None:
        st.info("Nothing has been validated yet: the migration does it as its last step.", icon=":material/fact_check:")
        return
    validation = report.validation
    _verdict(report)
    with st.container(gap="xsmall", key="checks"):
        for check in validation.checks:
            mark = ":green[:material/check_circle:]" if check.passed else ":red[:material/cancel:]"
            st.markdown(f"{mark} **{_NAMES.get(check.name, check.name)}.** {plain(check.sentence)}")
    _differing(validation)
    if validation.search is not None:
        _search(validation.search)
    _moment(report)
    st.download_button(
        "Report",
        lambda: json.dumps(plain_json(report), indent=1),
        f"migration-{report.job_id}.json",
        mime="application/json",
        on_click="ignore",
        icon=":material/download:",
        key="report_download",
    )


def _verdict(report: MigrationReport) -> None:
    validation = report.validation
    with st.container(horizontal=True, vertical_alignment="center", key="verdict"):
        if validation.verdict == "equal":
            st.header("Equal", anchor=False, width="content")
            st.badge("every check passed", color="green", icon=":material/verified:")
        else:
            st.header("Differs", anchor=False, width="content")
            st.badge("do not cut over", color="red", icon=":material/report:")
    if validation.n_held:
        st.markdown(f"{validation.n_held:,} rows are in quarantine: they are not in the target, and not counted above.")


def _differing(validation: Validation) -> None:
    if not validation.differing:
        return
    st.subheader(f"Rows that differ: {validation.n_differing:,}", anchor=False)
    text = st.column_config.TextColumn
    st.dataframe(
        [{"id": row.id, "what": row.what, "by": row.largest} for row in validation.differing],
        hide_index=True,
        key="differing",
        placeholder="–",
        column_config={
            "id": text("Row", pinned=True),
            "what": text("What"),
            "by": st.column_config.NumberColumn("By at most", format="%.2e"),
        },
    )
    if validation.n_differing > len(validation.differing):
        st.caption(f"The first {len(validation.differing):,} of them. Catching up writes all of them again.")


def _search(check: SearchCheck) -> None:
    st.subheader("Search through the target's own index", anchor=False)
    figures.show(
        charts.search_check_chart(check, colours=figures.colours()),
        alt=charts.describe_search_check(check),
        key="search_check_chart",
    )
    asked = "real queries" if check.queries == "given" else "rows of the source, which find themselves"
    words = f"{check.n_queries:,} {asked}, 10 results each."
    if check.predicted is None:
        words += " No sweep of these vectors at these dims was chosen in the plan, so nothing was predicted."
    st.caption(words)


def _moment(report: MigrationReport) -> None:
    if report.equal_from is None or report.equal_until is None:
        st.markdown("The source changed in every pass of catching up, so the two were never seen equal.")
        return
    start, end = (migration_view.when(one) for one in (report.equal_from, report.equal_until))
    span = f"at **{start}**" if start == end else f"between **{start}** and **{end}**"
    st.markdown(
        f":material/schedule: Source and target were equal {span}, by the source's clock. What is written to the "
        "source after that is taken over by catching up."
    )
