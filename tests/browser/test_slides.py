"""The Present page in a browser: keys turn the slides, nothing that a data set says is run, and it fits its screen."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from engine.present.slides import slides_of
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from engine.present.slides import Slide
    from tests.browser.conftest import Server, Tab

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def hostile_server(
    told_workspace: Path,
    tmp_path_factory: pytest.TempPathFactory,
    app_below: Callable[[Path], AbstractContextManager[Server]],
) -> Iterator[Server]:
    """Run the app on a workspace that holds everything, of a data set whose texts would like to be scripts."""
    folder = tmp_path_factory.mktemp("slides")
    shutil.copytree(told_workspace, folder / "workspace")
    with app_below(folder) as server:
        yield server


@pytest.fixture(scope="module")
def slides(hostile_server: Server) -> tuple[Slide, ...]:
    """Return the slides that the engine tells of it."""
    with Workspace.open(hostile_server.workspace) as workspace:
        return slides_of(workspace, workspace.runs(kind="sweep")[0].id)


def press(tab: Tab, key: str, one: Slide) -> None:
    """Press a key and wait for the slide that it leads to."""
    tab.page.keyboard.press(key)
    tab.page.locator(".st-key-slide_stage h1").get_by_text(one.headline, exact=True).wait_for()
    tab.settled()


def test_keys_turn_the_slides(new_tab: Callable[..., Tab], hostile_server: Server, slides: tuple[Slide, ...]) -> None:
    """Arrows, a clicker's keys, Home and End lead through the slides; figures are drawn, texts are not run."""
    tab = new_tab(hostile_server).open("/present")
    tab.page.locator(".st-key-slide_stage h1").wait_for()
    assert not tab.page.locator("[data-testid=stSidebarNav]").is_visible()
    press(tab, "ArrowRight", slides[1])
    tab.page.wait_for_selector(".st-key-slide_kept .scatterlayer path", state="attached")
    press(tab, "PageDown", slides[2])
    press(tab, "PageUp", slides[1])
    press(tab, "ArrowLeft", slides[0])
    press(tab, "End", slides[-1])
    assert tab.page.url.endswith("slide=basis")
    tab.says(f"{len(slides)} / {len(slides)}")
    assert "<script>" in tab.key("slide_stage").locator("dl").inner_text()
    assert tab.page.evaluate("() => window.hacked") is None
    press(tab, "Home", slides[0])


def test_it_fits_a_phone(new_tab: Callable[..., Tab], hostile_server: Server) -> None:
    """At 390 px the letters and the figure of a slide are as wide as the screen at most."""
    tab = new_tab(hostile_server, width=390, height=844).open("/present?slide=kept")
    tab.page.wait_for_selector(".st-key-slide_kept .scatterlayer path", state="attached")
    main = "document.querySelector('[data-testid=stMain]')"
    assert tab.page.evaluate(f"{main}.scrollWidth <= {main}.clientWidth")
    # Asked for as it stands in one moment: a run that comes to its end meanwhile draws the figure anew.
    width = "document.querySelector('.st-key-slide_kept')?.getBoundingClientRect().width"
    assert tab.page.wait_for_function(f"() => {width}").json_value() <= 390
