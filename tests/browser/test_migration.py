"""The page Migration in a browser: one click moves the bundled set out of a real PostgreSQL; everything paints."""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.browser.conftest import Server, Tab

pytestmark = pytest.mark.browser

NARROW = (390, 844)
STEPS = ("Stores", "Plan", "Run", "Validation", "Dual search", "Cut over")
LONGEST_MS = 100_000
GONE_WITHIN_S = 10.0


@contextmanager
def app_with_postgres(app_below: Callable[[Path], AbstractContextManager[Server]]) -> Iterator[Server]:
    """Run an app on its own, in which a block tries the demonstration; its PostgreSQL must end with it."""
    # Not below pytest's own folder: as root PostgreSQL runs as another user, whom pytest would lock out of there.
    with TemporaryDirectory(prefix="dimshift-pg-") as folder:
        with app_below(Path(folder)) as server:
            yield server
            pid = int((server.workspace / "try-it-here" / "postgres" / "postmaster.pid").read_text().split()[0])
            os.kill(pid, 0)  # it runs
        deadline = time.monotonic() + GONE_WITHIN_S
        with suppress(ProcessLookupError):
            while os.kill(pid, 0) is None:
                assert time.monotonic() < deadline, "PostgreSQL runs on without the app"
                time.sleep(0.05)


def step(tab: Tab, name: str) -> Tab:
    """Bring a step to the front."""
    tab.page.get_by_role("tab", name=name).click()
    tab.page.get_by_role("tab", name=name, selected=True).wait_for()
    return tab.settled()


def painted(tab: Tab, key: str) -> Any:
    """Wait until a chart has drawn its marks, and return it."""
    chart = tab.key(key)
    chart.locator(".scatterlayer path, .barlayer path").first.wait_for(state="attached")
    return chart


def moves_and_searches(tab: Tab) -> None:
    tab.key("try_now").get_by_role("button").click()
    tab.key("catch_up").wait_for(timeout=LONGEST_MS)
    assert re.search(r"\bmigration=[0-9a-f]{16}\b", tab.page.url)
    step(tab, "Validation").key("verdict").get_by_text("Equal", exact=True).wait_for()
    assert tab.key("checks").get_by_text("5,559 payloads compared: 0 differ").count() == 1
    painted(tab, "search_check_chart")
    results = step(tab, "Dual search").key("dual_results")
    for title in ("Old, 256 dims", "New, 128 dims", "Fused, weight 0.5"):
        results.get_by_text(title).wait_for()
    assert results.get_by_text("this user gets").count() == 1
    tab.key("dual_source").get_by_text("Typed text").click()
    results.get_by_text("sort").first.wait_for()
    tab.key("dual_ask").get_by_text("Ask 100 queries").first.click()
    painted(tab, "overlap_chart")
    painted(tab, "dual_latency_chart")


def assert_every_step_fits(tab: Tab) -> None:
    main = "document.querySelector('[data-testid=stMain]')"
    for name in STEPS:
        step(tab, name)
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= NARROW[0], name
        assert tab.page.evaluate(f"{main}.scrollWidth") <= tab.page.evaluate(f"{main}.clientWidth"), name
        assert tab.page.locator("iframe, [data-testid=stException]").count() == 0, name


@pytest.mark.slow
def test_one_click_moves_the_bundled_set(
    new_tab: Callable[..., Tab], app_below: Callable[[Path], AbstractContextManager[Server]]
) -> None:
    """One click moves the set out of PostgreSQL; it is equal, both stores are searched, and every step fits 390 px."""
    with app_with_postgres(app_below) as server:
        tab = new_tab(server, height=1400).open("/migration")
        moves_and_searches(tab)
        tab.page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
        assert_every_step_fits(tab)
        tab.page.close()  # before its server is gone
