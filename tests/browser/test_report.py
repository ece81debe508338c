"""The report in a browser: opened from disk without a network it draws everything, asks for nothing, runs nothing."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest

from engine.charts import DARK, LIGHT
from engine.present.report.building import build_report
from engine.present.report.files import write_report
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

MARKS = ".scatterlayer path, .barlayer path, .shapelayer path"
N_CHARTS_AT_LEAST = 25


class Opened:
    """A report that is open in a browser without a network, with what it asked for and complained about."""

    def __init__(self, page: Page, file: Path) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda said: self.complaints.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        page.context.set_offline(True)
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-drawn]", state="attached")

    def background(self, selector: str) -> str:
        """Return the background colour of the first such element."""
        colour: str = self.page.locator(selector).first.evaluate("one => getComputedStyle(one).backgroundColor")
        return colour


@pytest.fixture(scope="module")
def report_file(told_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of a workspace that holds everything, of a data set whose texts would like to be scripts."""
    file = tmp_path_factory.mktemp("report") / "report.html"
    with Workspace.open(told_workspace) as workspace:
        write_report(build_report(workspace, workspace.runs(kind="sweep")[0].id), file)
    return file


@pytest.fixture(scope="module")
def opened(browser: Browser, report_file: Path) -> Iterator[Opened]:
    """Return the report, open at 390 px on a light screen; every test leaves it as it found it."""
    with browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="light") as context:
        yield Opened(context.new_page(), report_file)


def rgb(colour: str) -> str:
    """Write ``#rrggbb`` as a browser does."""
    return f"rgb({int(colour[1:3], 16)}, {int(colour[3:5], 16)}, {int(colour[5:7], 16)})"


def test_it_asks_for_nothing_and_complains_of_nothing(opened: Opened, report_file: Path) -> None:
    """From disk with the network off the one request is the file itself, and the console stays empty."""
    assert opened.requests == [report_file.as_uri()]
    assert opened.complaints == []


def test_every_chart_is_drawn(opened: Opened) -> None:
    """Each place for a chart holds one with marks in it, and an accessible name."""
    drawn: list[dict[str, Any]] = opened.page.locator("[data-chart]").evaluate_all(
        "(all, marks) => all.map((one) => ({ id: one.dataset.chart, n: one.querySelectorAll(marks).length,"
        " name: one.getAttribute('aria-label').length, broken: /NaN/.test(one.innerHTML) }))",
        MARKS,
    )
    assert len(drawn) >= N_CHARTS_AT_LEAST
    assert [one["id"] for one in drawn if not one["n"] or one["broken"] or not one["name"]] == []


def test_no_text_of_the_data_set_is_run(opened: Opened) -> None:
    """The hostile texts are there to be read, none of them did anything, and nothing can be run that is added later."""
    assert opened.page.locator("td").filter(has_text="<script>window.hacked=1</script>").count() > 0
    assert opened.page.locator("td").filter(has_text="onerror=window.hacked=1").count() > 0
    assert opened.page.locator("a:not([href^='#']), img, iframe, object, embed").count() == 0
    ran = "() => [window.hacked, document.querySelectorAll('[onerror], [onload], script[src]').length]"
    assert opened.page.evaluate(ran) == [None, 0]
    said = len(opened.complaints)
    added = "() => { const one = document.createElement('script'); one.textContent = 'window.hacked = 1'; "
    opened.page.evaluate(f"{added} document.body.append(one); one.remove(); }}")
    assert opened.page.evaluate(ran) == [None, 0]
    del opened.complaints[said:]  # the browser says that it refused this one


def test_it_fits_a_narrow_screen(opened: Opened) -> None:
    """At 390 px nothing is wider than the screen; wide tables scroll by themselves."""
    assert opened.page.evaluate("() => document.documentElement.scrollWidth") <= 390
    widest = "all => Math.max(...all.map((one) => one.getBoundingClientRect().width))"
    assert opened.page.locator(".plot .main-svg").evaluate_all(widest) <= 390


@pytest.mark.slow
def test_it_follows_the_readers_colours_and_prints_on_white(opened: Opened) -> None:
    """Page and charts turn dark with the system; on paper they are light, within the sheet, and long tables open."""
    chart = "[data-chart='chart-curves-0'] .main-svg"
    folded = opened.page.locator("details.rows:not([open])")
    n_folded = folded.count()
    assert n_folded > 0
    assert (opened.background("body"), opened.background(chart)) == (rgb(LIGHT.background), rgb(LIGHT.background))
    opened.page.emulate_media(color_scheme="dark")
    opened.page.wait_for_selector("[data-chart='chart-curves-0'][data-shown='dark null']")
    assert (opened.background("body"), opened.background(chart)) == (rgb(DARK.background), rgb(DARK.background))
    opened.page.emulate_media(color_scheme="dark", media="print")
    opened.page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    opened.page.wait_for_selector("[data-chart='chart-curves-0'][data-shown='light 680']")
    assert (opened.background("body"), opened.background(chart)) == (rgb(LIGHT.background), rgb(LIGHT.background))
    assert opened.page.locator("nav").is_hidden()
    assert folded.count() == 0
    opened.page.emulate_media(color_scheme="light", media="screen")
    opened.page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    opened.page.wait_for_selector("[data-chart='chart-curves-0'][data-shown='light null']")
    assert folded.count() == n_folded
    assert opened.complaints == []


def test_the_page_shows_and_gives_the_file(tab: Any) -> None:
    """What is ticked off goes from the preview and the file, and the list stays open; the files are what they say."""
    tab.open("/report").key("report_sections").locator("summary").click()
    tab.key("report_in_method").locator("label").click()
    tab.key("report_show_method").wait_for(state="detached")
    assert tab.settled().key("report_in_verdict").is_visible()
    files = []
    for name in ("html", "markdown", "tables"):
        with tab.page.expect_download() as given:
            tab.key(f"report_{name}").locator("button").first.click()
        files.append(given.value.path().read_bytes())
    assert files[0].startswith(b"<!DOCTYPE html>")
    assert b'data-chart="chart-curves-0"' in files[0]
    assert b'<section id="method">' not in files[0]
    assert files[1].startswith(b"# How few dimensions can ")
    with ZipFile(BytesIO(files[2])) as archive:
        assert {"dimensions.csv", "dimensions.parquet"} <= set(archive.namelist())
