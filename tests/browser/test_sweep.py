"""The Sweep page in a browser."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.embeddings.samples import synthetic
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import Server, Tab

pytestmark = pytest.mark.browser

LONG_MS = 30_000


def npy(n: int, d: int) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, synthetic(n, d, n_queries=1, seed=1).corpus)
    return buffer.getvalue()


def generate(tab: Tab, n: int, d: int, n_queries: int) -> None:
    """Open a synthetic set of this size."""
    tab.open("/datasets")
    tab.key("source").get_by_text("Synthetic").click()
    for name, value in {"synthetic_n": n, "synthetic_d": d, "synthetic_queries": n_queries}.items():
        field = tab.key(name).locator("input")
        field.fill(str(value))
        field.press("Enter")
        tab.settled()
    tab.key("generate").locator("button").click()
    tab.page.get_by_text("Sweep this set").wait_for(timeout=LONG_MS)


def start_sweep(tab: Tab) -> None:
    """Send the open set to the Sweep page and run the sweep as the form proposes it."""
    tab.page.get_by_text("Sweep this set").click()
    tab.key("run_sweep").locator("button").click()


def turn_to(tab: Tab, page: str) -> None:
    """Click on a page in the sidebar."""
    tab.page.locator(f"[data-testid=stSidebarNav] a[href$='/{page}']").click()


def stored_names(server: Server) -> list[str]:
    with Workspace.open(server.workspace) as workspace:
        return [str(run.dataset["name"]) for run in workspace.runs(kind="sweep")]


def test_first_visit_of_a_new_installation(new_tab: Callable[..., Tab], start_server: Callable[[], Server]) -> None:
    """The first visitor of a new process finds any page by its address, and a finished curve without a click."""
    server = start_server()
    tab = new_tab(server).open("/datasets")
    tab.page.get_by_role("heading", name="Datasets").wait_for()
    assert tab.page.get_by_text("Page not found").count() == 0
    tab.open("/sweep").curve()
    assert tab.key("target_chart").locator(".scatterlayer .points path").count() >= 7
    assert "run=" in tab.page.url
    assert tab.page.locator("h1").inner_text().endswith("256 dimensions")
    assert stored_names(server) == ["API reference"]


@pytest.mark.slow
def test_a_set_that_comes_before_the_first_curve_waits_for_it(
    new_tab: Callable[..., Tab], start_server: Callable[[], Server]
) -> None:
    """A first visitor's own set stands in the form below that curve; a click on another page folds it for good."""
    tab = new_tab(start_server()).upload("mine.npy", npy(400, 16))
    tab.page.get_by_text("Sweep this set").click()
    tab.curve()
    tab.page.get_by_text("400 documents").wait_for()
    for page, widget in {"queries": "dim", "sweep": "target"}.items():
        turn_to(tab, page)
        tab.key(widget).first.wait_for()
        tab.settled()
    tab.curve()
    assert tab.key("run_sweep").count() == 0


@pytest.mark.slow
def test_the_address_reopens_the_view(new_tab: Callable[..., Tab], server: Server) -> None:
    """Criterion, k and target go into the address; another browser that opens it sees the same."""
    tab = new_tab(server).open("/sweep").curve()
    tab.key("criterion").get_by_text("nDCG").click()
    tab.settled()
    tab.key("k").get_by_text("100", exact=True).click()
    tab.settled()
    thumb = tab.key("target").get_by_role("slider")
    thumb.press("ArrowLeft")
    thumb.press("ArrowLeft")
    tab.says("nDCG@100 kept")
    tab.page.wait_for_url("**target=0.94*")
    tab.settled()
    for part in ("run=", "criterion=nDCG", "k=100", "target=0.94"):
        assert part in tab.page.url
    other = new_tab(server, apart=True)
    other.page.goto(tab.page.url)
    other.curve()
    assert other.key("target").get_by_role("slider").input_value() == "0.94"
    title, reason = (other.page.locator(place).first.inner_text() for place in ("h1", ".st-key-reason"))
    assert title == tab.page.locator("h1").first.inner_text()
    assert reason == tab.page.locator(".st-key-reason").first.inner_text()
    assert "nDCG@100" in reason


def test_an_uploaded_set_is_swept_end_to_end(tab: Tab, server: Server) -> None:
    """Upload an npy file, see its health, sweep it, and read its curve; the run is stored."""
    tab.upload("mine.npy", npy(2000, 64)).says("held-out queries")
    start_sweep(tab)
    tab.says("mine · ").curve()
    assert tab.key("target_chart").locator(".scatterlayer .points path").count() >= 5
    assert "mine" in stored_names(server)


def test_a_running_sweep_is_private_and_can_be_cancelled(new_tab: Callable[..., Tab], server: Server) -> None:
    """Another browser sees neither the set nor the job; Cancel stops it, says so, and stores nothing."""
    mine, other = new_tab(server), new_tab(server, apart=True).open("/datasets")
    generate(mine, 20_000, 256, 10_000)
    start_sweep(mine)
    mine.page.get_by_role("button", name="Cancel").wait_for()
    turn_to(other, "sweep")
    other.page.wait_for_url("**/sweep?**")
    other.curve()
    assert other.page.get_by_role("button", name="Cancel").count() == 0
    mine.page.get_by_role("button", name="Cancel").click()
    mine.says("was cancelled; nothing was kept").curve()
    assert "Synthetic 20,000 × 256" not in stored_names(server)
    other.page.get_by_text("New sweep").click()
    other.key("sweep_source").locator("input").click()
    other.page.get_by_role("option").first.wait_for()
    offered = other.page.get_by_role("option").all_inner_texts()
    assert offered
    assert not any("Synthetic" in option or "open in this tab" in option for option in offered)


def test_a_closed_tab_does_not_lose_its_run(new_tab: Callable[..., Tab], server: Server) -> None:
    """A sweep whose tab is closed goes on, and its run is in the list of another browser."""
    tab = new_tab(server)
    generate(tab, 10_000, 128, 500)
    start_sweep(tab)
    tab.page.get_by_text("Sweep of Synthetic 10,000").first.wait_for(timeout=LONG_MS)
    tab.page.close()
    deadline = time.monotonic() + 60
    while "Synthetic 10,000 × 128" not in stored_names(server) and time.monotonic() < deadline:
        time.sleep(0.1)
    other = new_tab(server, apart=True).open("/sweep").curve()
    other.says("Synthetic 10,000 × 128")
    other.says("synthetic")


@pytest.mark.slow
def test_an_unknown_run_is_offered_the_newest(tab: Tab) -> None:
    """An address with a run that is not there gives a sentence and a button that leads to a curve."""
    tab.open("/sweep?run=20200101-000000-00000000").says("No such run")
    tab.page.get_by_text("Open the newest run").click()
    tab.curve()
    tab.page.wait_for_url(lambda url: "run=" in url and "20200101" not in url)


def test_downloads_hold_the_table_and_the_contract(tab: Tab, tmp_path: Path) -> None:
    """CSV has a row a dimension; JSON has the fields that scripts rely on."""
    tab.open("/sweep").curve()
    got = {}
    for name in ("CSV", "JSON"):
        with tab.page.expect_download() as waiting:
            tab.page.get_by_role("button", name=name, exact=True).click()
        got[name] = Path(waiting.value.path()).read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(got["CSV"])))
    told = json.loads(got["JSON"])
    assert [int(row["dim"]) for row in rows] == [point["dim"] for point in told["points"]]
    assert {"run_id", "dataset", "metric", "seed", "points", "recommendation", "environment"} <= set(told)
    assert told["run_id"] in tab.page.url
