"""A popover that a click on another page folds, and that tells the script so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.browser.conftest import Server, Tab

pytestmark = pytest.mark.browser

_APP = """
import streamlit as st

def asking():
    with st.popover("Ask", key="ask", on_change="rerun") as asked:
        st.text_input("What")
    st.markdown("It is open" if asked.open else "It is folded")

def arrived():
    beating()

def sent_on():
    st.switch_page(first)

@st.fragment(run_every=0.3)
def beating():
    st.session_state.n_beats = st.session_state.get("n_beats", 0) + 1
    st.markdown(f"Beat {st.session_state.n_beats}")

first, second = st.Page(asking, default=True), st.Page(arrived)
st.navigation([first, second, st.Page(sent_on)]).run()
"""
_START = """
from streamlit.web.cli import main

from pages.shell.late_polls import mend_late_polls
from pages.shell.late_widgets import mend_late_widgets

mend_late_polls()
mend_late_widgets()
main()
"""


def test_a_click_that_folds_a_popover_leads_where_it_says(
    script_app: Callable[..., AbstractContextManager[Server]], new_tab: Callable[..., Tab]
) -> None:
    """Another page stays open though the popover of the page before is folded by the click; so with Back.

    A page that the script itself leads to is the reader's page too: its widgets are answered there.
    """
    with script_app(_APP, start=_START) as server:
        tab = new_tab(server).open()
        open_popover(tab)
        go(tab, "arrived")
        says_beats(tab, above=0)
        go(tab, "sent on")
        tab.says("It is folded")
        open_popover(tab)
        go(tab, "arrived")
        says_beats(tab, above=2)
        go(tab, "asking")
        open_popover(tab)
        tab.page.go_back()
        says_beats(tab, above=4)
        tab.page.close()


def open_popover(tab: Tab) -> None:
    """Open it and wait until the script has answered."""
    tab.page.get_by_role("button", name="Ask").click()
    tab.says("It is open")


def go(tab: Tab, name: str) -> None:
    """Click on the page in the sidebar."""
    tab.page.get_by_role("link", name=name).click()


def says_beats(tab: Tab, *, above: int) -> None:
    """Wait until the page of the beats has polled on, which it only does while it stands."""
    beat = tab.page.get_by_text(re.compile(r"Beat \d+")).first
    beat.wait_for()
    first = int(beat.inner_text().split()[1])
    assert first > above
    tab.page.wait_for_function("first => +document.body.innerText.match(/Beat (\\d+)/)?.[1] > first + 1", arg=first)
    assert tab.page.url.endswith("/arrived")
