"""A new A/B test: simulate one or analyze a log; it runs in the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.shell import jobs, state
from pages.shell.ab import form as ab_form
from pages.shell.ab import log_form as ab_log_form
from pages.shell.ab import testing as ab_testing
from pages.shell.services import services

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pages.shell.ab.testing import ExperimentRequest

_SIMULATE, _LOG = "Simulate", "Analyze a log"
_ICONS: Mapping[str, str] = {_SIMULATE: ":material/casino:", _LOG: ":material/description:"}


def new_test() -> None:
    """Offer both ways to a read-out, folded away until somebody wants one."""
    state.settle(state.NEW_TEST_KEY)
    with st.expander("New test", icon=":material/add:", key=state.NEW_TEST_KEY, on_change="rerun") as opened:
        if not opened.open:
            return
        kind = st.segmented_control(
            "Kind",
            list(_ICONS),
            format_func=lambda kind: f"{_ICONS[kind]} {kind}",
            default=_SIMULATE,
            required=True,
            key="ab_kind",
            label_visibility="collapsed",
            on_change=state.set_notice,
            args=("experiment", None),
        )
        asked = ab_form.simulation() if kind == _SIMULATE else ab_log_form.log()
    if asked is not None:
        _start(asked, folds=kind == _SIMULATE)


def _start(asked: ExperimentRequest, *, folds: bool) -> None:
    """Run the test; the form of a log stays open until it has been read, since a folded one forgets the file."""
    work = ab_testing.experiment_work(asked, services().workspace, state.event_slot())
    jobs.start_test(asked.label, work)
    if folds:
        state.set_next(state.NEW_TEST_KEY, False)
    st.rerun()
