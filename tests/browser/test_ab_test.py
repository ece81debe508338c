"""The A/B test page in a browser."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from engine.charts import DARK
from engine.experiment.analysis import analyze
from engine.experiment.faults import Fault
from engine.experiment.presets import preset
from engine.experiment.storage import Origin, load_analysis, save_analysis
from engine.experiment.traffic import simulate
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.workspace import Run
    from tests.browser.conftest import Server, Tab

pytestmark = pytest.mark.browser

NARROW = (390, 844)
TABS = {
    "Read-out": ("change_chart",),
    "By day": ("cumulative_chart", "peeking_chart", "daily_chart", "traffic_chart"),
    "Latency": ("latency_chart", "latency_change_chart"),
    "Power": ("power_chart",),
    "Assignment": (),
}


def store(server: Server, *faults: Fault) -> Run:
    """Simulate, analyse and store a small experiment."""
    traffic = replace(
        preset("768 of 3072").settings, n_users=4000, queries_per_day=4000, n_days=4, faults=faults, key="small"
    )
    with Workspace.open(server.workspace) as workspace:
        return save_analysis(workspace, analyze(simulate(traffic), seed=traffic.seed), Origin(traffic=traffic))


@pytest.fixture(scope="module")
def tested(start_server: Callable[[], Server]) -> Server:
    """Return an app whose workspace holds a test already."""
    started = start_server()
    store(started)
    return started


def painted(tab: Tab, key: str) -> None:
    """Wait until a chart has drawn its marks."""
    tab.key(key).locator(".scatterlayer path, .barlayer path").first.wait_for(state="attached")


@pytest.mark.slow
def test_every_tab_paints_and_fits_a_narrow_dark_screen(new_tab: Callable[..., Tab], tested: Server) -> None:
    """Each tab draws its charts in dark colours with a text alternative; at 390 px nothing is wider than the screen."""
    tab = new_tab(tested, width=NARROW[0], height=NARROW[1], scheme="dark").open("/ab-test")
    painted(tab, "change_chart")
    drawn = tab.key("change_chart").locator(".main-svg").first.evaluate("one => getComputedStyle(one).backgroundColor")
    assert drawn == f"rgb({', '.join(str(int(DARK.background[i : i + 2], 16)) for i in (1, 3, 5))})"
    main = "document.querySelector('[data-testid=stMain]')"
    for name, keys in TABS.items():
        tab.page.get_by_role("tab", name=name).click()
        tab.settled()
        for key in keys:
            painted(tab, key)
            chart = tab.key(key)
            assert chart.bounding_box()["width"] <= NARROW[0], key
            assert chart.locator("[aria-label], img").count() >= 1, key
        assert tab.page.evaluate(f"{main}.scrollWidth") <= tab.page.evaluate(f"{main}.clientWidth"), name
        assert tab.page.locator("iframe, [data-testid=stHtml] :not(style), [data-testid=stException]").count() == 0, (
            name
        )


@pytest.mark.slow
def test_the_address_reopens_a_failed_check(new_tab: Callable[..., Tab], tested: Server) -> None:
    """Another browser that opens the address sees the failed check, and nowhere a metric."""
    run = store(tested, Fault(kind="lost users", amount=0.5))
    tab = new_tab(tested, apart=True).open(f"/ab-test?run={run.id}")
    tab.page.get_by_role("heading", name="No read-out: the experiment is broken").wait_for()
    tab.says("The split is broken")
    assert tab.key("change_chart").count() == 0
    assert tab.page.get_by_text("It fell by").count() == 0
    assert run.id in tab.page.url


def test_downloads_hold_the_events_and_the_read_out(new_tab: Callable[..., Tab], tested: Server) -> None:
    """CSV and Parquet have a row for every query counted, JSON the verdict of the run in the address."""
    run = store(tested)
    with Workspace.open(tested.workspace) as workspace:
        found = load_analysis(workspace, run.id)
    tab = new_tab(tested).open(f"/ab-test?run={run.id}")
    got = {}
    for name in ("ab_csv", "ab_parquet", "ab_json"):
        with tab.page.expect_download() as waiting:
            tab.key(name).locator("button").click()
        got[name] = Path(waiting.value.path()).read_bytes()
    rows = list(csv.DictReader(io.StringIO(got["ab_csv"].decode())))
    assert len(rows) == found.n_queries
    assert sum(row["clicked"] == "true" for row in rows) == sum(arm.n_clicks or 0 for arm in found.arms)
    assert pq.read_table(io.BytesIO(got["ab_parquet"])).num_rows == found.n_queries
    told = json.loads(got["ab_json"])
    assert (told["run_id"], told["verdict"]) == (run.id, found.verdict)


@pytest.mark.slow
def test_a_log_is_analysed_and_its_events_stay_private(new_tab: Callable[..., Tab], tested: Server) -> None:
    """Upload a log whose name is markup, say its unit, read its verdict; another browser has no events of it."""
    rows = (f"u{i % 500},2026-01-0{5 + i // 500}T08:00Z,{'ab'[i % 2]},{int(i % 7 == 0)},{i % 90}" for i in range(2000))
    lines = ["uid,ts,variant,click,took", *rows]
    name = "<img src=x onerror=document.title='pwned'>**log**.csv"
    tab = new_tab(tested).open("/ab-test")
    tab.key("new_test").locator("summary").click()
    tab.key("ab_kind").get_by_text("Analyze a log").click()
    files = [{"name": name, "mimeType": "text/csv", "buffer": "\n".join(lines).encode()}]
    tab.key("ab_log_file").locator("input[type=file]").set_input_files(files)
    tab.page.get_by_text("milliseconds").click()
    before = tab.settled().page.url
    tab.key("run_log").locator("button").click()
    tab.page.wait_for_url(lambda url: url != before)
    tab.settled().page.get_by_role("heading", name="Undecided").wait_for()
    painted(tab, "change_chart")
    assert tab.page.title() == "A/B test · Dimshift"
    assert tab.page.locator("img[src=x]").count() == 0
    assert tab.key("ab_csv").count() == 1
    other = new_tab(tested, apart=True)
    other.page.goto(tab.page.url)
    other.page.get_by_role("heading", name="Undecided").wait_for()
    other.settled()
    assert other.key("ab_csv").count() == 0
    assert other.key("ab_json").count() == 1
