"""Two processes on one workspace, SQLite's or PostgreSQL's, behave as one."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from engine.errors import ConflictError, JobNotFoundError
from engine.flags import FlagStore
from engine.workspace import JobNote, JobRecords

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from engine.workspace import Workspace

_FOLLOWS = """
    import json, sys, time
    from engine.flags import FlagStore
    from engine.workspace import Workspace
    store = FlagStore(Workspace.open(sys.argv[1], database_url=sys.argv[2] or None))
    print(json.dumps([store.is_killed is not None, store.evaluate("enable_new_index", "u1").value]), flush=True)
    for line in sys.stdin:
        asked = time.monotonic()
        while (store.is_killed is not None) != (line.strip() == "killed"):
            assert time.monotonic() - asked < 20
            time.sleep(0.01)
        print(json.dumps([store.is_killed is not None, store.evaluate("enable_new_index", "u1").value]), flush=True)
"""


def _answer(process: subprocess.Popen[str], line: str | None = None) -> list[object]:
    assert process.stdin is not None
    assert process.stdout is not None
    if line is not None:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    answer: list[object] = json.loads(process.stdout.readline() or "[]")
    return answer


def test_a_kill_in_one_process_shows_in_the_other(
    workspace: Workspace, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    """What one process kills the other evaluates to safe without being told, and back again after the restore."""
    store = FlagStore(workspace)
    flag = store.flag("enable_new_index")
    store.set(flag.with_percent(100), expected_version=flag.version, actor="ann")
    other = start_python(_FOLLOWS, workspace.folder, os.environ.get("DIMSHIFT_DATABASE_URL", ""))
    assert _answer(other) == [False, True]
    store.kill(actor="carl", typed="kill", reason="p99 doubled")
    assert _answer(other, "killed") == [True, False]
    store.restore(actor="ada", typed="restore", reason="fixed")
    assert _answer(other, "restored") == [False, True]


_CHANGES = """
    import sys
    from engine.flags import FlagStore
    from engine.workspace import JobNote, JobRecords, Workspace
    workspace = Workspace.open(sys.argv[1], database_url=sys.argv[2] or None)
    store = FlagStore(workspace)
    flag = store.flag("enable_new_index")
    store.set(flag.with_percent(7), expected_version=flag.version, actor="other")
    JobRecords(workspace).begin(JobNote(label="A/B test", purpose="experiment"))
    print(1, flush=True)
    sys.stdin.readline()
    (job,) = JobRecords(workspace).interrupted()
    JobRecords(workspace).dismiss(job)
    print(2, flush=True)
    sys.stdin.read()
"""


def test_a_change_and_a_job_belong_to_one_process(
    workspace: Workspace, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    """Who changes what the other has changed since is told by whom; a live job is nobody else's; one takes one up."""
    store = FlagStore(workspace, refresh_s=0)
    read = store.flag("enable_new_index")
    other = start_python(_CHANGES, workspace.folder, os.environ.get("DIMSHIFT_DATABASE_URL", ""))
    assert _answer(other) == 1
    with pytest.raises(ConflictError, match="other"):
        store.set(read.with_percent(50), expected_version=read.version, actor="ann")
    assert store.flag("enable_new_index").version == read.version + 1
    records = JobRecords(workspace)
    assert records.interrupted() == ()
    third = start_python(_CHANGES, workspace.folder, os.environ.get("DIMSHIFT_DATABASE_URL", ""))
    assert _answer(third) == 1
    third.kill()
    third.wait()
    (left,) = records.interrupted()
    assert _answer(other, "dismiss it") == 2
    with pytest.raises(JobNotFoundError, match="already"):
        records.begin(JobNote(label="A/B test", purpose="experiment"), instead_of=left)
    assert records.interrupted() == ()
    assert workspace.check_audit().is_intact
