"""The app as AppTest runs it, on a workspace of its own."""

from __future__ import annotations

import shutil
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from engine.embeddings import EmbeddingSet, Judgements
from engine.embeddings.encoder import encode
from engine.tradeoff import save_sweep, sweep
from engine.tradeoff.panels import explore
from engine.workspace import Workspace
from pages.shell.frame import PAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COLOURS = ("red", "green", "blue", "old", "new", "small", "large", "fast", "slow", "warm", "cold", "dry", "wet")
THINGS = ("house", "boat", "tree", "river", "engine", "letter", "bridge", "garden", "window", "market", "forest", "sea")
PLACES = ("in spring", "at night", "by night", "for children", "of stone", "on fire", "under snow", "with music")
ENDS = ("", " without end", " from afar", " after rain")
ROOT = Path(__file__).resolve().parents[2]
_LONGEST_S = 20.0


class App:
    """One browser tab on the app."""

    def __init__(self) -> None:
        self.at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)

    def open(self, script: str | None = None, **query: str) -> App:
        """Open the default page, or the one of `script` by its address, with the query parameters `query`."""
        for name, value in query.items():
            self.at.query_params[name] = value
        if script is not None:
            url = next(spec.url for spec in PAGES if spec.script == script)
            self.at._page_hash = calc_hash(url)  # switch_page() works after a first run only
        self.at.run()
        return self

    def until(self, reached: Callable[[AppTest], object]) -> App:
        """Run the page again, as its poll would, until `reached` holds."""
        deadline = time.monotonic() + _LONGEST_S
        while not reached(self.at):
            assert not self.at.exception, self.at.exception
            assert time.monotonic() < deadline, f"never reached; the page shows {self.words()}"
            time.sleep(0.05)
            self.at.run()
        assert not self.at.exception, self.at.exception
        return self

    def show(self, script: str, **query: str) -> App:
        """Open a page, or the page again with other query parameters, and expect it to stand."""
        return self.open(script, **query).stands()

    def press(self, key: str) -> App:
        """Press the button with this key."""
        self.at.button(key=key).click().run()
        return self.stands()

    def submit(self, label: str) -> App:
        """Press the button with this label; where a dialog stands over the page, its own, which comes last."""
        [button for button in self.at.button if button.label == label][-1].click().run()
        return self.stands()

    def stands(self) -> App:
        """Return this tab, whose last run must have come to its end."""
        assert not self.at.exception, self.at.exception
        return self

    def words(self) -> list[str]:
        """Return what the page says, in order."""
        kinds = ("title", "header", "subheader", "markdown", "caption", "error", "warning", "info")
        return [element.value for kind in kinds for element in self.at.get(kind)]

    def said(self) -> str:
        """Return what the page says as a reader sees it: without what keeps it plain, spaces as spaces."""
        return "\n".join(self.words()).replace("\\", "").replace("\u2060", "").replace("\u00a0", " ")

    def charts(self) -> int:
        """Return how many charts the page has."""
        return len(self.at.get("plotly_chart"))


@pytest.fixture(scope="session", autouse=True)
def _components_found_once() -> Iterator[None]:
    """Let Streamlit look for components in the installed packages once: 0.2 s that every tab would take anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture
def workspace_folder(flagged_workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the app an empty workspace and no data root; shut it down afterwards."""
    folder = Path(shutil.copytree(flagged_workspace, tmp_path / "workspace"))
    monkeypatch.setenv("DIMSHIFT_WORKSPACE", str(folder))
    monkeypatch.delenv("DIMSHIFT_DATABASE_URL", raising=False)
    monkeypatch.delenv("DIMSHIFT_DATA_ROOT", raising=False)
    yield folder
    st.cache_resource.clear()


@pytest.fixture
def new_tab(workspace_folder: Path) -> Callable[[], App]:
    """Return what opens another tab on the app."""
    return App


@pytest.fixture
def app(new_tab: Callable[[], App]) -> App:
    """Return one tab on the app, not run yet."""
    return new_tab()


@pytest.fixture(scope="session")
def phrases() -> EmbeddingSet:
    """Encode phrases with the bundled encoder: enough documents for a forecast, two groups, one of them too small."""
    texts = [f"{a} {b} {c}{d}" for a in COLOURS for b in THINGS for c in PLACES for d in ENDS][:2400]
    rows = np.arange(0, 2400, 40)
    asked = [f"a {texts[row]}" for row in rows]
    return EmbeddingSet(
        name="Phrases",
        corpus=encode(texts),
        queries=encode(asked),
        corpus_texts=texts,
        query_texts=asked,
        query_ids=[f"q{row}" for row in range(len(rows))],
        query_segments=["common"] * 45 + ["rare"] * 15,
        judgements=Judgements(query_rows=np.arange(len(rows)), doc_rows=rows, grades=np.ones(len(rows), np.float32)),
    )


@pytest.fixture(scope="session")
def explored_folder(tmp_path_factory: pytest.TempPathFactory, phrases: EmbeddingSet) -> Path:
    """Make a workspace with the phrases, one sweep of them and everything that is measured beside it."""
    folder = tmp_path_factory.mktemp("explored") / "workspace"
    result = sweep(phrases, (32, 64, 256), (1, 10))
    with Workspace.open(folder) as workspace:
        workspace.save_dataset(phrases)
        explore(workspace, phrases, result, run_id=save_sweep(workspace, result).id)
    return folder


@pytest.fixture
def explored(workspace_folder: Path, explored_folder: Path) -> Path:
    """Give the app a copy of that workspace."""
    return Path(shutil.copytree(explored_folder, workspace_folder, dirs_exist_ok=True))
