"""The rehearsed kill switch: a real client in another process, on a copy and on the live flags."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import AccessError, CancelledError, FlagError, ParameterError
from engine.flags import Flag, FlagStore
from engine.present.runbook import RunbookStore, rehearse_kill
from engine.present.runbook.flag_client import OWN_READER, PROVIDER
from engine.present.runbook.watching import WatchingClient
from engine.workspace import Identity, Role

if TYPE_CHECKING:
    from engine.rollout import RolloutControl
    from engine.workspace import Workspace

LIMIT_S = 30.0
"""How long a client may take on a machine that does other things as well."""


def actions(workspace: Workspace) -> list[tuple[str, str]]:
    return [(event.kind, event.action) for event in workspace.audit(limit=1000)]


def test_a_copy_is_killed_and_watched_by_a_real_client(
    workspace: Workspace, flags: FlagStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flagd client in another process follows the kill of a copy; the live flags, their file and switch stay."""
    pytest.importorskip("openfeature.contrib.provider.flagd")
    # Were the copy made where this points, the live switch would go on.
    monkeypatch.setenv("DIMSHIFT_DATABASE_URL", f"sqlite:///{workspace.folder / 'workspace.db'}")
    before, file_before = actions(workspace), flags.path.read_bytes()
    found = rehearse_kill(flags, actor="anna", n_kills=1, limit_s=LIMIT_S)
    assert found.client.startswith(f"{PROVIDER} ")
    assert (found.where, found.flag_key, found.variant, found.n_flags) == ("copy", "use_reduced_dims", "on", 3)
    assert len(found.safe_s) == len(found.back_s) == 1
    assert all(one is not None and 0 < one < LIMIT_S for one in (*found.safe_s, *found.back_s))
    assert found.is_met
    assert found.slowest_s == max(one for one in found.safe_s if one is not None)
    assert "On a copy of the flags" in found.sentence
    assert actions(workspace) == [*before, ("runbook", "rehearse kill switch")]
    assert flags.is_killed is None
    assert flags.path.read_bytes() == file_before
    kept = RunbookStore(workspace).kept().rehearsal
    assert kept is not None
    assert (kept.result, kept.by) == (found, "anna")


def test_the_live_switch_is_killed_restored_and_audited(workspace: Workspace, flags: FlagStore) -> None:
    """Live, the real switch goes on and off again, the user who was watched was safe, and the log says who and why."""
    flag = flags.flag("use_reduced_dims")
    flags.set(flag.with_percent(40), expected_version=flag.version, actor="anna")
    file_before = flags.live_document()["flags"]
    found = rehearse_kill(flags, actor="bob", where="live", typed="kill", limit_s=LIMIT_S, reader="own")
    assert (found.where, found.client, found.is_met) == ("live", OWN_READER, True)
    assert flags.evaluate("use_reduced_dims", found.user_id).variant == "on"
    assert flags.live_document()["flags"] == file_before
    events = workspace.audit(kind="switch")
    assert [(event.action, event.actor) for event in events] == [("kill", "bob"), ("restore", "bob")]
    assert "Rehearsal" in events[0].reason
    assert workspace.check_audit().is_intact


def test_a_live_rehearsal_is_refused_where_it_would_do_harm(
    workspace: Workspace, flags: FlagStore, control: RolloutControl
) -> None:
    """Without the word, by who may not restore, while a rollout runs or the switch is on: nothing is switched."""
    with pytest.raises(FlagError, match='takes the typed word "kill"; found Kill'):
        rehearse_kill(flags, actor="anna", where="live", typed="Kill")
    with pytest.raises(FlagError, match="gives somebody another than its safe variant"):
        rehearse_kill(flags, actor="anna", where="live", typed="kill")
    operator = FlagStore(workspace.acting_as(Identity(name="olga", role=Role.OPERATOR)))
    with pytest.raises(AccessError, match="only admins may do this, restore"):
        rehearse_kill(operator, actor="olga", where="live", typed="kill")
    control.create("ramp", flag_key="use_reduced_dims", actor="anna")
    control.start("ramp", actor="anna")
    with pytest.raises(FlagError, match=r"while a rollout runs: it would pause; found rollout ramp at 5 %"):
        rehearse_kill(flags, actor="anna", where="live", typed="kill")
    flags.kill(actor="anna", typed="kill")
    with pytest.raises(FlagError, match="while it is on"):
        rehearse_kill(flags, actor="anna", where="live", typed="kill")
    assert [event.action for event in workspace.audit(kind="switch")] == ["kill"]
    assert RunbookStore(workspace).kept().rehearsal is None


def test_numbers_and_flags_that_cannot_be_are_refused(flags: FlagStore) -> None:
    """Limits and counts out of range, an unknown flag, and flags without an unsafe variant are refused in words."""
    for options in ({"limit_s": 0}, {"limit_s": float("nan")}, {"n_kills": 0}, {"n_kills": 21}):
        with pytest.raises(ParameterError):
            rehearse_kill(flags, actor="anna", **options)  # type: ignore[arg-type]  # each is one number
    with pytest.raises(ParameterError, match="on the live flags kills 1 to 1 times; found 2"):
        rehearse_kill(flags, actor="anna", where="live", typed="kill", n_kills=2)
    with pytest.raises(FlagError, match="no such flag is in this workspace; found nope"):
        rehearse_kill(flags, actor="anna", flag_key="nope")
    only = Flag(key="only", kind="string", variants={"a": "x"}, default_variant="a", safe_variant="a")
    flags.set(only, expected_version=0, actor="anna")
    with pytest.raises(FlagError, match="a variant beside the safe one; found only"):
        rehearse_kill(flags, actor="anna", flag_key="only")


def test_a_kill_that_somebody_else_asks_for_meanwhile_stays_on(workspace: Workspace, flags: FlagStore) -> None:
    """When a second person kills during a live rehearsal the switch is left on, and the rehearsal does not count."""
    flag = flags.flag("use_reduced_dims")
    flags.set(flag.with_percent(100), expected_version=flag.version, actor="anna")
    other = FlagStore(workspace, refresh_s=0)

    def kill_too() -> bool:
        """Kill for a second time when the rehearsal has killed; it is asked between kill and restore."""
        if [event.action for event in workspace.audit(kind="switch")] == ["kill"]:
            other.kill(actor="carl", typed="kill", reason="p99 doubled")
        return False

    found = rehearse_kill(
        flags, actor="bob", where="live", typed="kill", limit_s=LIMIT_S, reader="own", cancelled=kill_too
    )
    assert [event.action for event in workspace.audit(kind="switch")] == ["kill", "kill again"]
    assert flags.is_killed is not None
    assert (found.restored, found.is_met) == (False, False)
    assert "somebody else asked for the kill meanwhile" in found.sentence


def test_a_client_that_dies_is_said_and_the_switch_restored(
    workspace: Workspace, flags: FlagStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the watching process ends between kill and restore, that is the error, and the live switch is off again."""
    flag = flags.flag("use_reduced_dims")
    flags.set(flag.with_percent(100), expected_version=flag.version, actor="anna")
    monkeypatch.setattr(WatchingClient, "ask", lambda client, **_: client._process.kill())
    with pytest.raises(FlagError, match="the client that watches the flags must run; found it has ended"):
        rehearse_kill(flags, actor="bob", where="live", typed="kill", limit_s=LIMIT_S, reader="own")
    assert [event.action for event in workspace.audit(kind="switch")] == ["kill", "restore"]


def test_a_cancelled_live_rehearsal_is_restored(workspace: Workspace, flags: FlagStore) -> None:
    """Cancelling between kill and restore ends in a restored switch, and nothing counts as evidence."""
    flag = flags.flag("use_reduced_dims")
    flags.set(flag.with_percent(100), expected_version=flag.version, actor="anna")
    with pytest.raises(CancelledError):
        rehearse_kill(
            flags,
            actor="bob",
            where="live",
            typed="kill",
            reader="own",
            cancelled=lambda: bool(workspace.audit(kind="switch")),
        )
    assert [event.action for event in workspace.audit(kind="switch")] == ["kill", "restore"]
    assert flags.is_killed is None
    assert RunbookStore(workspace).kept().rehearsal is None
