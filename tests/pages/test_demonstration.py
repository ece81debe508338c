"""Every page of the app on the workspace that `dimshift demo` builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import streamlit as st

from engine.workspace import Workspace
from pages.shell.frame import PAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.pages.conftest import App


@pytest.fixture
def demonstrated(
    workspace_folder: Path, demonstration_workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Give the app the demonstration itself: no page that is only looked at changes anything in it."""
    monkeypatch.setenv("DIMSHIFT_WORKSPACE", str(demonstration_workspace))
    with Workspace.open(demonstration_workspace) as workspace:
        before = (workspace.audit_head(), len(workspace.runs()))
        yield demonstration_workspace
        assert (workspace.audit_head(), len(workspace.runs())) == before
    st.cache_resource.clear()


def test_every_page_opens_without_an_error(new_tab: Callable[[], App], demonstrated: Path) -> None:
    """On the demonstration no page raises or shows an error, and none changes anything by being opened."""
    troubles = {}
    for spec in PAGES:
        app = new_tab().open(spec.script)
        found = [str(one.value) for kind in ("exception", "error") for one in app.at.get(kind)]
        if found:
            troubles[spec.url] = found
    assert troubles == {}
