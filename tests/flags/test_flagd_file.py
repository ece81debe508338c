"""The flag file: always whole, never older than what it replaces, and never trusted when somebody else wrote it."""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import WorkspaceError
from engine.flags import Flag, FlagStore

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.workspace import Workspace


def _grow(store: FlagStore, percent: float) -> None:
    flag = store.flag("use_reduced_dims")
    store.set(flag.with_percent(percent), expected_version=flag.version, actor="anna")


def _folder(store: FlagStore) -> list[str]:
    return sorted(path.name for path in store.path.parent.iterdir() if path.name.startswith("flags"))


def test_the_file_is_plain_ascii_with_a_digest_and_the_audit_event(workspace: Workspace, store: FlagStore) -> None:
    """Clients in any locale can read it, and it names the workspace and the newest event that it shows."""
    flag = store.flag("use_reduced_dims")
    changed = Flag(
        key="größe", kind="string", variants={"klein": "ä", "groß": "\ud800"}, default_variant="klein",
        safe_variant="groß", owner="Jörg", metadata={"nested": {"x": 1}, "team": "Suche"},
    )  # fmt: skip
    store.set(changed, expected_version=0, actor="anna")
    assert store.path.read_bytes().isascii()
    document = json.loads(store.path.read_text("ascii"))
    live = document["flags"]["größe"]
    assert live["variants"] == changed.variants
    assert live["metadata"] == {"team": "Suche", "safeVariant": "groß", "owner": "Jörg", "version": "1"}
    newest = workspace.audit(newest_first=True, limit=1)[0]
    metadata = document["metadata"]
    assert (metadata["flagSetId"], metadata["auditSeq"], metadata["auditHash"]) == (
        workspace.id,
        newest.seq,
        newest.hash,
    )
    assert flag.key in document["flags"]
    assert _folder(store) == ["flags.flagd.json"]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda text: text[: len(text) // 2], "cut off or no JSON"),
        (lambda _: "", "cut off or no JSON"),
        (lambda text: text.replace('"defaultVariant": "off"', '"defaultVariant": "on"'), "edited by hand"),
        (lambda text: text + "\n", "edited by hand"),
        (lambda text: json.dumps(json.loads(text)), "edited by hand"),
        (lambda _: "[1]", "edited by hand"),
        (lambda _: '{"flags": {}}', "edited by hand"),
        (lambda _: "[" * 100_000, "cut off or no JSON"),
        (lambda text: text.replace('"flagSetId": "', '"flagSetId": "x'), "of another workspace"),
    ],
)
@pytest.mark.parametrize("moment", ["open", "change", "publish"])
def test_a_damaged_file_is_kept_aside_rebuilt_and_reported(
    workspace: Workspace, store: FlagStore, damage: Callable[[str], str], problem: str, moment: str
) -> None:
    """Whenever the damage is found, the old file stays under another name and the new one is what it must be."""
    whole = store.path.read_text()
    store.path.write_text(damaged := damage(whole))
    if moment == "open":
        opened = FlagStore(workspace).opened
        assert opened is not None
        report = opened
    elif moment == "publish":
        report = store.publish()
    else:
        _grow(store, 5)
        report = None
    if report is not None:
        assert (report.is_written, report.kept_as) == (True, "flags.flagd.json.damaged-1")
        assert "was rebuilt from the database, because it" in report.sentence
        assert problem in report.problem
    assert (store.path.parent / "flags.flagd.json.damaged-1").read_text() == damaged
    assert store.check().file_agrees
    noted = [event for event in store.history() if event.action == "keep aside"]
    assert [problem in event.evidence["problem"] for event in noted] == [True]
    assert store.publish().kept_as is None


def test_every_damaged_file_gets_a_name_of_its_own(store: FlagStore) -> None:
    """Two damages leave two files; a missing file is rebuilt without one."""
    for n in (1, 2):
        store.path.write_text(f"damage {n}")
        assert store.publish().kept_as == f"flags.flagd.json.damaged-{n}"
    store.path.unlink()
    report = store.publish()
    assert (report.is_written, report.problem, report.sentence) == (True, "", "")
    assert _folder(store) == ["flags.flagd.json", "flags.flagd.json.damaged-1", "flags.flagd.json.damaged-2"]


def test_a_stale_file_is_no_damage(workspace: Workspace, store: FlagStore) -> None:
    """What a process left behind that died between its change and its file is brought up to date without a word."""
    with workspace.recording() as ledger:
        writer = store.in_ledger(ledger)
        writer.put(writer.flag("use_reduced_dims").with_percent(5), expected_version=1, actor="anna")
    (store.path.parent / "flags.flagd.json.partial").write_text("half a file")
    opened = FlagStore(workspace).opened
    assert opened is not None
    assert (opened.is_written, opened.problem) == (True, "")
    assert "5000" in store.path.read_text()
    assert _folder(store) == ["flags.flagd.json"]


def test_what_does_not_change_is_not_written(workspace: Workspace, store: FlagStore) -> None:
    """Publishing again, opening again, and changes of other rooms leave the file and its time alone."""
    before = store.path.stat().st_mtime_ns
    with workspace.recording() as ledger:
        ledger.put("other", "thing", {}, expected_version=0, actor="anna", action="set")
    assert not store.publish().is_written
    FlagStore(workspace)
    assert store.path.stat().st_mtime_ns == before


def test_the_file_s_time_grows_with_every_write(store: FlagStore) -> None:
    """Clients reload on a later time only: also within one tick of the clock, and after it was set back, it grows."""
    times = []
    for percent in range(5):
        _grow(store, percent)
        times.append(store.path.stat().st_mtime)
    ahead = time.time() + 86_400
    os.utime(store.path, (ahead, ahead))
    for percent in range(5, 8):
        _grow(store, percent)
        times.append(store.path.stat().st_mtime)
    assert times == sorted(set(times))
    assert times[-1] > ahead


def test_a_folder_in_its_place_is_one_sentence_and_stops_no_kill(workspace: Workspace, store: FlagStore) -> None:
    """Where the file cannot be, opening still works, the kill is kept, and the error says what clients do not see."""
    store.path.unlink()
    store.path.mkdir()
    again = FlagStore(workspace, refresh_s=0)
    assert again.opened is None
    assert "flags.flagd.json must be readable and writable" in str(again.problem)
    with pytest.raises(WorkspaceError, match="flag clients do not see it yet"):
        again.kill(actor="carl", typed="kill")
    assert again.is_killed is not None
    store.path.rmdir()
    assert json.loads(store.path.read_text() if store.publish().is_written else "{}")["metadata"]["isKilled"] is True


WRITER = """
    import sys
    from dataclasses import replace
    from engine.errors import ConflictError
    from engine.flags import FlagStore
    from engine.workspace import Workspace
    workspace, number, n_changes = Workspace.open(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    store = FlagStore(workspace)
    print("ready", flush=True)
    sys.stdin.readline()
    n_conflicts = 0
    for change in range(n_changes):
        if change == n_changes // 2:
            print("half", flush=True)
            sys.stdin.readline()
        while True:
            flag = store.flag("shared")
            changed = replace(flag, variants={"count": flag.variants["count"] + 1})
            try:
                store.set(changed, expected_version=flag.version, actor=f"p{number}", reason=str(change))
                break
            except ConflictError:
                n_conflicts += 1
    print(n_conflicts)
    """


@contextmanager
def _read_all_the_while(path: Path) -> Iterator[list[int]]:
    """Read the file again and again within the block, every time a whole one, and once more after it."""
    counts: list[int] = []
    stop = threading.Event()

    def read() -> None:
        is_last = False
        while not is_last:
            is_last = stop.is_set()
            document: Any = json.loads(path.read_text("ascii"))  # raises when it is not whole
            counts.append(document["flags"]["shared"]["variants"]["count"])

    with ThreadPoolExecutor(1) as apart:
        reader = apart.submit(read)
        reader.add_done_callback(lambda _: counts.append(-1))  # so that nobody waits for a reader that has failed
        try:
            yield counts
        finally:
            stop.set()
    reader.result()


def _change_in_processes(
    workspace: Workspace,
    store: FlagStore,
    start_python: Callable[..., subprocess.Popen[str]],
    *,
    n_processes: int,
    n_changes: int,
) -> None:
    """Count one flag up in many processes at once while the file is read, and check that nothing was lost.

    Half-way they wait for the reader, so that it has seen the middle however fast the machine is.
    """
    store.set(
        Flag(key="shared", kind="integer", variants={"count": 0}, default_variant="count", safe_variant="count"),
        expected_version=0,
        actor="anna",
    )
    head = workspace.audit_head()
    processes = [start_python(WRITER, workspace.folder, number, n_changes) for number in range(n_processes)]
    total, half = n_processes * n_changes, n_processes * (n_changes // 2)
    with _read_all_the_while(store.path) as counts:
        for said, seen in (("ready\n", 0), ("half\n", half)):
            for process in processes:
                assert process.stdout is not None
                assert process.stdout.readline() == said
            while seen not in counts and -1 not in counts:
                time.sleep(0.001)
            for process in processes:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
        answers = [process.communicate() for process in processes]
    assert [(process.returncode, err) for process, (_, err) in zip(processes, answers, strict=True)] == [
        (0, "")
    ] * n_processes
    assert counts.pop() == -1
    assert (counts[-1], counts) == (total, sorted(counts))  # an older state never came back
    events = workspace.audit(kind="flag", key="shared", after=head, limit=10_000)
    assert [event.after["variants"]["count"] for event in events] == list(range(1, total + 1))
    by_process = [(event.actor, event.reason) for event in events]
    assert sorted(by_process) == sorted(
        (f"p{n}", str(change)) for n in range(n_processes) for change in range(n_changes)
    )
    checked = store.check()
    assert (checked.audit.is_intact, checked.audit.n_events, checked.file_agrees) == (True, head + total, True)
    assert json.loads(store.path.read_text())["flags"]["shared"]["variants"]["count"] == total
    assert _folder(store) == ["flags.flagd.json"]


def test_processes_that_change_one_flag_lose_nothing(
    workspace: Workspace, store: FlagStore, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    """Three processes with 12 changes each: all in the chain, none lost, the file whole and never older to a reader."""
    _change_in_processes(workspace, store, start_python, n_processes=3, n_changes=12)


@pytest.mark.slow
def test_many_processes_that_change_one_flag_lose_nothing(
    workspace: Workspace, store: FlagStore, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    """Eight processes with 100 changes each: all in the chain, none lost, the file whole and never older."""
    _change_in_processes(workspace, store, start_python, n_processes=8, n_changes=100)
