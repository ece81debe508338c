"""Every page for people who do not see it, do not use a mouse, or hold it in one hand."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from pages.shell.frame import PAGES
from tests.browser.accessibility import EXEMPT, EXEMPT_IN_DARK, clipped, drawn, findings, untold_charts, walked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.browser.conftest import Server, Tab

pytestmark = pytest.mark.browser

URLS = [spec.url for spec in PAGES if not spec.needs_login]
NARROW = {"width": 390, "height": 844}
USUAL = {"overview", "rollout", "flags"}
"""The other pages are looked at with the soak tests: together they take more than a minute."""
WALKED = {"flags"}
"""What is walked through with the keyboard in the usual run; the other pages are in the slow one."""


SPOIL = """() => {
    document.querySelector('.st-key-target_chart [role=figure]').removeAttribute('aria-label');
    document.querySelector('.st-key-kill_switch button').tabIndex = -1;
    const button = [...document.querySelectorAll('button')].find(one => one.innerText.includes('New sweep'));
    button.style.cssText = 'all: unset; position: relative; left: 2000px; outline: none !important';
}"""


@pytest.fixture(scope="module")
def shown(
    demonstration_workspace: Path, app_below: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Run the app on a copy of the demonstration, so that every page has something to show."""
    folder = tmp_path_factory.mktemp("accessibility")
    # Without the stores that it moved vectors between: the pages show what is kept about them.
    without = shutil.ignore_patterns("try-it-here")
    shutil.copytree(demonstration_workspace, folder / "workspace", ignore=without)
    with app_below(folder) as server:
        yield server


@pytest.mark.parametrize("url", [url if url in USUAL else pytest.param(url, marks=pytest.mark.slow) for url in URLS])
def test_nobody_is_kept_out(new_tab: Callable[..., Tab], shown: Server, url: str) -> None:
    """A page has no serious finding of axe-core and skips no level of heading, tells its charts, and fits in 390 px."""
    tab = drawn(new_tab(shown).open(f"/{url}"))
    assert findings(tab) == []
    assert untold_charts(tab) == []
    tab.page.set_viewport_size(NARROW)
    drawn(tab).page.wait_for_timeout(200)  # charts follow the width a moment later
    assert clipped(tab) == []


@pytest.mark.parametrize("url", [url if url in WALKED else pytest.param(url, marks=pytest.mark.slow) for url in URLS])
def test_keyboard_and_dark_colours(new_tab: Callable[..., Tab], shown: Server, url: str) -> None:
    """Tab alone reaches every control of a page and shows where it is, and its words are legible on a dark one."""
    tab = drawn(new_tab(shown, scheme="dark").open(f"/{url}"))
    assert findings(tab, rules=("color-contrast",), exempt=EXEMPT_IN_DARK) == []
    walk = walked(tab, within="[data-testid=stMain], [data-testid=stSidebar]")
    assert walk.missed == ()
    assert walk.unmarked == ()


def test_a_dialog_keeps_the_keyboard_until_it_closes(new_tab: Callable[..., Tab], shown: Server) -> None:
    """The kill switch is in sight on a low window; Enter opens its dialog, Tab stays inside, Escape closes it."""
    tab = drawn(new_tab(shown, height=850).open("/flags"))
    button = tab.key("kill_switch").locator("button").first
    box = button.bounding_box()
    assert box["y"] + box["height"] <= 850
    button.focus()
    tab.page.keyboard.press("Enter")
    dialog = tab.page.get_by_role("dialog")
    dialog.get_by_text("Why?").wait_for()
    tab.settled()
    assert findings(tab) == []
    for _ in range(12):
        tab.page.keyboard.press("Tab")
        assert dialog.evaluate("dialog => dialog.contains(document.activeElement)")
    tab.page.keyboard.press("Escape")
    dialog.wait_for(state="detached")


@pytest.mark.slow
def test_every_exemption_is_still_needed(new_tab: Callable[..., Tab], shown: Server) -> None:
    """What is exempt is found when it is not: Streamlit has not mended it yet."""
    tab = drawn(new_tab(shown, scheme="dark").open("/sweep"))
    for one in (*EXEMPT, *EXEMPT_IN_DARK):
        found = findings(tab, rules=(one.rule,), exempt=tuple(o for o in (*EXEMPT, *EXEMPT_IN_DARK) if o != one))
        assert found, one


@pytest.mark.slow
def test_the_checks_find_what_they_look_for(new_tab: Callable[..., Tab], shown: Server) -> None:
    """A chart without words, a control off the screen, one that Tab skips and one without a focus ring are found."""
    tab = drawn(new_tab(shown).open("/sweep"))
    tab.curve().page.evaluate(SPOIL)
    assert len(untold_charts(tab)) == 1
    assert len(clipped(tab)) >= 1
    walk = walked(tab, within="[data-testid=stMain], [data-testid=stSidebar]")
    assert [one for one in walk.missed if "Kill switch" in one]
    assert [one for one in walk.unmarked if "New sweep" in one]
