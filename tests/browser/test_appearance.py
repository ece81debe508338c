"""How the app looks: light and dark, wide and narrow, and what it never does."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.charts import PALETTES, Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import Server, Tab

pytestmark = pytest.mark.browser

WIDE, NARROW = (1280, 800), (390, 844)


def rgb(colour: str) -> str:
    return f"rgb({int(colour[1:3], 16)}, {int(colour[3:5], 16)}, {int(colour[5:7], 16)})"


def style(tab: Tab, selector: str, name: str) -> Any:
    script = "([selector, name]) => getComputedStyle(document.querySelector(selector))[name]"
    return tab.page.evaluate(script, [selector, name])


@pytest.mark.parametrize("mode", PALETTES)
def test_page_and_chart_wear_the_palette(new_tab: Callable[..., Tab], server: Server, mode: Mode) -> None:
    """Page and chart have the palette's background and text colours in the mode that the system prefers."""
    colours = PALETTES[mode]
    tab = new_tab(server, scheme=mode).open("/sweep").curve()
    assert style(tab, "[data-testid=stApp]", "backgroundColor") == rgb(colours.background)
    assert style(tab, ".st-key-target_chart .main-svg", "backgroundColor") == rgb(colours.background)
    assert style(tab, "h1", "color") == rgb(colours.text)
    assert style(tab, ".st-key-target_chart .js-line", "stroke") == rgb(colours.accent) or (
        tab.key("target_chart").locator(f".js-line[style*='{rgb(colours.accent)}']").count() == 1
    )


def test_charts_follow_a_change_of_theme(tab: Tab) -> None:
    """When light turns to dark under an open page, the chart is drawn anew in dark colours by itself."""
    tab.open("/sweep").curve()
    tab.page.emulate_media(color_scheme="dark")
    background = "getComputedStyle(document.querySelector('.st-key-target_chart .main-svg')).backgroundColor"
    tab.page.wait_for_function(f"colour => {background} == colour", arg=rgb(PALETTES["dark"].background))


@pytest.mark.parametrize("path", ["/", "/sweep", "/datasets"])
def test_narrow_screens_do_not_scroll_sideways(new_tab: Callable[..., Tab], server: Server, path: str) -> None:
    """At 390 px nothing is wider than the screen, and the chart fits into it."""
    tab = new_tab(server, width=NARROW[0], height=NARROW[1]).open(path)
    if path == "/sweep":
        assert tab.curve().key("target_chart").bounding_box()["width"] <= NARROW[0]
    main = "document.querySelector('[data-testid=stMain]')"
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= NARROW[0]
    assert tab.page.evaluate(f"{main}.scrollWidth") <= tab.page.evaluate(f"{main}.clientWidth")


def test_chart_tells_itself_in_words(tab: Tab) -> None:
    """The chart has a text alternative with its numbers for people who do not see it."""
    tab.open("/sweep").curve()
    described = tab.page.locator(".st-key-target_chart [role=figure][aria-label*='against dimensions']")
    assert described.count() >= 1


def test_hovering_a_point_shows_its_numbers(tab: Tab) -> None:
    """A hovered marker names dimension, value, interval and bytes."""
    tab.open("/sweep").curve()
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
        "**bold** $x^2$ :smile: :material!home: [l](b).npy",
        ":red[red] `code` ~~gone~~ www.example.org a@example.org.npy",
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


def test_no_page_uses_raw_html(tab: Tab) -> None:
    """Nothing on these pages was put there as raw HTML or in a frame, but for a rule of style."""
    for path in ("/", "/sweep", "/datasets"):
        tab.open(path)
        assert tab.page.locator("iframe, [data-testid=stHtml] :not(style)").count() == 0
