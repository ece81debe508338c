"""The Ship section in a real browser: the kill switch across sessions, and a rehearsal from plan to alert."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.flags import FILE_NAME, Flag, FlagStore
from engine.rollout import RolloutControl
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import Server, Tab

pytestmark = pytest.mark.browser

KILL = "Switch every flag to safe"
NARROW = (390, 844)


@pytest.fixture(scope="module")
def ship(start_server: Callable[[], Server]) -> Server:
    """Return an app of its own: a kill would show in the tests of others."""
    return start_server()


def press(tab: Tab, key: str) -> Tab:
    tab.key(key).locator("button").first.click()
    return tab.settled()


def fill(tab: Tab, key: str, text: str) -> None:
    tab.key(key).locator("input").fill(text)


def painted(tab: Tab, key: str) -> None:
    tab.page.wait_for_selector(f".st-key-{key} .scatterlayer .points path", state="attached")


def served(server: Server, flag: str) -> Any:
    document = json.loads((server.workspace / FILE_NAME).read_text())
    return document["flags"][flag]


def begin_rollout(server: Server, key: str) -> None:
    """Start a rollout on simulated time on a flag of its own, both called `key`: whatever other tests left behind."""
    with Workspace.open(server.workspace) as workspace:
        flags = FlagStore(workspace)
        variants = {"on": True, "off": False}
        flag = Flag(key=key, kind="boolean", variants=variants, default_variant="off", safe_variant="off")
        flags.set(flag, expected_version=0, actor="anna")
        control = RolloutControl(workspace, flags)
        control.create(key, flag_key=key, actor="anna", is_simulated=True)
        control.start(key, actor="anna")


def test_a_kill_takes_the_typed_word_and_shows_in_another_session(new_tab: Callable[..., Tab], ship: Server) -> None:
    """One person types the word on a page of data; another one's open tab says so by itself, and may restore."""
    with Workspace.open(ship.workspace) as workspace:
        flags = FlagStore(workspace)
        flag = flags.flag("use_reduced_dims")
        flags.set(flag.with_percent(25), expected_version=flag.version, actor="anna")
    other = new_tab(ship).open("/flags").says("Feature flags")
    first = new_tab(ship).open("/datasets")
    press(first, "kill_switch")
    fill(first, "kill_reason", "p99 <b>doubled</b> since 03:05")
    first.page.get_by_role("button", name=KILL).click()
    first.says('takes the typed word "kill"; found nothing')
    assert served(ship, "use_reduced_dims")["targeting"]
    fill(first, "kill_typed", "kill")
    first.page.get_by_role("button", name=KILL).click()
    for tab in (first, other):
        tab.page.locator(".st-key-kill_banner").get_by_text("p99 <b>doubled</b> since").wait_for()
    assert other.page.locator(".st-key-kill_banner b").count() == 0
    assert "targeting" not in served(ship, "use_reduced_dims")
    assert served(ship, "use_reduced_dims")["defaultVariant"] == "off"
    fill(other, "restore_reason", "index rebuilt")
    fill(other, "restore_typed", "restore")
    other.page.get_by_role("button", name="Restore").click()
    for tab in (other, first):
        tab.page.locator(".st-key-kill_banner").wait_for(state="detached")
    assert served(ship, "use_reduced_dims")["targeting"]["fractional"][1] == ["on", 25000]


def test_a_dialog_stands_while_others_change_things(new_tab: Callable[..., Tab], ship: Server) -> None:
    """What is half typed into the kill switch's dialog stays when somebody else changes a flag; Escape closes it."""
    tab = new_tab(ship).open("/flags")
    press(tab, "kill_here")
    fill(tab, "kill_reason", "half typed")
    with Workspace.open(ship.workspace) as workspace:
        flags = FlagStore(workspace)
        flag = flags.flag("enable_new_index")
        flags.set(flag.with_percent(3), expected_version=flag.version, actor="bob")
    tab.page.wait_for_timeout(3500)  # longer than the page waits before it looks for changes
    assert tab.key("kill_reason").locator("input").input_value() == "half typed"
    tab.page.keyboard.press("Escape")
    tab.key("kill_reason").wait_for(state="detached")
    tab.page.wait_for_function(
        "document.querySelector('[data-testid=stDataFrame]').textContent.includes('3 % on, 97 % off')"
    )


def test_a_rehearsal_from_plan_to_alert(new_tab: Callable[..., Tab], ship: Server) -> None:
    """Plan with its promise, start, step a day, break latency: paused, the alert drawn, the plan exported."""
    tab = new_tab(ship).open("/rollout").says("Pre-flight")
    painted(tab, "chances_chart")
    fill(tab, "setup_reason", "a rehearsal")
    press(tab, "start").says("Running at 5 %")
    painted(tab, "timeline")
    assert "rollout=rehearsal-1" in tab.page.url
    press(tab, "step_day").says("no alert stands")
    tab.page.get_by_role("tab", name="Data").click()
    fill(tab.settled(), "fault_typed", "latency:1.7@day1")
    press(tab, "fault_add").says("latency × 1.7")
    press(tab, "step_day").says("Paused at 5 %")
    tab.page.get_by_role("tab", name="Metrics").click()
    painted(tab.settled(), "p99_chart")
    assert tab.key("p99_chart").locator(".legendtext").filter(has_text="critical").count() == 1
    described = tab.page.locator(".st-key-p99_chart [role=figure][aria-label*='Beyond a threshold: ']")
    assert "critical" in described.first.get_attribute("aria-label")
    tab.page.get_by_role("tab", name="Exports").click()
    tab.settled().page.get_by_text("Argo Rollouts", exact=True).click()
    with tab.page.expect_download() as download:
        tab.page.get_by_role("button", name="Download argo-rollout.yaml").click()
    assert "96h" in Path(download.value.path()).read_text()


@pytest.mark.slow
def test_rolling_back_takes_the_typed_words(new_tab: Callable[..., Tab], ship: Server) -> None:
    """Any other words leave the rollout as it is; the words give everybody the safe variant."""
    begin_rollout(ship, "to-end")
    tab = new_tab(ship).open("/rollout?rollout=to-end").says("Running at 5 %")
    press(tab, "roll_back")
    fill(tab, "roll_back_reason", "errors")
    fill(tab, "roll_back_typed", "yes")
    tab.page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    tab.says('typed words "roll back"; found yes')
    fill(tab, "roll_back_typed", "roll back")
    tab.page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    tab.says("Rolled back: everybody sees off")
    assert served(ship, "to-end")["targeting"]["fractional"][1] == ["on", 0]


@pytest.mark.slow
def test_narrow_screens_do_not_scroll_sideways(new_tab: Callable[..., Tab], ship: Server) -> None:
    """At 390 px nothing on either page is wider than the screen."""
    begin_rollout(ship, "narrow")
    tab = new_tab(ship, width=NARROW[0], height=NARROW[1])
    for path, chart in (("/rollout?rollout=narrow", "timeline"), ("/flags", None)):
        tab.open(path)
        if chart is not None:
            painted(tab, chart)
        main = "document.querySelector('[data-testid=stMain]')"
        assert tab.page.evaluate(f"{main}.scrollWidth") <= tab.page.evaluate(f"{main}.clientWidth"), path
