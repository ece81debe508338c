"""Take the README's pictures from the running app: ``python -m tests.browser.make_pictures`` beside ``app.py``.

The bundled set is swept, read by how much nDCG it keeps, and photographed in light and dark.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from engine.charts import PALETTES
from tests.browser.conftest import ARGUMENTS, ROOT, Tab, running_app

VIEW = "/?criterion=nDCG&target=0.9"


def main() -> None:
    """Write ``pages/assets/sweep-light.png`` and ``sweep-dark.png``."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("no chromium on the PATH: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, running_app(Path(folder)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        for mode in PALETTES:
            context = browser.new_context(viewport={"width": 1280, "height": 980}, color_scheme=mode, timezone_id="UTC")
            tab = Tab(page=context.new_page(), url=server.url).open(VIEW).curve()
            tab.page.wait_for_timeout(500)  # the chart slides into its size
            tab.page.screenshot(path=ROOT / "pages" / "assets" / f"sweep-{mode}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
