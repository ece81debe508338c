"""The pages beside the sweep in a browser: they paint, they fit, they answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.charts import DARK
from engine.embeddings import EmbeddingSet
from engine.embeddings.encoder import encode
from engine.embeddings.samples import load_sample
from engine.tradeoff import save_sweep, sweep
from engine.tradeoff.panels import PANELS as ALL_PANELS
from engine.tradeoff.panels import explore
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from engine.tradeoff import SweepResult
    from tests.browser.conftest import Server, Tab

pytestmark = pytest.mark.browser

NARROW = (390, 844)
PANELS: dict[str, dict[str, tuple[str, ...]]] = {
    "/serving": {
        "Latency": ("latency_chart", "recall_latency_chart", "throughput_chart"),
        "Bytes": ("storage_chart",),
        "Shortlist and rerank": ("funnel_chart",),
        "Cost": ("cost_chart",),
    },
    "/nesting": {
        "Does it nest?": ("nesting_chart",),
        "Will it hold as the corpus grows?": ("forecast_chart",),
        "Score scale": ("score_chart",),
    },
    "/queries": {
        "Search": (),
        "Who loses?": ("change_chart",),
        "Groups": ("segments_chart",),
    },
}


USUAL = {"/nesting"}
"""The other pages are looked at with the slow tests: measuring and drawing them all takes half a minute."""
MEASURED = ("nesting", "clusters", "score-scale", "forecast")
"""The panels of the usual tests; the pages of the other ones measure when they are asked to."""


@pytest.fixture(scope="module")
def swept(start_server: Callable[[], Server]) -> tuple[Server, SweepResult, str]:
    """Return an app whose workspace holds a sweep of the bundled set, on a few of its queries."""
    started = start_server()
    result = sweep(load_sample("api-reference"), (32, 64, 256), (1, 10), n_queries=100)
    with Workspace.open(started.workspace) as workspace:
        return started, result, save_sweep(workspace, result).id


@pytest.fixture(scope="module")
def explored(swept: tuple[Server, SweepResult, str]) -> Server:
    """Return that app with the panels of the usual tests measured."""
    started, result, run_id = swept
    with Workspace.open(started.workspace) as workspace:
        explore(workspace, load_sample("api-reference"), result, run_id=run_id, keys=MEASURED)
    return started


@pytest.fixture(scope="module")
def all_explored(explored: Server, swept: tuple[Server, SweepResult, str]) -> Server:
    """Return that app with every panel measured."""
    started, result, run_id = swept
    others = {one.key for one in ALL_PANELS} - set(MEASURED)
    with Workspace.open(started.workspace) as workspace:
        explore(workspace, load_sample("api-reference"), result, run_id=run_id, keys=others)
    return explored


def painted(tab: Tab, key: str) -> Any:
    """Wait until a chart has drawn its marks, and return it."""
    chart = tab.key(key)
    chart.locator(".scatterlayer path, .barlayer path").first.wait_for(state="attached")
    return chart


def assert_it_fits(tab: Tab, name: str) -> None:
    """Nothing is wider than the screen, and nothing stands in a frame, as raw HTML or as an exception."""
    main = "document.querySelector('[data-testid=stMain]')"
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= NARROW[0], name
    assert tab.page.evaluate(f"{main}.scrollWidth") <= tab.page.evaluate(f"{main}.clientWidth"), name
    strange = tab.page.locator("iframe, [data-testid=stHtml] :not(style), [data-testid=stException]")
    assert strange.count() == 0, name


def rankings(tab: Tab) -> list[str]:
    """Return the two rankings side by side as text."""
    tab.settled()
    return [tab.page.locator(".st-key-search_results [data-testid=stColumn]").nth(i).inner_text() for i in (0, 1)]


@pytest.mark.parametrize("path", [one if one in USUAL else pytest.param(one, marks=pytest.mark.slow) for one in PANELS])
def test_every_panel_paints_and_fits_a_narrow_screen(
    new_tab: Callable[..., Tab], request: pytest.FixtureRequest, path: str
) -> None:
    """Each panel draws its charts with a text alternative; at 390 px nothing is wider than the screen."""
    server = request.getfixturevalue("explored" if path in USUAL else "all_explored")
    tab = new_tab(server, width=NARROW[0], height=NARROW[1]).open(path)
    for name, keys in PANELS[path].items():
        tab.page.get_by_role("tab", name=name).click()
        tab.page.get_by_role("tab", name=name, selected=True).wait_for()
        tab.settled()
        for key in keys:
            chart = painted(tab, key)
            assert chart.bounding_box()["width"] <= NARROW[0], name
            assert chart.locator("[aria-label], img").count() >= 1, name
        assert_it_fits(tab, name)


@pytest.mark.slow
def test_charts_are_dark_on_a_dark_page(new_tab: Callable[..., Tab], all_explored: Server) -> None:
    """A chart has the background of the palette that the system prefers."""
    tab = new_tab(all_explored, scheme="dark").open("/serving?serving=Bytes")
    chart = painted(tab, "storage_chart")
    colour = DARK.background
    expected = f"rgb({int(colour[1:3], 16)}, {int(colour[3:5], 16)}, {int(colour[5:7], 16)})"
    assert chart.locator(".main-svg").first.evaluate("one => getComputedStyle(one).backgroundColor") == expected


def test_typed_text_is_searched_and_moves_with_the_dimension(new_tab: Callable[..., Tab], explored: Server) -> None:
    """Typing a query gives its results at two dimensions; sliding the dimension moves one side only."""
    tab = new_tab(explored).open("/queries")
    box = tab.key("q").locator("input")
    box.fill("solve a linear system of equations")
    box.press("Enter")
    tab.key("search_results").get_by_text("linalg.solve").first.wait_for()
    first = rankings(tab)
    assert "score 0." in first[0]
    tab.key("dim").get_by_role("slider").press("ArrowLeft")
    tab.key("search_results").get_by_role("heading", name="32 dimensions").wait_for()
    second = rankings(tab)
    assert second[0] != first[0]
    assert "1 · numpy.linalg.solve" in first[1]
    assert "1 · numpy.linalg.solve" in second[1]


def test_a_point_of_the_curve_leads_to_its_queries(new_tab: Callable[..., Tab], explored: Server) -> None:
    """A click on the curve opens Who loses at that dimension, in the view that the Sweep page showed."""
    tab = new_tab(explored).open("/sweep").curve()
    tab.key("k").get_by_text("1", exact=True).click()
    tab.settled().curve()
    tab.page.wait_for_timeout(500)  # the chart slides into its size
    point = tab.key("target_chart").locator(".scatterlayer .points path").nth(1)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    tab.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    tab.page.wait_for_url("**/queries?**")
    painted(tab, "change_chart")
    assert "dim=32" in tab.page.url
    assert "k=1" in tab.page.url
    tab.says("Change of recall@1 from 256 to 32 dims")


def test_a_chosen_query_shows_what_it_lost(new_tab: Callable[..., Tab], explored: Server) -> None:
    """Selecting a row of the worst queries shows that query's lost and gained documents with their texts."""
    tab = new_tab(explored).open("/queries?queries=Who+loses%3F&dim=32")
    painted(tab, "change_chart")
    title = tab.page.locator("[data-testid=stMarkdown] strong").filter(has_text=":").first
    first = title.inner_text()
    table = tab.page.locator("[data-testid=stDataFrame]").first
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    tab.page.mouse.click(box["x"] + 18, box["y"] + 36 * 3.5)
    tab.page.wait_for_function(
        "first => ![...document.querySelectorAll('[data-testid=stMarkdown] strong')].some(s => s.innerText === first)",
        arg=first,
    )
    tab.settled().says("Lost:")
    assert title.inner_text() != first


@pytest.mark.slow
def test_the_address_reopens_the_view(new_tab: Callable[..., Tab], explored: Server) -> None:
    """Tab, dim, k, criterion and cut-off in an address are what another browser shows."""
    tab = new_tab(explored, apart=True).open("/queries?queries=Who+loses%3F&dim=32&k=1&criterion=nDCG")
    painted(tab, "change_chart")
    tab.says("Change of nDCG@1 from 256 to 32 dims")
    tab.open("/nesting?nesting=Score+scale&cutoff=0.6").says("cut-off 0.6")


@pytest.mark.slow
def test_markup_in_documents_stays_text(new_tab: Callable[..., Tab], start_server: Callable[[], Server]) -> None:
    """Ids and texts with HTML, Markdown, directives and links appear letter for letter and do nothing."""
    evil = "<img src=x onerror=document.title='pwned'> **b** :red[r] $x^2$ ](http://a.b) `c` www.example.org"
    texts = [f"{evil} {number}" for number in range(60)]
    vectors = encode(texts)
    found = EmbeddingSet(name="evil", corpus=vectors, corpus_texts=texts, corpus_ids=[f"<b>{t}" for t in texts])
    found = replace(found, queries=vectors[:40], query_texts=texts[:40], query_segments=[evil] * 40)
    server = start_server()
    with Workspace.open(server.workspace) as workspace:
        workspace.save_dataset(found)
        save_sweep(workspace, sweep(found, (64, 256), (10,)))
    tab = new_tab(server).open("/queries?q=www")
    results = tab.key("search_results")
    results.get_by_text("score").first.wait_for()
    assert evil in results.inner_text().replace("\u2060", "")
    assert results.locator("img, a[href^=http], code, .katex").count() == 0
    assert tab.page.title() == "Queries · Dimshift"
    painted(tab.open("/queries?queries=Groups"), "segments_chart")
    assert tab.page.locator("img[src=x]").count() == 0
