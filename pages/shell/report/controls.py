"""What is in a report: its title, the runs beside it, and which sections in which order under which titles."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import streamlit as st

from engine.present.report.sections import SECTIONS, format_sections
from engine.tradeoff.run_comparison import MOST_RUNS
from pages.shell.report import state as report_state
from pages.shell.report.state import BESIDE_KEY
from pages.shell.sweep import run_lists
from pages.shell.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from engine.present.report.blocks import Report
    from engine.present.report.sections import SectionChoice
    from engine.workspace import Run
    from pages.shell.report.state import ReportChoice

_LONGEST_TITLE = 200
_NAME_PX, _TITLE_PX = 350, 420
_USUAL = {kind.key: kind.title for kind in SECTIONS}


def title_and_beside(run: Run, usual_title: str) -> None:
    """Draw the fields of the title and of the runs that stand beside `run`."""
    left, right = st.columns(2, gap="medium")
    left.text_input(
        "Title",
        report_state.choice().title,
        key="report_title",
        max_chars=_LONGEST_TITLE,
        placeholder=usual_title,
        on_change=report_state.set_title,
    )
    offered = run_lists.offered_sweeps(run_lists.asked_runs(BESIDE_KEY))
    offered.pop(run.id, None)
    with right:
        run_lists.choose_runs(
            "Beside it",
            offered,
            key=BESIDE_KEY,
            most=MOST_RUNS - 1,
            placeholder="Other runs to compare with" if offered else "No other run is stored",
            explained="Other models, corpora or seeds: they get a section of their own, with the differences.",
        )


def sections(report: Report, chosen: ReportChoice) -> None:
    """Let the reader choose, order and title the sections that have data; say which have none."""
    available = {section.key for section in report.sections}
    listed = [key for key in chosen.order if key in available]
    folder = st.expander(
        "Sections, their order and titles", icon=":material/reorder:", key="report_sections", on_change="rerun"
    )
    if folder.open:
        with folder:
            for place, key in enumerate(listed):
                above = listed[place - 1] if place else None
                below = listed[place + 1] if place + 1 < len(listed) else None
                _section(key, chosen, above=above, below=below)
            if not chosen.is_usual:
                st.button(
                    "As usual again",
                    icon=":material/restart_alt:",
                    key="report_usual",
                    on_click=report_state.reset_sections,
                )
    missing = [kind.title for kind in SECTIONS if kind.key not in available]
    if missing:
        st.caption(f"Left out, since nothing is stored for them: {', '.join(missing)}.")


def from_a_shell(run: Run, beside: Sequence[str], chosen: ReportChoice, picked: Sequence[SectionChoice]) -> None:
    """Show the command that writes the same report."""
    words = ["dimshift", "report", run.id, "--out", "report.html"]
    if chosen.title:
        words += ["--title", chosen.title]
    if beside:
        words += ["--compare", ",".join(beside)]
    if not chosen.is_usual:
        words += ["--sections", format_sections(tuple(picked))]
    st.caption("The same from a shell")
    st.code(shlex.join(words), language="shell", wrap_lines=True)


def _section(key: str, chosen: ReportChoice, *, above: str | None, below: str | None) -> None:
    usual = _USUAL[key]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key=f"report_row_{key}"):
        # Name and arrows stay in one row on a phone; the title goes below them.
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", width=_NAME_PX):
            st.checkbox(
                plain(usual),
                key not in chosen.hidden,
                key=f"report_in_{key}",
                width="stretch",
                on_change=report_state.show_section,
                args=(key,),
            )
            _arrow(key, past=above, word="up")
            _arrow(key, past=below, word="down")
        st.text_input(
            f"Title of {usual}",
            chosen.titles.get(key, ""),
            key=f"report_name_{key}",
            max_chars=_LONGEST_TITLE,
            placeholder="Another title",
            label_visibility="collapsed",
            on_change=report_state.name_section,
            args=(key,),
            width=_TITLE_PX,
        )


def _arrow(key: str, *, past: str | None, word: Literal["up", "down"]) -> None:
    st.button(
        word.capitalize(),
        key=f"report_{word}_{key}",
        type="tertiary",
        disabled=past is None,
        on_click=report_state.move_section,
        args=(key,),
        kwargs={"past": past or key},
    )
