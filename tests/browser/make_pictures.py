"""Take the README's pictures from the running app: ``python -m tests.browser.make_pictures`` beside ``app.py``.

The bundled set is swept, read by how much nDCG it keeps, and measured beyond recall; a test is simulated, a rollout
ramped on simulated time, and the set moved between two databases; all of it is photographed.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from engine.charts import PALETTES
from engine.flags import FlagStore
from engine.rollout import RolloutControl, SimulatedRollouts
from engine.workspace import Workspace
from tests.browser.conftest import ARGUMENTS, ROOT, Tab, running_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from engine.charts import Mode
    from tests.browser.conftest import Server

SWEEP = "/?criterion=nDCG&target=0.9"
EXPLORED = {"serving": "/serving?serving=Bytes", "nesting": "/nesting", "queries": "/queries?dim=64"}
MEASURED_WITHIN_MS = 300_000


def main() -> None:
    """Write ``pages/assets/sweep-light.png``, ``sweep-dark.png`` and a light picture of every other page."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("no chromium on the PATH: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, running_app(Path(folder)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        for mode in PALETTES:
            tab = open_tab(browser, server, mode, height=980).open(SWEEP).curve()
            take(tab, f"sweep-{mode}")
        tab = open_tab(browser, server, "light", height=1120).open("/nesting")
        tab.page.get_by_text("Gains at equal size").wait_for(timeout=MEASURED_WITHIN_MS)
        tab.page.locator("[data-testid=stProgress]").wait_for(state="detached", timeout=MEASURED_WITHIN_MS)
        for name, path in EXPLORED.items():
            tab.open(path).settled()
            take(tab, f"{name}-light")
        take_shipping(tab, server)
        browser.close()


def take_shipping(tab: Tab, server: Server) -> None:
    """Photograph an A/B test, a rollout on its way, the flags that it moves, and a migration that was tried."""
    tab.open("/ab-test").page.get_by_text("Safe in simulation").wait_for(timeout=MEASURED_WITHIN_MS)
    take(tab, "ab-test-light")
    with Workspace.open(server.workspace) as workspace:
        ramp(workspace)
    for name in ("rollout", "flags"):
        tab.open(f"/{name}").settled()
        take(tab, f"{name}-light")
    tab.open("/migration").page.get_by_role("button", name="Try it here").click()
    tab.key("catch_up").wait_for(timeout=MEASURED_WITHIN_MS)
    tab.page.get_by_role("tab", name="Validation").click()
    take(tab.settled(), "migration-light")


def ramp(workspace: Workspace) -> None:
    """Bring a rollout on simulated time to half of its users."""
    control = RolloutControl(workspace, FlagStore(workspace))
    control.create(
        "ramp-768",
        flag_key="use_reduced_dims",
        actor="ann",
        is_simulated=True,
        is_automatic=True,
        reason="A/B test safe",
    )
    control.start("ramp-768", actor="ann")
    SimulatedRollouts(control).step("ramp-768", days=17, actor="ann")


def open_tab(browser: Browser, server: Server, mode: Mode, *, height: int) -> Tab:
    """Open a tab of 1280 px in the colours of `mode`."""
    context = browser.new_context(viewport={"width": 1280, "height": height}, color_scheme=mode, timezone_id="UTC")
    return Tab(page=context.new_page(), url=server.url)


def take(tab: Tab, name: str) -> None:
    """Write what the tab shows to ``pages/assets``."""
    tab.page.wait_for_timeout(1500)  # charts slide into their size
    tab.page.screenshot(path=ROOT / "pages" / "assets" / f"{name}.png")


if __name__ == "__main__":
    main()
