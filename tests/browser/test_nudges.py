"""What must be seen at once does not wait for the next poll of a tab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.browser.conftest import Server, Tab

pytestmark = pytest.mark.browser

_NUDGES = """
import streamlit as st
from pathlib import Path
from pages.shell.nudges import Nudges

@st.cache_resource
def nudges():
    return Nudges()
"""
_WAITING = """
@st.fragment(run_every=600)
def waiting():
    if Path("{signal}").exists():
        st.markdown("It has come")
        return
    st.markdown("Waiting")
    nudges().listen(False, Path("{signal}").exists, poll_s=600)

waiting()
"""
_LEFT = """
@st.fragment(run_every=600)
def waiting():
    nudges().listen(False, Path("{signal}").exists, poll_s=600)
    st.markdown("Waiting")

@st.fragment(run_every=0.3)
def beating():
    st.session_state.n_beats = st.session_state.get("n_beats", 0) + 1
    st.markdown("Beating on" if Path("{signal}").exists() and st.session_state.n_beats > 8 else "Beating")

def left():
    for line in range(6):
        st.markdown(line)
    waiting()

def opened():
    beating()
    st.stop()

st.navigation([st.Page(left, default=True), st.Page(opened)]).run()
"""
_START = """
from streamlit.web.cli import main

from pages.shell.nudges import tell_page_runs_apart

tell_page_runs_apart()
main()
"""


def test_a_tab_that_polls_every_ten_minutes_sees_a_change_at_once(
    tmp_path: Path, script_app: Callable[..., AbstractContextManager[Server]], new_tab: Callable[..., Tab]
) -> None:
    """Two tabs that listen poll when what they listen for has come, long before the interval is over."""
    signal = tmp_path / "signal"
    with script_app(_NUDGES + _WAITING.format(signal=signal), start=_START) as server:
        tabs = [new_tab(server).open().says("Waiting") for _ in range(2)]
        signal.touch()
        for tab in tabs:
            tab.says("It has come")
            tab.page.close()


def test_what_a_page_listened_to_is_over_when_it_is_left(
    tmp_path: Path, script_app: Callable[..., AbstractContextManager[Server]], new_tab: Callable[..., Tab]
) -> None:
    """A page that ends early stands, though what the page before it was waiting for comes now."""
    signal = tmp_path / "signal"
    with script_app(_NUDGES + _LEFT.format(signal=signal), start=_START) as server:
        tab = new_tab(server).open().says("Waiting")
        tab.page.get_by_role("link", name="opened").click()
        tab.says("Beating")
        signal.touch()
        tab.says("Beating on")
        tab.page.close()
