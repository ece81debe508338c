"""Jobs that a dead process left behind: named by others, started again by one, never lost and never another's."""

from __future__ import annotations

import os
import platform
import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import AccessError, CancelledError, JobNotFoundError
from engine.workspace import Identity, InterruptedJob, JobNote, JobRecords, JobRunner, Role, Workspace, processes
from engine.workspace.processes import Owner

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from engine.progress import Cancelled, Progress

_LONG_S = 30.0
NOTE = JobNote(label="Sweep of tiny", purpose="sweep", request={"source": "sample:digits", "ks": [1, 10]})
_DIES = """
    import sys
    from engine.workspace import JobNote, JobRecords, Workspace
    workspace = Workspace.open(sys.argv[1])
    records = JobRecords(workspace)
    note = JobNote(label="Sweep of tiny", purpose="sweep", request={"source": "sample:digits", "ks": [1, 10]})
    records.begin(note)
    records.end(records.begin(note))
    print("ready", flush=True)
    sys.stdin.read()
"""


def ended_owner() -> Owner:
    """Return the owner of a process that ended long ago: this one's number, under a token of before it began."""
    return Owner(host=platform.node(), pid=os.getpid(), token="0" * 16)


def left_behind(workspace: Workspace, note: JobNote = NOTE) -> InterruptedJob:
    """Leave a job as a process does that is killed."""
    JobRecords(workspace, owner=ended_owner()).begin(note)
    (job,) = JobRecords(workspace).interrupted()
    return job


def test_a_killed_process_leaves_its_job_to_be_named(
    workspace: Workspace, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    """A job is nobody's business while its process lives; once that is killed others find what it did, and no other."""
    process = start_python(_DIES, workspace.folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    records = JobRecords(workspace)
    assert records.interrupted() == ()
    process.kill()
    process.wait()
    (job,) = records.interrupted()
    assert (job.label, job.purpose, job.request) == (NOTE.label, NOTE.purpose, NOTE.request)


def test_a_process_of_another_container_is_told_by_its_lock(
    workspace: Workspace, start_python: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where host name and number say nothing, the lock in the shared folder tells the living from the dead."""
    pytest.importorskip("fcntl")
    process = start_python(_DIES, workspace.folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    monkeypatch.setattr(processes.platform, "node", lambda: "another-container")
    records = JobRecords(workspace)
    assert records.interrupted() == ()
    process.kill()
    process.wait()
    assert [job.label for job in records.interrupted()] == [NOTE.label]


def test_a_machine_that_cannot_be_asked_is_given_a_day(workspace: Workspace, clock: Any) -> None:
    """Without a lock to try, a job of another machine is interrupted after a day and not before."""
    elsewhere = replace(ended_owner(), host="elsewhere", token="f" * 16)
    JobRecords(workspace, owner=elsewhere).begin(NOTE)
    records = JobRecords(workspace)
    processes.drop_sign(elsewhere, workspace.folder)
    assert records.interrupted() == ()
    clock.moment += timedelta(days=1)
    assert [job.label for job in records.interrupted()] == [NOTE.label]


def test_one_takes_an_interrupted_job_up(workspace: Workspace) -> None:
    """Of two who start a job again the second is told so, and starts nothing; a dismissed job is gone."""
    job = left_behind(workspace)
    mine, yours = JobRecords(workspace), JobRecords(workspace)
    key = mine.begin(NOTE, instead_of=job)
    with pytest.raises(JobNotFoundError, match="taken up or dismissed already"):
        yours.begin(NOTE, instead_of=job)
    with pytest.raises(JobNotFoundError, match="taken up or dismissed already"):
        yours.dismiss(job)
    with workspace.records() as ledger:
        assert [record.key for record in ledger.all("job")] == [key]
    mine.end(key)
    mine.end(key)
    other = left_behind(workspace)
    mine.dismiss(other)
    assert mine.interrupted() == ()
    assert [event.action for event in workspace.audit(kind="job")].count("dismiss") == 1


def test_people_see_their_own_interrupted_jobs(workspace: Workspace) -> None:
    """An operator finds the jobs that were begun under that name, an admin everybody's; a viewer may start none."""
    otto, ida = (Identity(name=f"{name}@example.com", role=Role.OPERATOR) for name in ("otto", "ida"))
    ada = Identity(name="ada@example.com", role=Role.ADMIN)
    vera = Identity(name="vera@example.com", role=Role.VIEWER)
    gone = JobRecords(workspace, owner=ended_owner())
    gone.acting_as(workspace.acting_as(otto)).begin(NOTE)
    gone.acting_as(workspace.acting_as(ida)).begin(replace(NOTE, label="hers"))
    seen = {
        one.name: {job.label for job in JobRecords(workspace.acting_as(one)).interrupted()} for one in (otto, ida, ada)
    }
    assert seen == {otto.name: {NOTE.label}, ida.name: {"hers"}, ada.name: {NOTE.label, "hers"}}
    with pytest.raises(AccessError):
        JobRecords(workspace.acting_as(vera)).begin(NOTE)
    (job,) = JobRecords(workspace.acting_as(otto)).interrupted()
    with pytest.raises(AccessError):
        JobRecords(workspace.acting_as(vera)).dismiss(job)


def _waits(started: threading.Event) -> Callable[[Progress, Cancelled], None]:
    def work(_progress: Progress, cancelled: Cancelled) -> None:
        started.set()
        while not cancelled():
            threading.Event().wait(0.005)
        raise CancelledError

    return work


def test_the_end_of_a_job_is_told_once_and_not_when_it_is_interrupted() -> None:
    """Done, failed and cancelled jobs tell their end, waiting ones too; those that closing stops do not."""
    ended: list[str] = []
    runner = JobRunner(max_workers=1)
    for name, work in (("done", lambda *_: None), ("failed", lambda *_: 1 / 0)):
        job = runner.submit("ann", name, work, on_end=lambda name=name: ended.append(name))  # type: ignore[misc]  # a default
        runner.wait("ann", job.id, timeout_s=_LONG_S)
    assert ended == ["done", "failed"]
    started, again = threading.Event(), threading.Event()
    running = runner.submit("ann", "running", _waits(started), on_end=lambda: ended.append("running"))
    waiting = runner.submit("ann", "waiting", _waits(again), on_end=lambda: ended.append("waiting"))
    assert started.wait(_LONG_S)
    assert runner.cancel("ann", waiting.id).state == "cancelled"
    runner.cancel("ann", waiting.id)
    runner.cancel("ann", running.id)
    runner.wait("ann", running.id, timeout_s=_LONG_S)
    assert ended[2:] == ["waiting", "running"]
    started = threading.Event()
    runner.submit("ann", "interrupted", _waits(started), on_end=lambda: ended.append("interrupted"))
    runner.submit("ann", "queued", _waits(again), on_end=lambda: ended.append("queued"))
    assert started.wait(_LONG_S)
    runner.close(timeout_s=_LONG_S)
    assert ended[4:] == []


def test_one_owners_fifty_jobs_starve_nobody() -> None:
    """Whoever asks next waits for one job of an owner who has queued fifty, not for all of them."""
    runner = JobRunner(max_workers=1, max_queued=50)
    gate, started, order = threading.Event(), threading.Event(), list[str]()

    def first(_progress: Progress, _cancelled: Cancelled) -> None:
        started.set()
        assert gate.wait(_LONG_S)

    runner.submit("greedy", "first", first)
    assert started.wait(_LONG_S)
    for number in range(50):
        last = runner.submit("greedy", str(number), lambda *_, number=number: order.append(f"greedy {number}"))  # type: ignore[misc]  # a default
    for name in ("ann", "bob"):
        for number in range(2):
            runner.submit(name, "small", lambda *_, name=name, number=number: order.append(f"{name} {number}"))  # type: ignore[misc]  # a default
    gate.set()
    assert runner.wait("greedy", last.id, timeout_s=_LONG_S).state == "done"
    runner.close()
    assert order[:6] == ["greedy 0", "ann 0", "bob 0", "greedy 1", "ann 1", "bob 1"]
    assert order[6:] == [f"greedy {number}" for number in range(2, 50)]
