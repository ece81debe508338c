"""Reports that this process has built: one for a run and those beside it, built anew when the workspace moved on."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import streamlit as st

from engine.present.report.building import build_report
from pages.shell.services import services
from pages.shell.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamlit.delta_generator import DeltaGenerator

    from engine.present.report.blocks import Report
    from engine.progress import Progress
    from engine.workspace import Workspace

Mark = tuple[int, str, int]


@dataclass(eq=False, kw_only=True)
class _Slot:
    """A report and the state of the workspace that it tells; tabs that ask at once wait for one building."""

    report: Report | None = None
    mark: Mark | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


def built_report(run_id: str, beside: Sequence[str]) -> Report:
    """Return the report with every section that has data, showing how far its building is where it takes a while.

    Raises EngineError as `build_report` does.
    """
    workspace = services().workspace
    slot = _slot(workspace.id, run_id, tuple(beside))
    mark = _mark(workspace)
    with slot.lock:
        if slot.report is None or slot.mark != mark:
            bar = st.progress(0.0, text="Building the report")
            try:
                slot.report = build_report(
                    workspace,
                    run_id,
                    compared_with=beside,
                    progress=_shown_in(bar),
                )
                slot.mark = mark
            finally:
                bar.empty()
        return slot.report


def forget_report(run_id: str, beside: Sequence[str]) -> None:
    """Have the report built anew when it is asked for next: observations of a rollout leave no mark."""
    slot = _slot(services().workspace.id, run_id, tuple(beside))
    with slot.lock:
        slot.mark = None


def _shown_in(bar: DeltaGenerator) -> Progress:
    def progress(share: float, message: str) -> None:
        bar.progress(share, text=plain(message))

    return progress


def _mark(workspace: Workspace) -> Mark:
    """Return what changes with every change and every run."""
    newest = workspace.runs(limit=1)
    return workspace.audit_head(), newest[0].id if newest else "", len(workspace.datasets())


@st.cache_resource(max_entries=6, show_spinner=False)
def _slot(workspace_id: str, run_id: str, beside: tuple[str, ...]) -> _Slot:  # noqa: ARG001  # what the cache looks up
    return _Slot()
