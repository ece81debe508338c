"""Background jobs: one at a time, what happens to each."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.errors import JobNotFoundError, ParameterError, WorkspaceError
from engine.progress import Cancelled, Progress, stop_if
from engine.workspace import JobRunner

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

_LONG_S = 30.0


class Gate:
    """Work that waits to be let go on, then asks whether to stop and returns `result`."""

    def __init__(self, result: Any = None) -> None:
        self.started = threading.Event()
        self.released = threading.Event()
        self._result = result

    def __call__(self, progress: Progress, cancelled: Cancelled) -> Any:
        """Report half of the work, wait, and return."""
        progress(0.5, "half way")
        self.started.set()
        assert self.released.wait(_LONG_S)
        stop_if(cancelled)
        return self._result


@pytest.fixture
def seconds() -> list[float]:
    """Return the time that the runner's clock shows, as a list of one to change."""
    return [100.0]


@pytest.fixture
def make_runner(seconds: list[float]) -> Iterator[Callable[..., JobRunner]]:
    """Return a function that makes a runner on the test's clock, and close them all afterwards."""
    runners = []

    def make(**options: Any) -> JobRunner:
        runners.append(JobRunner(clock=lambda: seconds[0], **options))
        return runners[-1]

    yield make
    for runner in runners:
        runner.close(timeout_s=_LONG_S)


@pytest.fixture
def runner(make_runner: Callable[..., JobRunner]) -> JobRunner:
    """Return a runner with one worker, so that what waits is known."""
    return make_runner(max_workers=1)


def _finish(runner: JobRunner, owner: str, work: Any) -> Any:
    return runner.wait(owner, runner.submit(owner, "work", work).id, timeout_s=_LONG_S)


def test_job_runs_from_queue_to_result(runner: JobRunner, seconds: list[float]) -> None:
    """A job waits, runs with its progress and time, and ends with what the work returned."""
    first, second = Gate("one"), Gate("two")
    running, waiting = (runner.submit("ann", label, gate) for label, gate in (("first", first), ("second", second)))
    assert first.started.wait(_LONG_S)
    seconds[0] += 3
    job = runner.job("ann", running.id)
    assert (job.label, job.state, job.share, job.message, job.elapsed_s) == ("first", "running", 0.5, "half way", 3.0)
    queued = runner.job("ann", waiting.id)
    assert (queued.state, queued.share, queued.elapsed_s, queued.is_finished) == ("queued", 0.0, 0.0, False)
    first.released.set()
    done = runner.wait("ann", running.id, timeout_s=_LONG_S)
    seconds[0] += 5
    assert (done.state, done.share, done.elapsed_s, done.error, done.is_finished) == ("done", 1.0, 3.0, None, True)
    assert runner.job("ann", running.id) == done
    assert runner.result("ann", running.id) == "one"
    second.released.set()
    assert runner.wait("ann", waiting.id, timeout_s=_LONG_S).state == "done"
    assert [job.label for job in runner.jobs("ann")] == ["second", "first"]


def test_another_owners_job_is_as_unknown_as_no_job(runner: JobRunner) -> None:
    """Whoever is not the owner gets the same error for a real id as for a made-up one, and stops nothing."""
    gate = Gate("secret")
    job = runner.submit("ann", "private label", gate)
    assert gate.started.wait(_LONG_S)
    for ask in (runner.job, runner.result, runner.cancel, runner.wait):
        for owner, job_id in (("bob", job.id), ("ann", "0" * 16), ("", job.id), ("ann ", job.id)):
            with pytest.raises(JobNotFoundError) as refusal:
                ask(owner, job_id)
            assert str(refusal.value).replace(job_id, "ID") == (
                "no such job of yours is known; found ID. It may have been forgotten; start it again."
            )
    assert runner.jobs("bob") == ()
    gate.released.set()
    assert runner.wait("ann", job.id, timeout_s=_LONG_S).state == "done"


def test_owners_take_turns(runner: JobRunner) -> None:
    """An owner with a long queue does not hold up the one who comes next."""
    gate = Gate()
    runner.submit("ann", "a0", gate)
    assert gate.started.wait(_LONG_S)
    order: list[str] = []
    jobs = [
        (owner, runner.submit(owner, label, lambda _progress, _cancelled, label=label: order.append(label)))
        for owner, label in (("ann", "a1"), ("ann", "a2"), ("ann", "a3"), ("bob", "b1"), ("bob", "b2"), ("cy", "c1"))
    ]
    gate.released.set()
    for owner, job in jobs:
        assert runner.wait(owner, job.id, timeout_s=_LONG_S).state == "done"
    assert order == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_queue_is_bounded_for_each_owner(make_runner: Callable[..., JobRunner]) -> None:
    """The third waiting job of an owner is refused in a sentence; another owner may still queue."""
    runner = make_runner(max_workers=1, max_queued=2)
    gate = Gate()
    runner.submit("ann", "runs", gate)
    assert gate.started.wait(_LONG_S)
    waiting = [runner.submit("ann", "waits", Gate()) for _ in range(2)]
    with pytest.raises(WorkspaceError, match="at most 2 jobs may wait at once. Wait for one to start"):
        runner.submit("ann", "too many", Gate())
    assert len(runner.jobs("ann")) == 3
    runner.cancel("bob", runner.submit("bob", "his own", Gate()).id)
    runner.cancel("ann", waiting[0].id)
    runner.cancel("ann", runner.submit("ann", "room again", Gate()).id)
    runner.cancel("ann", waiting[1].id)
    gate.released.set()


def test_waiting_job_is_cancelled_at_once(runner: JobRunner) -> None:
    """A job that waits is cancelled without ever being started."""
    gate, never = Gate(), Gate()
    runner.submit("ann", "runs", gate)
    assert gate.started.wait(_LONG_S)
    waiting = runner.submit("ann", "waits", never)
    assert runner.cancel("ann", waiting.id).state == "cancelled"
    gate.released.set()
    assert _finish(runner, "ann", lambda _progress, _cancelled: 1).state == "done"
    assert not never.started.is_set()
    with pytest.raises(WorkspaceError, match="only a job that is done has a result; found cancelled"):
        runner.result("ann", waiting.id)


def test_running_job_is_cancelled_when_it_asks(runner: JobRunner) -> None:
    """A running job shows that it is asked to stop, and is cancelled once its work has noticed."""
    gate = Gate("unused")
    job = runner.submit("ann", "runs", gate)
    assert gate.started.wait(_LONG_S)
    asked = runner.cancel("ann", job.id)
    assert (asked.state, asked.cancelling) == ("running", True)
    gate.released.set()
    ended = runner.wait("ann", job.id, timeout_s=_LONG_S)
    assert (ended.state, ended.cancelling, ended.error) == ("cancelled", False, None)
    assert runner.cancel("ann", job.id) == ended


def test_broken_rule_is_told_as_it_is(runner: JobRunner) -> None:
    """An engine error inside a job is the job's error, sentence for sentence, and the worker goes on."""

    def work(_progress: Progress, _cancelled: Cancelled) -> None:
        raise ParameterError("k must be at least 1", found=0, hint="Ask for one neighbour or more")

    job = _finish(runner, "ann", work)
    assert (job.state, job.error) == ("failed", "k must be at least 1; found 0. Ask for one neighbour or more.")
    with pytest.raises(WorkspaceError, match="found failed. k must be at least 1"):
        runner.result("ann", job.id)
    assert _finish(runner, "ann", lambda _progress, _cancelled: 1).state == "done"


@pytest.mark.parametrize("error", [ZeroDivisionError("secret detail"), SystemExit(3), KeyboardInterrupt()])
def test_unexpected_error_is_logged_under_an_id(
    runner: JobRunner, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    """The user reads a plain sentence with an id, the log has the traceback under that id, and the worker goes on."""

    def work(_progress: Progress, _cancelled: Cancelled) -> None:
        raise error

    with caplog.at_level(logging.ERROR, logger="engine.workspace.jobs"):
        job = _finish(runner, "ann", work)
    assert job.state == "failed"
    assert job.error is not None
    assert "secret" not in job.error
    [record] = caplog.records
    assert record.getMessage().split()[-1] in job.error
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert _finish(runner, "ann", lambda _progress, _cancelled: 1).state == "done"


def test_lack_of_memory_has_its_own_sentence(runner: JobRunner) -> None:
    """A job that runs out of memory tells what to try."""

    def work(_progress: Progress, _cancelled: Cancelled) -> None:
        raise MemoryError

    assert "not enough memory" in (_finish(runner, "ann", work).error or "")


@pytest.mark.parametrize(
    ("share", "shown"), [(-1, 0.0), (2.5, 1.0), (float("nan"), 0.0), (float("inf"), 0.0), (np.float32(0.25), 0.25)]
)
def test_shares_are_within_zero_and_one(runner: JobRunner, share: float, shown: float) -> None:
    """Whatever share the work reports, a progress bar can show it; messages stay on one line."""

    def work(progress: Progress, _cancelled: Cancelled) -> None:
        progress(share, "line\nbreak\u202e")
        raise ParameterError("stop here")

    job = _finish(runner, "ann", work)
    assert (job.share, job.message) == (shown, "line break")


def test_oldest_finished_jobs_are_forgotten(make_runner: Callable[..., JobRunner]) -> None:
    """Beyond the bound the oldest finished job of an owner goes, with its result's memory; others keep theirs."""
    runner = make_runner(max_workers=1, max_finished=2)
    theirs = _finish(runner, "bob", lambda _progress, _cancelled: "bob's")
    first = _finish(runner, "ann", lambda _progress, _cancelled: np.zeros(10))
    kept_alive = weakref.ref(runner.result("ann", first.id))
    later = [_finish(runner, "ann", lambda _progress, _cancelled: 0).id for _ in range(2)]
    assert [job.id for job in runner.jobs("ann")] == later[::-1]
    with pytest.raises(JobNotFoundError):
        runner.result("ann", first.id)
    gc.collect()
    assert kept_alive() is None
    assert runner.result("bob", theirs.id) == "bob's"


def test_what_the_work_held_is_let_go(runner: JobRunner) -> None:
    """Once a job is finished the runner holds its result, not the data its work closed over."""
    corpus = np.zeros(10)
    alive = weakref.ref(corpus)

    def submitted(data: np.ndarray[Any, Any]) -> str:
        return runner.submit("ann", "sum", lambda _progress, _cancelled: float(data.sum())).id

    job_id = submitted(corpus)
    del corpus
    assert runner.wait("ann", job_id, timeout_s=_LONG_S).state == "done"
    gc.collect()
    assert alive() is None
    assert runner.result("ann", job_id) == 0.0


def test_idle_owners_lose_finished_jobs_only(make_runner: Callable[..., JobRunner], seconds: list[float]) -> None:
    """Finished jobs of an owner who stays away are dropped; what still runs goes on and is there on return."""
    runner = make_runner(max_workers=2, max_idle_s=60)
    gate = Gate("kept")
    finished = _finish(runner, "ann", lambda _progress, _cancelled: 1)
    running = runner.submit("ann", "long", gate)
    assert gate.started.wait(_LONG_S)
    seconds[0] += 60
    runner.jobs("bob")
    assert runner.result("ann", finished.id) == 1
    seconds[0] += 61
    runner.jobs("bob")
    assert [job.id for job in runner.jobs("ann")] == [running.id]
    gate.released.set()
    assert runner.wait("ann", running.id, timeout_s=_LONG_S).state == "done"
    assert runner.result("ann", running.id) == "kept"


def test_closing_cancels_everything(make_runner: Callable[..., JobRunner]) -> None:
    """Closing cancels what waits, asks what runs to stop, refuses new work, and may be repeated."""
    runner = make_runner(max_workers=1)
    running = threading.Event()

    def until_cancelled(_progress: Progress, cancelled: Cancelled) -> None:
        running.set()
        while True:
            stop_if(cancelled)
            threading.Event().wait(0.001)

    jobs = [runner.submit("ann", "work", work) for work in (until_cancelled, Gate())]
    assert running.wait(_LONG_S)
    runner.close()
    assert [runner.job("ann", job.id).state for job in jobs] == ["cancelled", "cancelled"]
    with pytest.raises(WorkspaceError, match="while Dimshift is stopping"):
        runner.submit("ann", "late", Gate())
    runner.close()


def test_more_workers_run_more_jobs(make_runner: Callable[..., JobRunner]) -> None:
    """Two workers run two jobs at the same time and no third."""
    runner = make_runner(max_workers=2)
    gates = [Gate() for _ in range(3)]
    jobs = [runner.submit("ann", "work", gate) for gate in gates]
    assert gates[0].started.wait(_LONG_S)
    assert gates[1].started.wait(_LONG_S)
    assert runner.job("ann", jobs[2].id).state == "queued"
    for gate in gates:
        gate.released.set()
    assert all(runner.wait("ann", job.id, timeout_s=_LONG_S).state == "done" for job in jobs)


@pytest.mark.parametrize("option", ["max_workers", "max_finished", "max_queued"])
def test_bounds_must_be_positive(option: str) -> None:
    """A runner that could run, keep or queue nothing is refused."""
    with pytest.raises(ParameterError, match="must be at least 1; found 0"):
        JobRunner(**{option: 0})


def test_process_ends_while_a_job_runs(start_python: Callable[..., subprocess.Popen[str]]) -> None:
    """Ctrl-C does not wait for a job: one that listens is cancelled in order, one that does not is left behind."""
    process = start_python(
        """
        import threading
        from engine.errors import CancelledError
        from engine.workspace import JobRunner
        started = threading.Barrier(3)
        def listens(progress, cancelled):
            started.wait()
            while not cancelled():
                threading.Event().wait(0.01)
            print("stopped in order", flush=True)
            raise CancelledError
        def deaf(progress, cancelled):
            started.wait()
            threading.Event().wait()
        runner = JobRunner(max_workers=2)
        runner.submit("ann", "listens", listens)
        runner.submit("ann", "deaf", deaf)
        started.wait()
        """
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "stopped in order\n", "")
