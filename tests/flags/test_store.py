"""Changing flags: nothing lost, everything explained, and one switch that stops them all."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import ConflictError, FlagError, ParameterError, WorkspaceError
from engine.flags import Flag, FlagStore
from engine.flags.history import change_sentence
from engine.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

USERS = [f"user-{n}" for n in range(200)]


class _Seconds:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _set(store: FlagStore, flag: Flag, version: int | None = 0, **given: Any) -> Flag:
    return store.set(flag, expected_version=version, **{"actor": "anna", "reason": "because", **given})


def _values(store: FlagStore, key: str) -> list[Any]:
    return [store.evaluate(key, user_id).value for user_id in USERS]


def test_a_new_workspace_has_its_flags(store: FlagStore) -> None:
    """The three standard flags are there, typed, described, off for everybody, and their safe variant is a value."""
    by_key = {flag.key: flag for flag in store.flags()}
    assert {key: flag.kind for key, flag in by_key.items()} == {
        "enable_new_index": "boolean",
        "reduced_dim_size": "integer",
        "use_reduced_dims": "boolean",
    }
    assert all(flag.description and flag.version == 1 for flag in by_key.values())
    assert [store.evaluate(key, "anna").value for key in sorted(by_key)] == [False, 3072, False]
    assert all(flag.variants[flag.safe_variant] in {False, 3072} for flag in by_key.values())


def test_a_removed_standard_flag_stays_away(workspace: Workspace, store: FlagStore) -> None:
    """Opening the flags again makes nothing that somebody removed, and writes no event."""
    store.remove("enable_new_index", expected_version=1, actor="anna", reason="not ours")
    head = workspace.audit_head()
    again = FlagStore(workspace)
    assert [flag.key for flag in again.flags()] == ["reduced_dim_size", "use_reduced_dims"]
    assert workspace.audit_head() == head


def test_a_change_is_seen_published_and_explained(store: FlagStore, flag: Flag) -> None:
    """After a set, evaluation, flag file and audit log all say the same."""
    created = _set(store, flag)
    grown = _set(store, created.with_percent(25), created.version, reason="first stage")
    assert (created.version, grown.version, store.flag("ranker")) == (1, 2, grown)
    assert store.flag("ranker").version == 2
    assert 20 < sum(_values(store, "ranker")) < 80
    newest, before = store.history(key="ranker")
    assert (newest.actor, newest.action, newest.reason) == ("anna", "set", "first stage")
    assert newest.before == before.after
    assert change_sentence(newest) == "percentage none -> on 25 % / off 75 %"
    document: Any = store.live_document()
    assert document["flags"]["ranker"]["targeting"]["fractional"][1:] == [["on", 25_000], ["off", 75_000]]
    assert store.path.read_text().count('"ranker"') == 1


def test_two_people_editing_is_a_conflict(store: FlagStore, flag: Flag) -> None:
    """The second of two edits from one version is refused, says who was faster, and changes nothing."""
    start = _set(store, flag)
    _set(store, replace(start, owner="search"), start.version, actor="bob")
    with pytest.raises(ConflictError, match=r"changed flag ranker in.*version 1; found version 2, set by bob at"):
        _set(store, start.with_percent(50), start.version)
    with pytest.raises(ConflictError, match="started from none"):
        _set(store, flag, 0)
    with pytest.raises(ConflictError):
        store.remove("ranker", expected_version=1, actor="anna")
    assert (store.flag("ranker").owner, store.flag("ranker").percent) == ("search", None)


def test_the_kind_of_a_flag_stays(store: FlagStore, flag: Flag, dim_flag: Flag) -> None:
    """A boolean flag does not become an integer one under the code that reads it."""
    _set(store, flag)
    with pytest.raises(FlagError, match="the kind of flag ranker stays boolean.*found integer"):
        _set(store, replace(dim_flag, key="ranker"), 1)


def test_unknown_flags_are_named_with_the_nearest(store: FlagStore) -> None:
    """Reading or removing a flag that is not there says which are."""
    with pytest.raises(FlagError, match="no such flag .* found use_reduced_dim. There is use_reduced_dims"):
        store.flag("use_reduced_dim")
    with pytest.raises(FlagError, match="found nope"):
        store.remove("nope", expected_version=None, actor="anna")


def test_a_driven_flag_is_moved_by_its_rollout_alone(workspace: Workspace, store: FlagStore, flag: Flag) -> None:
    """Nobody else moves the percentage or removes the flag; owner and description stay editable; kill works."""
    start = _set(store, flag)
    with pytest.raises(FlagError, match="only a rollout says that it drives flag ranker; found ramp"):
        _set(store, replace(start, driven_by="ramp"), start.version)
    with workspace.recording() as ledger:
        driven = store.in_ledger(ledger).put(
            replace(start.with_percent(5), driven_by="ramp"),
            expected_version=1,
            actor="ramp",
            evidence={"stage": 0},
            rollout="ramp",
        )
    for change in (driven.with_percent(50), replace(driven, driven_by=None), replace(driven, is_enabled=False)):
        with pytest.raises(FlagError, match="a rollout drives flag ranker.*found rollout ramp"):
            _set(store, change, driven.version)
    with pytest.raises(FlagError, match="cannot be removed while a rollout drives it; found rollout ramp"):
        store.remove("ranker", expected_version=driven.version, actor="anna")
    grown = driven.with_percent(10)
    with pytest.raises(FlagError, match="found rollout ramp"), workspace.recording() as ledger:
        store.in_ledger(ledger).put(grown, expected_version=None, actor="other", rollout="other ramp")
    renamed = _set(store, replace(driven, owner="search"), driven.version)
    with workspace.recording() as ledger:
        writer = store.in_ledger(ledger)
        grown = writer.flag("ranker").with_percent(10)
        moved = writer.put(grown, expected_version=None, actor="ramp", rollout="ramp", evidence={"stage": 1})
        writer.put(replace(moved, driven_by=None), expected_version=moved.version, actor="ramp", rollout="ramp")
    assert renamed.version + 2 == store.flag("ranker").version
    assert store.history(key="ranker", newest_first=False)[1].evidence == {"stage": 0}
    _set(store, store.flag("ranker").with_percent(50), None)


def test_changes_of_others_commit_and_fail_together(workspace: Workspace, store: FlagStore, flag: Flag) -> None:
    """A flag changed inside somebody else's block is gone when that block fails, and published when it is told to."""
    _set(store, flag)

    def fail() -> None:
        with workspace.recording() as ledger:
            store.in_ledger(ledger).put(flag.with_percent(100), expected_version=1, actor="anna")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert store.flag("ranker").percent is None
    with workspace.recording() as ledger:
        store.in_ledger(ledger).put(flag.with_percent(100), expected_version=1, actor="anna", evidence={"why": 1})
        ledger.put("rollout", "r", {}, expected_version=0, actor="anna", action="start")
    assert '"on",\n            100000' not in store.path.read_text()
    assert store.publish().is_written
    assert "100000" in store.path.read_text()
    assert all(_values(store, "ranker"))


def test_kill_and_restore_bring_back_exactly_what_was(store: FlagStore, flag: Flag, dim_flag: Flag) -> None:
    """Everything is safe at once, and after the restore flags, file and evaluations are what they were, to the byte."""
    _set(store, flag.with_percent(37.5))
    _set(store, replace(dim_flag, key="disabled", is_enabled=False))
    _set(store, dim_flag.with_percent(50, variant="quarter"))
    keys = ["ranker", "dims", "disabled", "use_reduced_dims", "reduced_dim_size"]
    before = (store.flags(), [_values(store, key) for key in keys], _without_moment(store))
    state = store.kill(actor="carl", typed="kill", reason="p99 doubled")
    assert store.is_killed == state
    assert (state.actor, state.reason) == ("carl", "p99 doubled")
    assert [_values(store, key) for key in keys] == [[value] * 200 for value in (False, 3072, 3072, False, 3072)]
    killed: Any = store.live_document()
    assert all(one["state"] == "ENABLED" and "targeting" not in one for one in killed["flags"].values())
    assert killed["flags"]["disabled"]["defaultVariant"] == "full"
    assert killed["metadata"]["isKilled"] is True
    store.restore(actor="carl", typed="restore", reason="it was the cache")
    assert store.is_killed is None
    assert (store.flags(), [_values(store, key) for key in keys], _without_moment(store)) == before
    assert [event.action for event in store.history(key="kill")] == ["restore", "kill"]


def _without_moment(store: FlagStore) -> list[str]:
    moment = ("auditSeq", "auditHash", "contentSha256")
    return [line for line in store.path.read_text().splitlines() if not any(name in line for name in moment)]


def test_edits_while_killed_wait_for_the_restore(store: FlagStore, flag: Flag, dim_flag: Flag) -> None:
    """A percentage set and a flag created meanwhile change nothing for users before the restore, and are listed."""
    start = _set(store, flag.with_percent(0))
    assert store.edits_since_kill() == ()
    store.kill(actor="carl", typed="kill")
    _set(store, start.with_percent(100), start.version)
    store.kill(actor="dora", typed="kill", reason="me too")
    _set(store, replace(dim_flag, default_variant="quarter"))
    assert (set(_values(store, "ranker")), set(_values(store, "dims"))) == ({False}, {3072})
    document: Any = store.live_document()
    assert [one["defaultVariant"] for one in document["flags"].values()] == ["full", "off", "off", "full", "off"]
    assert [(event.key, event.actor) for event in store.edits_since_kill()] == [("ranker", "anna"), ("dims", "anna")]
    store.restore(actor="carl", typed="restore", reason="fine")
    assert (set(_values(store, "ranker")), set(_values(store, "dims"))) == ({True}, {768})
    assert store.edits_since_kill() == ()


def test_only_what_is_safe_moves_while_everything_is_killed(store: FlagStore, dim_flag: Flag) -> None:
    """A wrong safe variant can be mended while everybody has it; a flag cannot be removed from under its clients."""
    start = _set(store, dim_flag)
    store.kill(actor="carl", typed="kill")
    _set(store, replace(start, safe_variant="quarter"), start.version)
    assert set(_values(store, "dims")) == {768}
    with pytest.raises(FlagError, match="cannot be removed while the kill switch is on.*found killed by carl"):
        store.remove("dims", expected_version=2, actor="anna")
    assert set(_values(store, "dims")) == {768}
    store.restore(actor="carl", typed="restore", reason="fine")
    assert set(_values(store, "dims")) == {1536}
    store.remove("dims", expected_version=2, actor="anna")


def test_typed_words_are_checked_by_the_engine(store: FlagStore) -> None:
    """Another word, an empty one or one in capitals neither kills nor restores; restoring also takes a reason."""
    for typed in ("", "KILL", "restore", "yes"):
        with pytest.raises(FlagError, match='takes the typed word "kill"'):
            store.kill(actor="carl", typed=typed)
    with pytest.raises(FlagError, match="the kill switch is off"):
        store.restore(actor="carl", typed="restore", reason="why not")
    store.kill(actor="carl", typed=" kill\n")
    for typed, reason, message in (("kill", "x", 'typed word "restore"'), ("restore", " ", "takes a reason")):
        with pytest.raises(FlagError, match=message):
            store.restore(actor="carl", typed=typed, reason=reason)
    assert store.is_killed is not None


def test_killing_twice_keeps_the_first_and_notes_the_second(store: FlagStore) -> None:
    """The second kill is no error on the worst day of the year; the log names both, and one restore ends it."""
    first = store.kill(actor="carl", typed="kill", reason="p99")
    assert store.kill(actor="dora", typed="kill", reason="me too") == first
    assert [(event.actor, event.action) for event in store.history(key="kill")] == [
        ("dora", "kill again"),
        ("carl", "kill"),
    ]
    store.restore(actor="carl", typed="restore", reason="fine")
    assert store.is_killed is None


def test_the_first_kill_after_an_event_is_found(workspace: Workspace, store: FlagStore) -> None:
    """From when to when, by whom and why, counted by number; still on, it has no end, and before it there is none."""
    head = workspace.audit_head()
    for actor in ("carl", "dora"):
        store.kill(actor=actor, typed="kill", reason=f"{actor} said so")
        store.restore(actor="eve", typed="restore", reason="fine")
    store.kill(actor="fred", typed="kill")
    with workspace.records() as ledger:
        writer, killed = store.in_ledger(ledger), [event.seq for event in ledger.events("switch", "kill")]
        found = [writer.first_kill(after=after) for after in (head, killed[0], killed[3], killed[4])]
        events = ledger.events("switch", "kill")
    assert [one and (one.actor, one.reason) for one in found] == [
        ("carl", "carl said so"), ("dora", "dora said so"), ("fred", ""), None
    ]  # fmt: skip
    assert found[0] is not None
    assert (found[0].at, found[0].restored_at) == (events[0].at, events[1].at)
    assert found[2] is not None
    assert found[2].restored_at is None


def test_actors_are_checked_like_names(store: FlagStore) -> None:
    """Nobody kills anonymously or under a name that forges a line of the log."""
    for actor in ("", "carl\nanna"):
        with pytest.raises(ParameterError, match="who changes something"):
            store.kill(actor=actor, typed="kill")
    assert store.is_killed is None


def test_another_store_sees_a_kill_within_its_refresh(workspace: Workspace, store: FlagStore) -> None:
    """A second store on the same workspace answers from memory until its time has come, and then is safe."""
    seconds = _Seconds()
    with Workspace.open(workspace.folder) as elsewhere:
        other = FlagStore(elsewhere, refresh_s=0.2, clock=seconds)
        _set(store, store.flag("use_reduced_dims").with_percent(100), 1)
        assert other.evaluate("use_reduced_dims", "anna").value is False
        seconds.now = 0.2
        assert other.evaluate("use_reduced_dims", "anna").value is True
        store.kill(actor="carl", typed="kill")
        seconds.now = 0.39
        assert other.is_killed is None
        seconds.now = 0.41
        found = other.evaluate("use_reduced_dims", "anna")
        assert (found.value, found.is_killed) == (False, True)
        assert other.problem is None


def test_a_kill_reaches_the_file_of_another_folder(tmp_path: Path, database_url: str | None) -> None:
    """Two hosts with a folder each on one database: a kill on one is in the other's flag file at its next look."""
    url = database_url or f"sqlite:///{tmp_path / 'shared.db'}"
    with (
        Workspace.open(tmp_path / "here", database_url=url) as here,
        Workspace.open(tmp_path / "there", database_url=url) as there,
    ):
        stores = FlagStore(here, refresh_s=0), FlagStore(there, refresh_s=0)
        stores[0].kill(actor="carl", typed="kill")
        assert '"isKilled": false' in stores[1].path.read_text()
        assert stores[1].is_killed is not None
        assert '"isKilled": true' in stores[1].path.read_text()
        assert stores[1].problem is None


@pytest.mark.sqlite
def test_a_lost_database_leaves_the_last_known_flags(tmp_path: Path, flag: Flag) -> None:
    """When the database stops answering, evaluation goes on with what it knew and says what is wrong."""
    seconds = _Seconds()
    with Workspace.open(tmp_path / "w") as workspace:
        store = FlagStore(workspace, refresh_s=1, clock=seconds)
        _set(store, flag.with_percent(100))
        workspace.close()
        database = tmp_path / "w" / "workspace.db"
        for name in ("workspace.db-wal", "workspace.db-shm"):
            (tmp_path / "w" / name).unlink(missing_ok=True)
        kept = database.read_bytes()
        database.write_bytes(b"no database" * 1000)
        seconds.now = 2
        assert store.evaluate("ranker", "anna").value is True
        assert "must be intact" in str(store.problem)
        workspace.close()
        database.write_bytes(kept)
        seconds.now = 4
        assert store.evaluate("ranker", "anna").value is True
        assert store.problem is None


def test_a_server_that_lets_nobody_in_leaves_the_last_known_flags(tmp_path: Path, databases: Any, flag: Flag) -> None:
    """The same on PostgreSQL: connections that are cut and refused are one problem, and later all is well again."""
    seconds, url = _Seconds(), databases.new()
    with Workspace.open(tmp_path / "w", database_url=url) as workspace:
        store = FlagStore(workspace, refresh_s=1, clock=seconds)
        _set(store, flag.with_percent(100))
        databases.shut(url)
        seconds.now = 2
        assert store.evaluate("ranker", "anna").value is True
        assert "must be reachable and healthy" in str(store.problem)
        databases.open(url)
        seconds.now = 4
        assert store.evaluate("ranker", "anna").value is True
        assert store.problem is None
    databases.drop(url)


def test_threads_share_a_store(workspace: Workspace, flag: Flag) -> None:
    """While one thread changes a flag again and again, others only ever see a value that was set, and then the last."""
    store = FlagStore(workspace, refresh_s=0.001)
    current = _set(store, replace(flag, kind="integer", variants={"n": 0}, default_variant="n", safe_variant="n"))
    seen: list[Any] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.append(store.evaluate("ranker").value)
            time.sleep(0.0005)  # or the readers would keep the interpreter to themselves

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(1, 13):
        current = _set(store, replace(current, variants={"n": number}), current.version)
    stop.set()
    for reader in readers:
        reader.join()
    assert set(seen) <= set(range(13))
    assert store.evaluate("ranker").value == 12


def test_check_finds_a_log_that_was_changed(workspace: Workspace, store: FlagStore) -> None:
    """The check says that all is well, and after somebody rewrote a record past the triggers that it is not."""
    checked = store.check()
    assert (checked.audit.is_intact, checked.file_agrees, checked.n_flags) == (True, True, 3)
    assert not checked.file.is_written
    with workspace.writing() as session:
        session.connection().exec_driver_sql("UPDATE records SET body = replace(body, '\"off\"', '\"on\"')")
    found = store.check()
    assert not found.audit.is_intact
    assert "is not what its newest event says" in found.audit.reason


def test_a_full_disk_keeps_the_kill_and_says_so(store: FlagStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the flag file cannot be written the kill is kept, evaluation is safe, and the error says who is not."""

    def refuse(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", refuse)
        with pytest.raises(WorkspaceError, match="the database holds every change, flag clients do not see it yet"):
            store.kill(actor="carl", typed="kill")
    assert store.is_killed is not None
    assert '"isKilled": false' in store.path.read_text()
    assert store.publish().is_written
    assert '"isKilled": true' in store.path.read_text()
