"""The Migration page of a shared server opens only stores that its configuration lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import AccessError
from pages.shell.migration import access as migration_access
from pages.shell.migration.access import Access, StoreSecrets

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pages.conftest import App


def test_a_listed_server_refuses_inner_hosts_and_files_in_a_sentence(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With DIMSHIFT_STORE_HOSTS set, an inner address and a file of the server are one sentence on the page each."""
    monkeypatch.setenv("DIMSHIFT_STORE_HOSTS", "vectors.example.com")
    app.show("pages/ship/migration.py", step="Stores")
    app.at.text_input(key="url_source_").set_value("qdrant://169.254.169.254:80#latest").run()
    app.at.text_input(key="url_target_").set_value(f"file://{tmp_path}/secret.npy").run()
    app.at.button(key="check_stores").click().run()
    app.until(lambda at: any("cannot be used" in one.value for one in (*at.markdown, *at.caption)))
    said = app.said()
    assert "only on hosts that its configuration lists; found 169.254.169.254" in said
    assert "must lie below the data root" in said


@pytest.mark.parametrize(
    ("has_login", "listed", "is_limited"), [(False, None, False), (True, None, True), (False, "a.b", True)]
)
def test_a_login_or_a_list_limits_stores_and_a_single_user_is_not_limited(
    monkeypatch: pytest.MonkeyPatch, has_login: bool, listed: str | None, is_limited: bool
) -> None:
    """A single user on this machine opens everything as before; where people sign in nothing is open by itself."""
    monkeypatch.setattr(migration_access, "is_configured", lambda: has_login)
    if listed is None:
        monkeypatch.delenv("DIMSHIFT_STORE_HOSTS", raising=False)
    else:
        monkeypatch.setenv("DIMSHIFT_STORE_HOSTS", listed)
    one = Access(
        url="qdrant://localhost:1#t", secrets=StoreSecrets(), data_root=None, limits=migration_access._limits()
    )
    assert (one.limits is not None) is is_limited
    if is_limited:
        with pytest.raises(AccessError, match="only on hosts that its configuration lists"):
            one.open()
    else:
        one.open().close()
