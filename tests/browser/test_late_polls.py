"""A poll that was sent from a page which the running script is about to leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.browser.conftest import Server, Tab

pytestmark = pytest.mark.browser

_APP = """
import streamlit as st

def leaving():
    if st.button("Leave"):
        st.switch_page(opened)

def arrived():
    st.markdown("Arrived")
    beating()

@st.fragment(run_every=0.3)
def beating():
    st.session_state.n_beats = st.session_state.get("n_beats", 0) + 1
    st.markdown("Beating on" if st.session_state.n_beats > 4 else "Beating")

@st.fragment(run_every=0.2)
def watching():
    pass

left, opened = st.Page(leaving, default=True), st.Page(arrived)
chosen = st.navigation([left, opened])
with st.sidebar:
    watching()
chosen.run()
"""
# What a fragment asks for arrives late, as on a busy machine.
_ASKED_LATE = """
from streamlit.runtime.app_session import AppSession
from streamlit.web.cli import main

from pages.shell.late_polls import mend_late_polls

ask = AppSession.request_rerun

def ask_late(session, client_state):
    late = bool(client_state and client_state.fragment_id)
    session._event_loop.call_later(0.5 if late else 0, ask, session, client_state)

AppSession.request_rerun = ask_late
mend_late_polls()
main()
"""

# A poll takes its time from its first steps to saying its page, and the script to come to the choice of its page.
_BEGUN_LATE = """
import sys
import time
from streamlit.commands import navigation
from streamlit.runtime.scriptrunner import ScriptRunner
from streamlit.web.cli import main

from pages.shell.late_polls import mend_late_polls

install, choose = ScriptRunner._install_event_loop, navigation._navigation

def install_late(runner):
    install(runner)
    asked = sys._getframe(1).f_locals.get("rerun_data")
    time.sleep(0.5 if asked is not None and asked.fragment_id_queue else 0)

def choose_late(*arguments, **options):
    time.sleep(0.6)
    return choose(*arguments, **options)

ScriptRunner._install_event_loop, navigation._navigation = install_late, choose_late
mend_late_polls()
main()
"""


@pytest.mark.parametrize(
    ("start", "role", "name"),
    [(_ASKED_LATE, "button", "Leave"), (_BEGUN_LATE, "link", "arrived")],
    ids=["asked", "begun"],
)
def test_a_poll_of_the_page_before_does_not_take_the_reader_back(
    script_app: Callable[..., AbstractContextManager[Server]],
    new_tab: Callable[..., Tab],
    start: str,
    role: Any,
    name: str,
) -> None:
    """The page that a run leads to stays and polls on, though a poll of the page before is asked or begun late."""
    with script_app(_APP, start=start) as server:
        tab = new_tab(server).open()
        tab.page.get_by_role(role, name=name).click()
        tab.says("Beating on").says("Arrived")
        tab.page.close()
