"""Processes that die by SIGKILL in the middle of rollouts: rollout, flag, audit log and flag file agree afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

from engine.flags import FlagStore
from engine.rollout import RolloutControl
from engine.workspace import Workspace

FLAG = "use_reduced_dims"

# One process imports the engine once and forks a worker a round; it opens nothing before the fork.
_ROUNDS = """
    import os, random, signal, sys, time
    from datetime import UTC, datetime, timedelta
    from engine.errors import EngineError
    from engine.flags import FlagStore
    from engine.flags.flagd_file import FlagFile
    from engine.rollout import Observation, RolloutControl, Schedule
    from engine.workspace import Workspace

    folder, n_rounds, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rng = random.Random(seed)

    def observed(latency):
        end = datetime.now(UTC)
        for arm, share in (("control", 0.95), ("treatment", 0.05)):
            queries = int(1_000_000 * share)
            p99 = 120 * (latency if arm == "treatment" else 1)
            yield Observation(
                start=(end - timedelta(milliseconds=1)).isoformat(), end=end.isoformat(), arm=arm, percent=5,
                n_users=queries // 5, n_queries=queries, n_clicks=int(0.12 * queries), n_errors=queries // 500,
                p99_ms=p99, p99_low_ms=0.98 * p99, p99_high_ms=1.02 * p99,
            )

    def die(file, document):  # what is in the database is not in the file, which a partial one stands beside
        file.path.with_name(f"{file.path.name}.partial").write_text("{")
        os.kill(os.getpid(), signal.SIGKILL)

    def work(ready):
        with Workspace.open(folder) as workspace:
            control = RolloutControl(workspace, FlagStore(workspace))
            os.write(ready, b"x")
            turn = 0
            while True:
                turn += 1
                key = f"{os.getpid()}-{turn}"
                for status in control.rollouts():
                    if status.rollout.is_active:
                        control.roll_back(status.rollout.key, actor="next", reason="left over", typed="roll back")
                control.create(key, flag_key="use_reduced_dims", actor="w", schedule=Schedule.parse("0:5,1:50,2:100"))
                control.start(key, actor="w")
                os.write(ready, b"s")
                time.sleep(0.002)
                if turn % 2:
                    control.observe(key, tuple(observed(3.0)), actor="w")  # rolls back and opens an incident
                    continue
                control.pause(key, actor="w", reason="x")
                control.resume(key, actor="w", override="x")
                control.advance(key, actor="w", override="x")
                control.advance(key, actor="w", override="x")
                control.complete(key, actor="w", override="x")
                control.roll_back(key, actor="w", reason="again", typed="roll back")

    for number in range(n_rounds):
        reader, ready = os.pipe()
        child = os.fork()
        between = number % 5 == 4  # random moments hit the time between the database and the file too seldom
        if child == 0:
            try:
                if between:
                    FlagFile.write = die
                work(ready)
            finally:
                os._exit(1)  # only a bug gets here
        os.close(ready)
        assert os.read(reader, 1) == b"x"
        if number % 2 and not between:  # the others may die before their first rollout
            assert os.read(reader, 1) == b"s"
        if not between:
            time.sleep(rng.uniform(0.0, 0.12))
            assert os.waitpid(child, os.WNOHANG) == (0, 0), "the worker ended by itself"
            os.kill(child, signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        os.close(reader)
        print("killed", flush=True)
        assert sys.stdin.readline() == "next\\n"
"""


def check_everything_agrees(folder) -> tuple[int, bool]:
    """Check one workspace after a crash; return how many rollouts there are and whether the file had to be mended."""
    with Workspace.open(folder) as workspace:
        flags = FlagStore(workspace)
        control = RolloutControl(workspace, flags)
        statuses = control.rollouts()
        active = [status for status in statuses if status.rollout.is_active]
        assert len(active) <= 1
        flag = flags.flag(FLAG)
        if active:
            assert (flag.driven_by, flag.percent) == (active[0].rollout.key, active[0].percent)
        else:
            assert flag.driven_by is None
        for status in statuses:
            assert control.replay(status.rollout.key).agrees
            by_monitor = status.state == "rolled back" and status.rollout.cause == "monitor"
            assert len(status.incidents) == by_monitor
        assert workspace.check_audit().is_intact
        document = json.loads(flags.path.read_text())
        assert document["flags"] == flags.live_document()["flags"]
        assert document["flags"][FLAG]["targeting"]["fractional"][-2:] == [
            [share.variant, share.weight] for share in flag.split.shares
        ]
        return len(statuses), flags.opened.is_written


def kill_again_and_again(folder, *, n_rounds: int, seed: int) -> tuple[int, int]:
    """Kill a worker `n_rounds` times and check after each; return the number of rollouts and of mended files."""
    with Workspace.open(folder) as workspace:
        FlagStore(workspace)
    command = [sys.executable, "-c", textwrap.dedent(_ROUNDS), str(folder), str(n_rounds), str(seed)]
    n_rollouts = n_mended = 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(n_rounds):
            assert process.stdout.readline() == "killed\n"
            n_rollouts, mended = check_everything_agrees(folder)
            n_mended += mended
            process.stdin.write("next\n")
            process.stdin.flush()
        assert process.wait(30) == 0
    return n_rollouts, n_mended


@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="forks, which this system has not")
def test_killed_five_times_everything_still_agrees(tmp_path):
    """Four workers die by kill -9 at random moments of a rollout, a fifth before it has written the flag file."""
    n_rollouts, n_mended = kill_again_and_again(tmp_path / "workspace", n_rounds=5, seed=1)
    assert n_rollouts >= 2
    assert n_mended >= 1


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(sys, "getdlopenflags"), reason="forks, which this system has not")
def test_killed_fifty_times_everything_still_agrees(tmp_path):
    """The same fifty times; every fifth dies between the database and the flag file, which the next open mends."""
    n_rollouts, n_mended = kill_again_and_again(tmp_path / "workspace", n_rounds=50, seed=2)
    assert n_rollouts >= 20
    assert n_mended >= 10
