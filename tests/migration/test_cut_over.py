"""Searches go to the target store and back through one flag."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.errors import ConflictError, FlagError
from engine.flags import KILL_WORD, FlagStore
from engine.migration.cut_over import CUT_BACK_WORD, CUT_OVER_WORD, FLAG, cut_back, cut_over, serves_new

if TYPE_CHECKING:
    from engine.workspace import Workspace


@pytest.fixture
def flags(workspace: Workspace) -> FlagStore:
    """Return the flags of an empty workspace, read anew at every look."""
    return FlagStore(workspace, refresh_s=0.0)


def over(flags: FlagStore, *, typed: str = CUT_OVER_WORD, reason: str = "equal") -> None:
    version = flags.flag(FLAG).version
    cut_over(flags, expected_version=version, typed=typed, actor="ann", reason=reason)


def test_everybody_goes_over_and_back(flags: FlagStore) -> None:
    """Nobody has the target store at first, everybody after the cut-over, nobody after the way back; both audited."""
    users = [f"user-{number}" for number in range(50)]
    assert not any(serves_new(flags, user) for user in users)
    over(flags)
    assert all(serves_new(flags, user) for user in users)
    version = flags.flag(FLAG).version
    cut_back(flags, expected_version=version, typed=CUT_BACK_WORD, actor="bob", reason="p99 doubled")
    assert not any(serves_new(flags, user) for user in users)
    newest = flags.history(key=FLAG, limit=2)
    assert [(one.actor, one.action, one.reason) for one in newest] == [
        ("bob", CUT_BACK_WORD, "p99 doubled"),
        ("ann", CUT_OVER_WORD, "equal"),
    ]


@pytest.mark.parametrize(
    ("typed", "reason", "says"), [("yes", "equal", 'typed words "cut over"'), ("cut over", " ", "a reason")]
)
def test_it_takes_the_words_and_a_reason(flags: FlagStore, typed: str, reason: str, says: str) -> None:
    """Without the typed words or without a reason nothing changes."""
    with pytest.raises(FlagError, match=says):
        over(flags, typed=typed, reason=reason)
    assert not serves_new(flags, "user")


def test_the_kill_switch_refuses_it_and_lets_the_way_back_pass(flags: FlagStore) -> None:
    """While the kill switch is on nobody is cut over, and cutting back is kept."""
    over(flags)
    flags.kill(actor="ann", typed=KILL_WORD)
    assert not serves_new(flags, "user")
    with pytest.raises(FlagError, match="while the kill switch is on"):
        over(flags)
    version = flags.flag(FLAG).version
    assert cut_back(flags, expected_version=version, typed=CUT_BACK_WORD, actor="ann", reason="safe").percent == 0


def test_a_rollout_that_drives_the_flag_keeps_it(flags: FlagStore, workspace: Workspace) -> None:
    """A flag that a rollout drives, one that somebody changed meanwhile, and one that is away are refused by name."""
    flag = flags.flag(FLAG)
    with pytest.raises(ConflictError):
        cut_over(flags, expected_version=flag.version - 1, typed=CUT_OVER_WORD, actor="ann", reason="equal")
    with workspace.recording() as ledger:
        driven = replace(flag, driven_by="ramp")
        flags.in_ledger(ledger).put(driven, expected_version=flag.version, actor="ann", rollout="ramp")
    with pytest.raises(FlagError, match="ramp"):
        over(flags)


def test_without_the_flag_the_source_answers(flags: FlagStore) -> None:
    """When the flag was removed, the source store answers, and the cut-over says that there is no such flag."""
    flags.remove(FLAG, expected_version=flags.flag(FLAG).version, actor="ann")
    assert not serves_new(flags, "user")
    with pytest.raises(FlagError, match="no such flag"):
        over(flags)
