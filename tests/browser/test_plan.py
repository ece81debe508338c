"""The Plan page in a real browser: two people, one plan, and a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.present.plan import PlanStore
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import Server, Tab

pytestmark = pytest.mark.browser


def fill(tab: Tab, label: str, text: str) -> None:
    tab.page.get_by_label(label, exact=True).fill(text)


def test_the_second_to_save_is_told_and_the_timeline_fits_a_phone(new_tab: Callable[..., Tab], server: Server) -> None:
    """The second of two savings is refused by name; the newest is loaded, edited, and drawn within 390 px."""
    first = new_tab(server).open("/plan").says("nobody has saved it yet")
    phone = new_tab(server, width=390, height=844).open("/plan?plan_tab=Inputs").says("Documents")
    first.page.get_by_role("button", name="Save this plan").click()
    first.says("Version 1, saved")
    phone.page.get_by_role("button", name="Save the inputs").click()
    phone.says("Somebody else changed plan plan in between")
    phone.page.get_by_role("button", name="Load the newest").click()
    phone.says("Version 1, saved")
    fill(phone, "Dims from", "3072")
    fill(phone, "Dims to", "768")
    phone.page.get_by_role("button", name="Save the inputs").click()
    phone.says("Version 2, saved").says("Measure first")
    bars = phone.page.locator(".st-key-plan_timeline .barlayer .point path")
    bars.nth(17).wait_for(state="attached")
    assert bars.count() == 18
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
    with Workspace.open(server.workspace) as workspace:
        PlanStore(workspace).remove(expected_version=2, actor="test")
