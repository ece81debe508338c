"""Who has the app open: without a login a single user on this machine, and never by a mistake in the settings."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from engine.embeddings.samples import synthetic
from engine.errors import AccessError
from engine.flags import FlagStore
from engine.tradeoff import save_sweep, sweep
from engine.workspace import Workspace
from pages.shell.company import login
from pages.shell.company.addresses import check_address, is_local
from pages.shell.frame import PAGES
from pages.shell.serve import check_start

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pages.conftest import App

ROOT_VARIABLES = ("DIMSHIFT_ADMINS", "DIMSHIFT_WITHOUT_LOGIN", "STREAMLIT_SERVER_ADDRESS")
AUTH = {
    "redirect_uri": "http://localhost:1/oauth2callback",
    "client_id": "dimshift",
    "client_secret": "not told",
    "server_metadata_url": "http://localhost:1/.well-known/openid-configuration",
    "cookie_secret": "x" * 32,
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ROOT_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def swept(workspace_folder: Path) -> None:
    """Keep a small sweep, so that opening the app starts none."""
    with Workspace.open(workspace_folder) as workspace:
        save_sweep(workspace, sweep(synthetic(200, 8, n_queries=30), (4, 8)))


def test_without_a_login_the_app_says_that_it_has_a_single_user(app: App, swept: None) -> None:
    """A quiet line in the sidebar says so; nothing asks to sign in, and no page is about people."""
    at = app.open().at
    assert any("Single user, no login" in line.value for line in at.sidebar.caption)
    assert not [button for button in at.button if button.key and button.key.startswith(("log_in", "log_out"))]
    assert not at.exception


def test_with_a_login_nothing_is_shown_before_it(app: App, swept: None) -> None:
    """Somebody who has not signed in sees one button and no page, no figure and no kill switch."""
    app.at.secrets["auth"] = AUTH
    at = app.open().at
    assert [button.key for button in at.button] == ["log_in_"]
    assert not at.metric
    assert not at.sidebar.caption
    assert not at.exception


@pytest.mark.parametrize(
    ("secrets", "admins", "said"),
    [
        ({}, "ada@example.com", "Roles are configured, but no login is"),
        ({"dimshift": {"default_role": "viewer"}}, "", "Roles are configured, but no login is"),
        ({"auth": {**AUTH, "cookie_secret": "short"}}, "", "must be at least 32 random characters"),
    ],
)
def test_settings_that_would_leave_it_open_shut_it(
    app: App, swept: None, monkeypatch: pytest.MonkeyPatch, secrets: dict[str, object], admins: str, said: str
) -> None:
    """Roles without a login, or a login that could be forged, show one sentence and nothing else."""
    monkeypatch.setenv("DIMSHIFT_ADMINS", admins)
    for section, values in secrets.items():
        app.at.secrets[section] = values
    at = app.open().at
    assert any(said.replace("_", "\\_") in words.value.replace("\\,", ",") for words in at.warning), at.warning
    assert not at.button
    assert "short" not in " ".join(words.value for words in at.warning)


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1", "127.8.9.10", "::1", "[::1]", "unix:///run/app"])
def test_an_address_of_this_machine_needs_no_login(address: str) -> None:
    """Loopback addresses and sockets are reached from here only."""
    assert is_local(address)
    check_start([f"--server.address={address}"])


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.5", "app.example.com", "localhost.example.com"])  # noqa: S104  # that is the test
def test_any_other_address_takes_a_login_or_a_flag(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A public address without a login is refused in a sentence, unless somebody says so or people sign in."""
    with pytest.raises(AccessError, match="without a login Dimshift listens on this machine only"):
        check_start(["--server.port", "1", "--server.address", address])
    with pytest.raises(AccessError):
        check_start(["--server.address", "localhost", "--server.address", address])
    with pytest.raises(AccessError):
        check_address(None, has_login=False, is_open=False)
    secrets = tmp_path / "secrets.toml"
    secrets.write_text("[other]\nauth = 1\n", encoding="utf-8")
    with pytest.raises(AccessError):
        check_start(["--server.address", address, "--secrets.files", str(secrets)])
    secrets.write_text('[auth]\nclient_id = "x"\n', encoding="utf-8")
    check_start(["--server.address", address, "--secrets.files", str(secrets)])
    monkeypatch.setenv("DIMSHIFT_WITHOUT_LOGIN", "1")
    check_start(["--server.address", address])


def test_the_shell_refuses_a_public_address_with_one_line(workspace_folder: Path) -> None:
    """`dimshift app --address` of every network ends with 1, one line and no traceback."""
    command = [sys.executable, "-m", "engine.cli", "app", "--address", "0.0.0.0"]  # noqa: S104  # that is the test
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("dimshift: without a login")
    assert "--without-login" in line


@pytest.fixture
def as_viewer(app: App, monkeypatch: pytest.MonkeyPatch) -> App:
    """Return a tab of somebody who signed in and may read and export; the browser tests sign in at a provider."""
    claims = {"is_logged_in": True, "email": "vera@example.com", "sub": "1", "iat": time.time(), "groups": ["viewer"]}
    monkeypatch.setattr(login, "_claims", lambda: claims)
    app.at.secrets["auth"] = AUTH
    app.at.secrets["dimshift"] = {"role_claim": "groups"}
    return app


@pytest.mark.slow
@pytest.mark.parametrize("script", [spec.script for spec in PAGES])
def test_a_viewer_reads_every_page(as_viewer: App, explored: Path, script: str) -> None:
    """Opening a page as a viewer starts no job, changes nothing and fails nowhere."""
    with Workspace.open(explored) as workspace:
        FlagStore(workspace)
        before = workspace.audit_head(), len(workspace.runs())
        at = as_viewer.open(script).at
        assert not at.exception
        assert not at.error
        assert (workspace.audit_head(), len(workspace.runs())) == before


def test_a_viewer_finds_actions_disabled_with_a_sentence_why(
    as_viewer: App, swept: None, workspace_folder: Path
) -> None:
    """What a viewer may not do stands there, disabled, and says who may; nobody is asked for a name."""
    at = as_viewer.open("pages/ship/flags.py").at
    kill = next(button for button in at.button if button.key == "kill_switch")
    assert kill.disabled
    assert kill.help == "Only operators and admins may do this, kill; you are vera@example.com, viewer."
    assert not [field for field in at.text_input if field.label == "Your name"]
    assert not at.exception


def test_a_session_ends_by_itself(as_viewer: App, swept: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the hours that a session lasts, the next action shows why, and a way out, instead of the page."""
    at = as_viewer.open().at
    assert any("You read and export" in line.value for line in at.caption)
    old = {"is_logged_in": True, "email": "vera@example.com", "iat": time.time() - 12.1 * 3600, "groups": ["viewer"]}
    monkeypatch.setattr(login, "_claims", lambda: old)
    at.run()
    assert any("A session lasts 12 hours" in words.value for words in at.warning)
    assert [button.key for button in at.button] == ["log_out"]
