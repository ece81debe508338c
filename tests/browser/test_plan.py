"""The Plan page in a real browser: two people, one plan, and a phone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.present.plan import PlanInputs, PlanStore, make_plan
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import Server, Tab

pytestmark = pytest.mark.browser


def fill(tab: Tab, label: str, text: str) -> None:
    tab.page.get_by_label(label, exact=True).fill(text)


@pytest.mark.slow
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


def test_a_length_written_into_the_table_of_steps_is_kept(new_tab: Callable[..., Tab], server: Server) -> None:
    """The number typed into a cell is that step's length in the saved plan, and no other step's has moved."""
    with Workspace.open(server.workspace) as workspace:
        store = PlanStore(workspace)
        first = store.save(make_plan(PlanInputs()), run_id=None, expected_version=0, actor="test")
        tab = new_tab(server).open("/plan").says(f"Version {first.version:,}, saved")
        table = tab.page.locator("[data-testid=stDataFrame] .dvn-scroller").first
        table.click(position={"x": 40, "y": 52})  # the name of the first step
        for key in ("ArrowRight", "ArrowRight", "9"):
            tab.page.keyboard.press(key)
        tab.page.locator("#portal input").wait_for()
        tab.page.keyboard.press("Enter")
        tab.page.wait_for_timeout(300)  # the table tells its form a moment later
        tab.page.get_by_role("button", name="Save the steps").click()
        tab.says(f"Version {first.version + 1:,}, saved")
        kept = store.load()
        assert kept is not None
        edited = first.plan.steps[0].key
        assert kept.plan.inputs == replace(first.plan.inputs, lengths={**first.plan.inputs.lengths, edited: 9.0})
        assert kept.plan.step(edited).days == 9.0 != first.plan.steps[0].days
        store.remove(expected_version=kept.version, actor="test")
