"""How soon a kill in one app shows in the tabs of another one on the same PostgreSQL workspace."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from soak import BROWSER, DRAWN, running_app

if TYPE_CHECKING:
    from playwright.sync_api import Page

N_KILLS = 10
_BANNER = ".st-key-kill_banner"


def kill_banner() -> dict:
    """Return the seconds from the click that kills in the one app to the banner in a tab of the other one."""
    from playwright.sync_api import sync_playwright

    from engine.flags import RESTORE_WORD, FlagStore
    from engine.migration.stores.local_postgres import start_local_postgres
    from engine.workspace import Workspace

    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="dimshift-two-")))
        server = opened.enter_context(start_local_postgres(folder / "postgresql"))
        database = server.url("").rstrip("#")
        flags = FlagStore(opened.enter_context(Workspace.open(folder / "own", database_url=database)))
        urls = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            urls.append(opened.enter_context(running_app(folder / name, DIMSHIFT_DATABASE_URL=database))[0])
        playwright = opened.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(BROWSER))
        killing, watching = (browser.new_page(viewport={"width": 1280, "height": 900}) for _ in urls)
        for page, url, path in ((killing, urls[0], "flags"), (watching, urls[1], "overview")):
            page.goto(f"{url}/{path}")
            page.wait_for_selector(DRAWN)
        seconds = []
        for turn in range(N_KILLS):
            time.sleep(1 + 0.31 * turn)  # at another moment of every poll
            seconds.append(_kill(killing, watching))
            flags.restore(actor="benchmark", typed=RESTORE_WORD, reason="measured")
            for page in (killing, watching):
                page.wait_for_selector(_BANNER, state="detached")
                page.wait_for_selector(DRAWN)
        browser.close()
    return {"kills": len(seconds), "median_s": statistics.median(seconds), "slowest_s": max(seconds)}


def _kill(killing: Page, watching: Page) -> float:
    killing.locator(".st-key-kill_switch button").click()
    typed = killing.locator(".st-key-kill_typed input")
    typed.fill("kill")
    confirm = killing.get_by_role("dialog").get_by_role("button", name="Switch every flag to safe")
    began = time.perf_counter()
    confirm.click()
    watching.wait_for_selector(_BANNER)
    return time.perf_counter() - began


if __name__ == "__main__":
    print(json.dumps({"kill_banner": kill_banner}[sys.argv[1]]()))  # noqa: T201
