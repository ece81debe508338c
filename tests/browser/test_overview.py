"""The Overview, the page that the app opens on, in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import Server, Tab

pytestmark = pytest.mark.browser


def test_the_landing_page_leads_on(new_tab: Callable[..., Tab], server: Server) -> None:
    """The root shows where the migration stands; its next action opens the very run, and its own name answers too."""
    tab = new_tab(server).open("/")
    tab.page.locator("h1").first.wait_for()
    assert tab.page.title() == "Overview · Dimshift"
    for step in ("data", "sweep", "decision", "ab", "rollout", "move", "done"):
        assert tab.key(f"step_{step}").count() == 1
    assert tab.key("figure_recall").get_by_text("95 % interval").count() == 1
    tab.key("next_action").locator("button").click()
    tab.page.wait_for_url("**/sweep?*run=*")
    tab.curve()
    tab.open("/overview").says("The path")
    assert tab.page.get_by_text("Page not found").count() == 0
