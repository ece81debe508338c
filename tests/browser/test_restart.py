"""A server that is killed in the middle of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
import pytest

from engine.embeddings.samples import load_sample, synthetic
from engine.tradeoff import save_sweep, sweep
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.browser.conftest import Server, Tab

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LONG_MS = 60_000


def _kill(server: Server) -> None:
    port = server.url.rpartition(":")[2]
    for child in psutil.Process().children():
        if port in child.cmdline():
            child.kill()
            child.wait(10)
            return
    pytest.fail("the server was not found")


@pytest.mark.timeout(300)
def test_a_server_killed_during_a_sweep_offers_it_again(
    tmp_path: Path, app_below: Callable[..., AbstractContextManager[Server]], new_tab: Callable[..., Tab]
) -> None:
    """After the restart the page names the sweep that was interrupted; one click runs it to its curve."""
    with Workspace.open(tmp_path / "workspace") as workspace:
        save_sweep(workspace, sweep(load_sample("digits-pixels"), (16, 64), (10,), n_queries=50))
        workspace.save_dataset(synthetic(40_000, 128, n_queries=4_000, seed=1))
    with app_below(tmp_path) as server:
        tab = new_tab(server).open("/sweep").curve()
        tab.page.get_by_text("New sweep").click()
        tab.key("sweep_source").locator("input").click()
        tab.page.get_by_role("option").filter(has_text="stored").click()
        tab.settled()
        tab.key("run_sweep").locator("button").click()
        tab.page.get_by_role("button", name="Cancel").wait_for(timeout=LONG_MS)
        _kill(server)
        tab.page.close()
        tab.complaints.clear()  # of the connection that broke
    with app_below(tmp_path) as server:
        tab = new_tab(server).open("/sweep").curve()
        tab.says("was interrupted")
        tab.page.get_by_role("button", name="Start again").click()
        tab.page.get_by_text("Synthetic 40,000 × 128 · ").first.wait_for(timeout=LONG_MS)
        tab.curve()
        assert tab.page.get_by_text("was interrupted").count() == 0
    with Workspace.open(tmp_path / "workspace") as workspace:
        assert len(workspace.runs(kind="sweep")) == 2
