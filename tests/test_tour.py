"""The README's tour: a picture of every page, small enough for whoever reads it on a phone."""

from __future__ import annotations

import re
from pathlib import Path

from pages.shell.frame import PAGES

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LARGEST_BYTES = 150_000


def test_every_page_that_needs_no_login_is_shown():
    """Each page that everybody sees has its picture in the tour."""
    tour = README.split("\n## Tour\n")[1].split("\n## ")[0]
    missing = [one.url for one in PAGES if not one.needs_login and f"(pages/assets/{one.url}-light.png)" not in tour]
    assert not missing


def test_pictures_are_there_small_and_used():
    """What the README shows exists and is small, and no other picture is kept."""
    shown = set(re.findall(r"\(pages/assets/([\w-]+\.png)\)", README))
    kept = {file.name: file.stat().st_size for file in (ROOT / "pages" / "assets").glob("*.png")}
    assert shown == set(kept)
    assert max(kept.values()) <= LARGEST_BYTES
