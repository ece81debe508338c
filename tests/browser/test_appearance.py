"""How the app looks: light and dark, wide and narrow, and what it never does."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.charts import PALETTES, Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import Server, Tab

pytestmark = pytest.mark.browser

NARROW = (390, 844)


def rgb(colour: str) -> str:
    return f"rgb({int(colour[1:3], 16)}, {int(colour[3:5], 16)}, {int(colour[5:7], 16)})"


def wears(tab: Tab, mode: Mode) -> None:
    """Wait until page and chart have the palette's background, text and accent colours."""
    colours = PALETTES[mode]
    for selector, name, colour in (
        ("[data-testid=stApp]", "backgroundColor", colours.background),
        (".st-key-target_chart .main-svg", "backgroundColor", colours.background),
        ("h1", "color", colours.text),
        (".st-key-target_chart .js-line", "stroke", colours.accent),
    ):
        script = """([selector, name, colour]) => [...document.querySelectorAll(selector)]
            .some(one => getComputedStyle(one)[name] === colour)"""
        tab.page.wait_for_function(script, arg=[selector, name, rgb(colour)])


def test_page_and_chart_wear_the_palette_and_follow_its_change(new_tab: Callable[..., Tab], server: Server) -> None:
    """Both have the colours that the system prefers; when dark turns to light under them, they change by themselves."""
    tab = new_tab(server, scheme="dark").open("/sweep").curve()
    wears(tab, "dark")
    tab.page.emulate_media(color_scheme="light")
    wears(tab, "light")


@pytest.mark.parametrize(
    "path", ["/datasets", pytest.param("/", marks=pytest.mark.slow), pytest.param("/sweep", marks=pytest.mark.slow)]
)
def test_narrow_screens_do_not_scroll_sideways(new_tab: Callable[..., Tab], server: Server, path: str) -> None:
    """At 390 px nothing is wider than the screen, the chart fits, and but for a rule of style nothing is raw HTML."""
    tab = new_tab(server, width=NARROW[0], height=NARROW[1]).open(path)
    if path == "/sweep":
        assert tab.curve().key("target_chart").bounding_box()["width"] <= NARROW[0]
    main = "document.querySelector('[data-testid=stMain]')"
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= NARROW[0]
    assert tab.page.evaluate(f"{main}.scrollWidth") <= tab.page.evaluate(f"{main}.clientWidth")
    assert tab.page.locator("iframe, [data-testid=stHtml] :not(style)").count() == 0


def test_a_chart_tells_its_numbers_to_those_who_see_it_and_to_those_who_do_not(tab: Tab) -> None:
    """The chart has a text alternative; a hovered marker names dimension, value, interval and bytes."""
    tab.open("/sweep").curve()
    described = tab.page.locator(".st-key-target_chart [role=figure][aria-label*='against dimensions']")
    assert described.count() >= 1
    point = tab.key("target_chart").locator(".scatterlayer .points path").last
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    tab.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    words = tab.key("target_chart").locator(".hovertext")
    words.wait_for()
    assert "dimensions" in words.text_content()
    assert "95 % interval" in words.text_content()
    assert "bytes a vector" in words.text_content()


@pytest.mark.parametrize(
    "name",
    [
        "<img src=x onerror=document.title='pwned'>.npy",
        pytest.param("**bold** $x^2$ :smile: :material!home: [l](b).npy", marks=pytest.mark.slow),
        pytest.param(":red[red] `code` ~~gone~~ www.example.org a@example.org.npy", marks=pytest.mark.slow),
    ],
)
def test_markup_in_a_file_name_stays_text(tab: Tab, name: str) -> None:
    """A file name with HTML, Markdown, LaTeX, shortcodes or links appears letter for letter and does nothing."""
    buffer = io.BytesIO()
    np.save(buffer, np.random.default_rng(0).standard_normal((100, 8)).astype(np.float32))
    tab.upload(name, buffer.getvalue())
    tab.page.get_by_text("Sweep this set").wait_for()
    shown = tab.page.locator("h2").first
    assert shown.inner_text().replace("\u2060", "") == name.removesuffix(".npy")
    assert shown.locator("img, strong, em, code, a[href^=http], a[href^=mailto], del, .katex").count() == 0
    assert tab.page.title() == "Datasets · Dimshift"
