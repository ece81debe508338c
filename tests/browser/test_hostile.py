"""Names, ids and texts that would like to be markup, code, formulas or a reversed line: pages show them as text."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.flags import FlagStore
from engine.flags.model import Flag
from engine.workspace import Workspace
from pages.shell.frame import PAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.browser.conftest import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
MARKUP = "<script>window.hacked=1</script>"
FLAG = "<img src=x onerror=window.hacked=1>"
FILE = '"><img src=x onerror=window.hacked=1>\u202egnp.npy'


@pytest.fixture(scope="module")
def hostile(
    told_workspace: Path,
    app_below: Callable[..., AbstractContextManager[Server]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    """Run the app on a workspace in which a set, a flag, rollouts, tests, plans and a migration have hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    shutil.copytree(told_workspace, folder / "workspace")
    with Workspace.open(folder / "workspace") as workspace:
        flags = FlagStore(workspace, refresh_s=0)
        present = flags.flag("use_reduced_dims")
        named = replace(present, key="hostile", description=f"{MARKUP} [x](javascript:window.hacked=1)", owner=FLAG)
        flags.set(replace(named, driven_by=None, version=0), expected_version=0, actor=FLAG, reason=MARKUP)
        assert isinstance(flags.flag("hostile"), Flag)
    with app_below(folder) as server:
        yield server


def test_every_page_shows_hostile_names_as_text(hostile, new_tab):
    """Every page of the navigation: nothing runs, no dialog opens, no host is asked, no bidi control is in the text.

    The fixture of the tab asserts that no page complained in its console or asked another host.
    """
    tab = new_tab(hostile)
    dialogs: list[str] = []
    tab.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    told, n_raw_csv = {}, 0
    for spec in PAGES:
        if spec.needs_login:
            continue
        tab.open(f"/{spec.url}")
        text = tab.page.locator("[data-testid='stMain']").inner_text()
        # Grids are painted; what they tell screen readers stands within their canvas.
        text += tab.page.evaluate("[...document.querySelectorAll('canvas')].map(one => one.textContent).join(' ')")
        told[spec.url] = text
        assert tab.page.evaluate("window.hacked") is None, spec.title
        assert not BIDI & set(text), spec.title
        # The grid would write formulas into its CSV as they are, so its own button is taken away.
        assert not tab.page.locator("[aria-label^='Download as CSV']").filter(visible=True).count(), spec.title
        n_raw_csv += tab.page.locator("[aria-label^='Download as CSV']").count()
    assert not dialogs
    assert any("<b>Set</b>" in text for text in told.values()), "the set's name is not shown literally anywhere"
    assert any(MARKUP in text for text in told.values()), "a hostile description is not shown literally anywhere"
    assert n_raw_csv, "Streamlit calls its button something else now, so nothing hides it"


def test_a_hostile_file_name_is_shown_as_text(hostile, new_tab):
    """A file whose name is markup with a reversed ending: its set is loaded, and the name stands there as it is."""
    buffer = io.BytesIO()
    np.save(buffer, np.random.default_rng(0).standard_normal((200, 8)).astype(np.float32))
    tab = new_tab(hostile).upload(FILE, buffer.getvalue())
    tab.page.get_by_text("<img src=x onerror=window.hacked=1>").first.wait_for()
    tab.settled()
    assert tab.page.evaluate("window.hacked") is None
    # Streamlit's own field shows the visitor the name of the file as the visitor's system gave it.
    field = tab.key("upload_corpus").evaluate("field => { field.remove(); }")
    assert field is None
    assert not BIDI & set(tab.page.locator("[data-testid='stMain']").inner_text())
