"""The report on its page: the files to download, and everything that will be inside, section by section."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.present.report.blocks import Chart, Table
from engine.present.report.html import render_html
from engine.present.report.markdown import render_markdown
from engine.present.report.tables import tables_archive
from pages.shell.report.blocks import show_blocks
from pages.shell.text import local_time, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.present.report.blocks import Report, Section

_FIRST_OPEN = "verdict"


def downloads(report: Report) -> None:
    """Offer the report as HTML and Markdown, and its tables; a file is written when it is asked for."""
    name = f"dimshift-report-{report.run_id}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "HTML",
            lambda: render_html(report).encode(),
            file_name=f"{name}.html",
            mime="text/html",
            icon=":material/download:",
            type="primary",
            key="report_html",
            on_click="ignore",
            help="One file that opens anywhere and asks for no network, charts included.",
        )
        st.download_button(
            "Markdown",
            lambda: render_markdown(report).encode(),
            file_name=f"{name}.md",
            mime="text/markdown",
            icon=":material/download:",
            key="report_markdown",
            on_click="ignore",
            help="Words and tables; charts are told in words.",
        )
        st.download_button(
            "Tables",
            lambda: tables_archive(report),
            file_name=f"{name}-tables.zip",
            mime="application/zip",
            icon=":material/download:",
            key="report_tables",
            on_click="ignore",
            disabled=not report.tables,
            help="Every table, all columns and rows, as CSV and as Parquet.",
        )


def facts(report: Report, *, on_refresh: Callable[[], None]) -> None:
    """Say what the file will be called and hold, and how fresh it is; a button reads the workspace again."""
    counts = (
        _counted(len(report.sections), "section"),
        _counted(len(report.charts), "chart"),
        _counted(len(report.tables), "table"),
    )
    read = f"read from the workspace {local_time(report.made_at, st.context.timezone)}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header(plain(report.title, longest=200), anchor=False, width="content")
        for label in report.labels:
            st.badge(plain(label, longest=60), color="gray")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(" · ".join((*counts, read)), width="content")
        st.button("Read again", icon=":material/refresh:", type="tertiary", key="report_refresh", on_click=on_refresh)


def preview(report: Report) -> None:
    """Show every section, folded but the verdict; what is folded costs nothing."""
    with st.container(gap="small"):
        for section in report.sections:
            folder = st.expander(
                _folded(section),
                expanded=section.key == _FIRST_OPEN,
                key=f"report_show_{section.key}",
                on_change="rerun",
            )
            if folder.open:
                with folder:
                    show_blocks(section.blocks, key=f"report_block_{section.key}")


def _folded(section: Section) -> str:
    charts = sum(isinstance(block, Chart) for block in section.blocks)
    tables = sum(isinstance(block, Table) for block in section.blocks)
    held = [_counted(n, what) for n, what in ((charts, "chart"), (tables, "table")) if n]
    return f"**{plain(section.title, longest=200)}**" + (f"  ·  {', '.join(held)}" if held else "")


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
