"""Random edits, kills and restores against a model of what must hold."""

from __future__ import annotations

import json
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.errors import ConflictError, FlagError
from engine.flags import Flag, FlagStore
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = st.sampled_from(["a", "b"])


def _flag(key: str) -> Flag:
    return Flag(key=key, kind="integer", variants={"new": 2, "old": 1}, default_variant="old", safe_variant="old")


class FlagMachine(RuleBasedStateMachine):
    """A dict of percentages and one switch, and what clients must read in every moment."""

    new_database: Callable[[], str | None]

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.workspace = Workspace.open(self.folder, database_url=self.new_database())
        self.store = FlagStore(self.workspace, refresh_s=0)
        for flag in self.store.flags():
            self.store.remove(flag.key, expected_version=None, actor="anna")
        self.percents: dict[str, float | None] = {}
        self.is_killed = False
        self.n_events = self.workspace.audit_head()

    @rule(key=KEYS)
    def create(self, key: str) -> None:
        """Create a flag, or run into the one that is there."""
        if key in self.percents:
            with pytest.raises(ConflictError):
                self.store.set(_flag(key), expected_version=0, actor="anna")
            return
        self.store.set(_flag(key), expected_version=0, actor="anna")
        self.percents[key] = None
        self.n_events += 1

    @rule(key=KEYS, percent=st.sampled_from([0.0, 5.0, 37.5, 100.0]), is_stale=st.booleans())
    def set_percent(self, key: str, percent: float, is_stale: bool) -> None:
        """Set a percentage from the version that is there, or from an older one."""
        if key not in self.percents:
            with pytest.raises(FlagError):
                self.store.flag(key)
            return
        flag = self.store.flag(key)
        if is_stale:
            with pytest.raises(ConflictError):
                self.store.set(flag.with_percent(percent), expected_version=flag.version + 1, actor="anna")
            return
        self.store.set(flag.with_percent(percent), expected_version=flag.version, actor="anna")
        self.percents[key] = percent
        self.n_events += 1

    @rule(key=KEYS)
    def remove(self, key: str) -> None:
        """Remove a flag, or be told that there is none, or that its clients must keep the safe variant."""
        if key not in self.percents or self.is_killed:
            with pytest.raises(FlagError):
                self.store.remove(key, expected_version=None, actor="anna")
            return
        self.store.remove(key, expected_version=None, actor="anna")
        del self.percents[key]
        self.n_events += 1

    @rule()
    def kill(self) -> None:
        """Kill, perhaps again."""
        self.store.kill(actor="carl", typed="kill")
        self.is_killed = True
        self.n_events += 1

    @rule()
    def restore(self) -> None:
        """Restore, or be told that nothing was killed."""
        if not self.is_killed:
            with pytest.raises(FlagError):
                self.store.restore(actor="carl", typed="restore", reason="fine")
            return
        self.store.restore(actor="carl", typed="restore", reason="fine")
        self.is_killed = False
        self.n_events += 1

    @rule(cut=st.integers(0, 300))
    def damage(self, cut: int) -> None:
        """Cut the file off at any place, and publish."""
        self.store.path.write_bytes(self.store.path.read_bytes()[:-1][:cut])
        assert self.store.publish().kept_as
        self.n_events += 1

    @invariant()
    def file_and_evaluation_agree(self) -> None:
        """Find in the file and in evaluations what the model says."""
        document: dict[str, Any] = json.loads(self.store.path.read_text())
        assert sorted(document["flags"]) == sorted(self.percents)
        for key, percent in self.percents.items():
            live = document["flags"][key]
            weights = [["new", round((percent or 0) * 1000)], ["old", 100_000 - round((percent or 0) * 1000)]]
            expected = None if self.is_killed or percent is None else weights
            assert (live["targeting"]["fractional"][1:] if "targeting" in live else None) == expected
            in_doubt = percent in {5.0, 37.5} and not self.is_killed
            value = self.store.evaluate(key, "anna").value
            assert value in {1, 2} if in_doubt else value == (2 if percent == 100 and not self.is_killed else 1)
            assert self.store.flag(key).percent == percent

    @invariant()
    def log_counts_every_change(self) -> None:
        """Find an event for every change, and none for what was refused."""
        assert self.workspace.audit_head() == self.n_events

    def teardown(self) -> None:
        """Check the chain at the end."""
        checked = self.store.check()
        self.workspace.close()
        shutil.rmtree(self.folder)
        assert checked.audit.is_intact
        assert checked.file_agrees


@pytest.fixture(autouse=True)
def _databases_of_the_machine(monkeypatch: pytest.MonkeyPatch, new_database: Callable[..., str | None]) -> None:
    monkeypatch.setattr(FlagMachine, "new_database", staticmethod(new_database), raising=False)


TestFlags = FlagMachine.TestCase
TestFlags.settings = settings(
    max_examples=8, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
