"""A workspace with flags and rollouts of its own for every test, and a clock that a test sets."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from engine.flags import FlagStore
from engine.rollout import Observation, RolloutControl, Schedule
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 3, 1, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the moment."""
        return self.moment

    def pass_days(self, days: float) -> datetime:
        """Move on and return the new moment."""
        self.moment += timedelta(days=days)
        return self.moment


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, database_url: str | None) -> None:
    monkeypatch.delenv("DIMSHIFT_WORKSPACE", raising=False)
    monkeypatch.setenv("DIMSHIFT_DATABASE_URL", database_url or "")


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands at 2026-03-01 09:00 UTC."""
    return Clock()


@pytest.fixture
def workspace(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock, database_url: str | None
) -> Iterator[Workspace]:
    """Return a workspace without rollouts on the test's clock."""
    folder = tmp_path / "workspace"
    if database_url is None:
        shutil.copytree(request.getfixturevalue("flagged_workspace"), folder)
    else:
        with Workspace.open(folder, clock=Clock()) as made:
            FlagStore(made)
    with Workspace.open(folder, clock=clock) as opened:
        yield opened


@pytest.fixture
def flags(workspace: Workspace) -> FlagStore:
    """Return the flags of the workspace, read anew whenever they are asked."""
    return FlagStore(workspace, refresh_s=0)


@pytest.fixture
def control(workspace: Workspace, flags: FlagStore) -> RolloutControl:
    """Return the rollouts of the workspace."""
    return RolloutControl(workspace, flags)


@pytest.fixture
def running(control: RolloutControl) -> RolloutControl:
    """Return the control with a running rollout ``ramp`` of a quick schedule."""
    control.create("ramp", flag_key="use_reduced_dims", schedule=Schedule.parse("0:5,1:50,2:100"), actor="ann")
    control.start("ramp", actor="ann")
    return control


@pytest.fixture
def weights(flags: FlagStore) -> Callable[..., dict[str, int]]:
    """Return a function that reads what the flag file gives to each variant of a flag."""

    def read(key: str = "use_reduced_dims") -> dict[str, int]:
        fractional = json.loads(flags.path.read_text())["flags"][key]["targeting"]["fractional"]
        return {share[0]: share[1] for share in fractional if isinstance(share, list)}

    return read


@pytest.fixture
def day_of(clock: Clock) -> Callable[..., tuple[Observation, ...]]:
    """Return a function that makes the control and treatment of the 24 hours that end now."""

    def made(
        percent: float = 5.0, *, latency: float = 1.0, clicks: float = 1.0, errors: float = 1.0, n: int = 1_000_000
    ):
        found = []
        for arm, share in (("control", 1 - percent / 100), ("treatment", percent / 100)):
            queries, is_treatment = round(n * share), arm == "treatment"
            if not queries:
                continue
            p99 = 120 * (latency if is_treatment else 1)
            found.append(
                Observation(
                    start=(clock.moment - timedelta(days=1)).isoformat(),
                    end=clock.moment.isoformat(),
                    arm=arm,
                    percent=percent,
                    n_users=queries // 5,
                    n_queries=queries,
                    n_clicks=round(queries * 0.12 * (clicks if is_treatment else 1)),
                    n_errors=round(queries * 0.002 * (errors if is_treatment else 1)),
                    p99_ms=p99,
                    p99_low_ms=p99 * 0.98,
                    p99_high_ms=p99 * 1.02,
                    source="test",
                )
            )
        return tuple(found)

    return made
