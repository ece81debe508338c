"""The Compare page in a real browser."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from engine.embeddings.samples import synthetic
from engine.tradeoff import save_sweep, sweep
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import Server, Tab

pytestmark = pytest.mark.browser

NAMES = ("Old model", "New model")


@pytest.fixture
def runs(server: Server) -> list[str]:
    """Return the ids of two small sweeps, which are older than every other and so nobody's newest."""
    made = []
    for seed, name in enumerate(NAMES):
        with Workspace.open(server.workspace, clock=lambda: datetime(2020, 1, 1, tzinfo=UTC)) as workspace:
            small = replace(synthetic(300, 16, n_queries=40, seed=seed), name=name)
            made.append(save_sweep(workspace, sweep(small, (4, 8, 16), (1, 10))).id)
    return made


def shows_both(tab: Tab) -> None:
    """Wait until the legend of the chart and the cells of the tables have both names, the first run's first."""
    for name in NAMES:
        tab.page.locator("td, [role=gridcell]").get_by_text(name, exact=True).first.wait_for(state="attached")
    legend = tab.key("comparison_chart").locator(".legendtext")
    legend.nth(1).wait_for()
    assert legend.all_text_contents() == list(NAMES)


def test_two_runs_are_chosen_and_the_address_opens_them_again(
    new_tab: Callable[..., Tab], server: Server, runs: list[str]
) -> None:
    """A second run is chosen from the list; chart and table show both; the address opens the same in another tab."""
    tab = new_tab(server).open(f"/compare?runs={runs[0]}").says("Choose two runs or more.")
    tab.key("_chosen_runs").locator("input").fill(NAMES[1])
    tab.page.get_by_role("option", name=NAMES[1]).click()
    shows_both(tab)
    assert parse_qs(urlsplit(tab.page.url).query)["runs"] == [",".join(runs)]
    shows_both(new_tab(server).open(tab.page.url.removeprefix(server.url)))
