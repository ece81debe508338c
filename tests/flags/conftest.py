"""A workspace with flags for every test, users to evaluate, and a way to run code in another process."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from engine.flags import Flag, FlagStore
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, database_url: str | None) -> None:
    monkeypatch.delenv("DIMSHIFT_WORKSPACE", raising=False)
    monkeypatch.setenv("DIMSHIFT_DATABASE_URL", database_url or "")


class Clock:
    """A clock that moves on by a second whenever it is read."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 22, 15, 30, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the moment and move on."""
        self.moment += timedelta(seconds=1)
        return self.moment


@pytest.fixture
def workspace(request: pytest.FixtureRequest, tmp_path: Path, database_url: str | None) -> Iterator[Workspace]:
    """Return a workspace below `tmp_path` with nothing but the standard flags."""
    folder = tmp_path / "workspace"
    if database_url is None:
        shutil.copytree(request.getfixturevalue("flagged_workspace"), folder)
    else:
        with Workspace.open(folder, clock=Clock()) as made:
            FlagStore(made)
    with Workspace.open(folder, clock=Clock()) as opened:
        yield opened


@pytest.fixture
def store(workspace: Workspace) -> FlagStore:
    """Return the flags of that workspace, which look for changes at every evaluation."""
    return FlagStore(workspace, refresh_s=0)


@pytest.fixture
def flag() -> Flag:
    """Return a boolean flag, off by default."""
    return Flag(
        key="ranker", kind="boolean", variants={"on": True, "off": False}, default_variant="off", safe_variant="off"
    )


@pytest.fixture
def dim_flag() -> Flag:
    """Return an integer flag with three variants."""
    return Flag(
        key="dims",
        kind="integer",
        variants={"full": 3072, "half": 1536, "quarter": 768},
        default_variant="half",
        safe_variant="full",
    )


@pytest.fixture(scope="session")
def user_ids() -> list[str]:
    """Return 20,000 ids as logs have them: numbers, e-mail addresses, Unicode, spaces, very long ones, and none."""
    ids = [
        "",
        " ",
        "null",
        "0",
        "-1",
        "true",
        "\0",
        "a\nb",
        "x" * 300,
        "ユーザー",
        "Ω≈ç√",
        "👩‍💻",
        "é",
        "e\u0301",
        "\u202eabc",
    ]
    others = 20_000 - len(ids)
    makers = (lambda n: f"user-{n}", str, lambda n: f"{'ünï' * (n % 40)}{n}@exämple.org")
    ids += [makers[n % 3](n) for n in range(others)]
    return ids
