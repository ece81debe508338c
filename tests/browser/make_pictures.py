"""Take the README's pictures from the running app: ``python -m tests.browser.make_pictures`` beside ``app.py``.

The demonstration is built in an empty workspace, and every page photographed on it. ``--workspace DIR`` photographs a
copy of one that is there; ``--into DIR --width 390`` leaves the pictures elsewhere, to look at them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import typer
from PIL import Image
from playwright.sync_api import sync_playwright

from engine.present.demonstration import build_demonstration
from engine.workspace import Workspace
from tests.browser.conftest import ARGUMENTS, ROOT, Tab, running_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from engine.charts import Mode
    from tests.browser.conftest import Server

ASSETS = ROOT / "pages" / "assets"
WIDTH = 1280
_COLOURS = 256
_DRAWN_WITHIN_MS = 60_000
_UNFINISHED = "[data-testid=stSkeleton], [data-testid=stSpinner]"
_SLIDES_MS = 1_200  # charts slide into their size


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One page to photograph: its address, the tab to open there, and how tall the window is.

    In the address ``{rotated}`` and ``{sweep}`` are the runs of the demonstration.
    """

    name: str
    path: str
    mode: Mode = "light"
    height: int = 940
    press: str = ""

    @property
    def file(self) -> str:
        """Its name among the assets."""
        return f"{self.name}-{self.mode}.png"


PICTURES = (
    Picture(name="overview", path="/"),
    Picture(name="datasets", path="/datasets"),
    Picture(name="sweep", path="/sweep?criterion=nDCG&target=0.9"),
    Picture(name="sweep", path="/sweep?criterion=nDCG&target=0.9", mode="dark"),
    Picture(name="serving", path="/serving?serving=Bytes"),
    Picture(name="nesting", path="/nesting"),
    Picture(name="queries", path="/queries?dim=64&q=fill+missing+values"),
    Picture(name="compare", path="/compare?runs={sweep},{rotated}"),
    Picture(name="ab-test", path="/ab-test"),
    Picture(name="rollout", path="/rollout"),
    Picture(name="flags", path="/flags"),
    Picture(name="migration", path="/migration", press="Validation"),
    Picture(name="plan", path="/plan", height=1240),
    Picture(name="runbook", path="/runbook"),
    Picture(name="report", path="/report"),
    Picture(name="present", path="/present?slide=kept", height=800),
)


def main() -> None:
    """Write a picture of every page to ``pages/assets``, or where the arguments say."""
    asked = _arguments()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("no chromium on the PATH: apt-get install chromium")
    chosen = [one for one in PICTURES if not asked.only or one.name in asked.only]
    asked.into.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        runs = _workspace(folder / "workspace", asked.workspace)
        os.environ["LOGNAME"] = "ann"  # who acts, as the pages show it
        with running_app(folder) as server, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
            for one in chosen:
                tab = _tab(browser, server, one, width=asked.width)
                size = _take(tab, one, runs, asked.into / one.file, is_whole=asked.whole)
                typer.echo(f"{one.file}: {size / 1024:,.0f} KiB, {time.monotonic() - began:,.0f} s so far")
                tab.page.context.close()
            browser.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make_pictures", description="Photograph every page of the app.")
    parser.add_argument("--workspace", type=Path, help="photograph a copy of this demonstration, not a new one")
    parser.add_argument("--into", type=Path, default=ASSETS, help="folder of the pictures")
    parser.add_argument("--width", type=int, default=WIDTH, help="of the window, in pixels")
    parser.add_argument("--whole", action="store_true", help="the whole page, however tall")
    parser.add_argument("--only", nargs="*", default=(), choices=sorted({one.name for one in PICTURES}))
    return parser.parse_args()


def _workspace(folder: Path, copied: Path | None) -> dict[str, str]:
    """Make the workspace, and return the runs that addresses name."""
    if copied is not None:
        shutil.copytree(copied, folder)
    with Workspace.open(folder) as workspace:
        built = build_demonstration(workspace)
        rotated = (run.id for run in workspace.runs(kind="sweep") if "control" in run.dataset["labels"])
        return {"sweep": built.sweep_run, "rotated": next(rotated)}


def _tab(browser: Browser, server: Server, one: Picture, *, width: int) -> Tab:
    size = {"width": width, "height": one.height}
    context = browser.new_context(viewport=size, color_scheme=one.mode, timezone_id="UTC")
    context.set_default_timeout(_DRAWN_WITHIN_MS)
    tab = Tab(page=context.new_page(), url=server.url)
    tab.page.on("pageerror", lambda error: typer.echo(f"{one.file}: {error}", err=True))
    return tab


def _take(tab: Tab, one: Picture, runs: dict[str, str], file: Path, *, is_whole: bool) -> int:
    """Photograph the page once everything on it is drawn, and return how many bytes that took."""
    tab.open(one.path.format(**runs))
    tab.page.wait_for_function(f"() => !document.querySelector('{_UNFINISHED}')")
    if one.press:
        tab.page.get_by_role("tab", name=one.press).click()
        tab.settled()
    if is_whole:
        tab.page.set_viewport_size({"width": tab.page.viewport_size["width"], "height": _height(tab)})
    tab.page.wait_for_timeout(_SLIDES_MS)
    document = _small(tab.page.screenshot())
    file.write_bytes(document)
    return len(document)


def _height(tab: Tab) -> int:
    """Return how tall the window has to be for the page not to scroll."""
    tall: int = tab.page.evaluate("() => document.querySelector('[data-testid=stMain]').scrollHeight")
    return min(tall + 20, 8_000)


def _small(document: bytes) -> bytes:
    """Return a PNG of the most frequent colours: a third of the size, and what is drawn keeps its colour exactly.

    Pillow's own palettes merge hues or shift them, and some of these are verdicts.
    """
    pixels = np.asarray(Image.open(BytesIO(document)).convert("RGB")).astype(np.int32)
    packed, place, count = np.unique(pixels @ (1 << 16, 1 << 8, 1), return_inverse=True, return_counts=True)
    found = np.stack((packed >> 16, packed >> 8 & 255, packed & 255), axis=1)
    kept = found[np.argsort(-count, kind="stable")[:_COLOURS]]
    nearest = np.square(found[:, None] - kept).sum(axis=2).argmin(axis=1).astype(np.uint8)
    image = Image.fromarray(nearest[place].reshape(pixels.shape[:2]), "P")
    image.putpalette(kept.ravel().tolist())
    made = BytesIO()
    image.save(made, "PNG", optimize=True)
    return made.getvalue()


if __name__ == "__main__":
    main()
