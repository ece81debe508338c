"""The page Migration in a browser: one click moves the bundled set out of a real PostgreSQL; everything paints."""

from __future__ import annotations

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from engine.charts import DARK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from playwright.sync_api import Browser

    from tests.browser.conftest import Server, Tab

pytestmark = pytest.mark.browser

NARROW = (390, 844)
STEPS = ("Stores", "Plan", "Run", "Validation", "Dual search", "Cut over")
LONGEST_MS = 100_000


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def migrated(app_below: Callable[[Path], AbstractContextManager[Server]], browser: Browser) -> Iterator[Server]:
    """Return an app in which one click has moved the bundled set; PostgreSQL must end with the app."""
    # Not below pytest's own folder: as root PostgreSQL runs as another user, whom pytest would lock out of there.
    with TemporaryDirectory(prefix="dimshift-pg-") as folder:
        with app_below(Path(folder)) as server:
            page = browser.new_page()
            page.set_default_timeout(LONGEST_MS)
            page.goto(f"{server.url}/migration")
            page.locator(".st-key-try_now button").click()
            page.locator(".st-key-catch_up").wait_for()
            assert re.search(r"\bmigration=[0-9a-f]{16}\b", page.url)
            page.close()
            postgres = server.workspace / "try-it-here" / "postgres" / "postmaster.pid"
            pid = int(postgres.read_text().split()[0])
            assert is_alive(pid)
            yield server
        assert not is_alive(pid)


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


def test_one_click_moves_the_bundled_set(new_tab: Callable[..., Tab], migrated: Server) -> None:
    """Another visitor finds the set moved and equal, searches both stores beside each other, and asks many queries."""
    tab = new_tab(migrated, height=1400).open("/migration?step=Validation")
    tab.key("verdict").get_by_text("Equal", exact=True).wait_for()
    assert tab.key("checks").get_by_text("5,559 payloads compared: 0 differ").count() == 1
    painted(tab, "search_check_chart")
    step(tab, "Dual search")
    results = tab.key("dual_results")
    for title in ("Old, 256 dims", "New, 128 dims", "Fused, weight 0.5"):
        results.get_by_text(title).wait_for()
    assert results.get_by_text("this user gets").count() == 1
    tab.key("dual_source").get_by_text("Typed text").click()
    results.get_by_text("sort").first.wait_for()
    tab.key("dual_ask").get_by_text("Ask 100 queries").click()
    painted(tab, "overlap_chart")
    painted(tab, "dual_latency_chart")


def test_every_step_fits_a_narrow_dark_screen(new_tab: Callable[..., Tab], migrated: Server) -> None:
    """At 390 px no step is wider than the screen, charts are dark, and nothing failed."""
    tab = new_tab(migrated, width=NARROW[0], height=NARROW[1], scheme="dark").open("/migration")
    main = "document.querySelector('[data-testid=stMain]')"
    for name in STEPS:
        step(tab, name)
        if name == "Validation":
            chart = painted(tab, "search_check_chart")
            expected = "rgb({}, {}, {})".format(*bytes.fromhex(DARK.background[1:]))
            colour = chart.locator(".main-svg").first.evaluate("one => getComputedStyle(one).backgroundColor")
            assert colour == expected
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= NARROW[0], name
        assert tab.page.evaluate(f"{main}.scrollWidth") <= tab.page.evaluate(f"{main}.clientWidth"), name
        assert tab.page.locator("iframe, [data-testid=stException]").count() == 0, name
