"""The app as AppTest runs it, on a workspace of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
_LONGEST_S = 20.0


class App:
    """One browser tab on the app."""

    def __init__(self) -> None:
        self.at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=30)

    def open(self, script: str | None = None, **query: str) -> App:
        """Open the default page, or the one of `script`, with the query parameters `query`."""
        for name, value in query.items():
            self.at.query_params[name] = value
        self.at.run()
        if script is not None:
            self.at.switch_page(script).run()
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

    def words(self) -> list[str]:
        """Return what the page says, in order."""
        kinds = ("title", "header", "subheader", "markdown", "caption", "error", "warning", "info")
        return [element.value for kind in kinds for element in self.at.get(kind)]


@pytest.fixture
def workspace_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the app a new workspace and no data root; shut it down afterwards."""
    folder = tmp_path / "workspace"
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
