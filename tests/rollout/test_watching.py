"""Looking again and again: what is told, when it ends, and what a workspace that does not answer does to it."""

from __future__ import annotations

import pytest

from engine.errors import RolloutError, WorkspaceError
from engine.rollout.watching import RolloutWatch, watch_rollouts


class _Seconds:
    """A clock that only sleeping moves on; `then` is done while it sleeps for the first time."""

    def __init__(self, then=lambda: None) -> None:
        self.now, self.slept, self._then = 0.0, [], then

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.slept.append(seconds)
        if len(self.slept) == 1:
            self._then()


def _watched(control, key=None, *, for_s=100.0, then=lambda: None, failed=None):
    """Watch every ten seconds; return the watch, its changes and the clock."""
    seconds, watch, told = _Seconds(then), RolloutWatch(control, key), []
    told += watch_rollouts(
        watch, every_s=10, for_s=for_s, failed=failed or pytest.fail, sleep=seconds.sleep, clock=seconds
    )
    return watch, told, seconds


def test_looking_settles_what_nobody_looks_at(running, clock):
    """Two days without data: the second look pauses the rollout, and the watch ends with it as a stop."""
    watch, told, seconds = _watched(running, then=lambda: clock.pass_days(2))
    assert [(one.status.state, one.is_stop) for one in told] == [("running", False), ("paused", True)]
    assert (watch.stopped, seconds.slept) == (("ramp",), [10])
    assert running.status("ramp", settle=False).state == "paused"


def test_a_stop_at_the_first_look_counts(flags, running):
    """A kill before the watch began is settled and told by its first look."""
    flags.kill(actor="bob", typed="kill")
    _, told, seconds = _watched(running, "ramp")
    assert [(one.status.state, one.is_stop) for one in told] == [("paused", True)]
    assert seconds.slept == []


def test_nothing_new_is_told_once_and_the_time_ends_it(running):
    """Of eleven looks in a hundred seconds only the first tells anything; nothing has stopped."""
    watch, told, seconds = _watched(running)
    assert (len(told), len(seconds.slept), watch.stopped) == (1, 10, ())
    assert len(_watched(running, for_s=0.0)[2].slept) == 0


def test_a_pause_by_a_person_is_told_and_does_not_end_it(running):
    """What people do is news but no stop; the watch goes on to its end."""
    watch, told, seconds = _watched(running, then=lambda: running.pause("ramp", actor="ann", reason="lunch"))
    assert [(one.status.state, one.is_stop) for one in told] == [("running", False), ("paused", False)]
    assert (len(seconds.slept), watch.stopped) == (10, ())


def test_a_rollout_that_stood_stopped_before_is_no_news_and_still_counts(running, clock, flags):
    """Found paused by the kill switch: the watch goes on for its time, and at the end names it as stopped."""
    flags.kill(actor="bob", typed="kill")
    running.status("ramp")
    watch, told, seconds = _watched(running)
    assert ([one.is_stop for one in told], len(seconds.slept), watch.stopped) == ([False], 10, ("ramp",))


def test_the_end_of_the_one_rollout_ends_the_watch(running):
    """A rollout that a person rolls back is over and not stopped; without a key a watch waits for the next one."""
    watch, told, seconds = _watched(
        running, "ramp", for_s=None, then=lambda: running.roll_back("ramp", actor="a", reason="x", typed="roll back")
    )
    assert ([one.status.state for one in told], seconds.slept, watch.stopped) == (["running", "rolled back"], [10], ())
    assert len(_watched(running)[2].slept) == 10


def test_new_rollouts_are_watched_as_they_start(running):
    """A watch without a key sees a rollout that starts after it began; drafts are none of its business."""

    def start():
        running.create("next", flag_key="enable_new_index", actor="ann")
        running.create("draft", flag_key="enable_new_index", actor="ann")
        running.start("next", actor="ann")

    _, told, _ = _watched(running, then=start)
    assert [one.status.rollout.key for one in told] == ["ramp", "next"]


class _Silent:
    """A control that does not answer `n` times."""

    def __init__(self, control, n) -> None:
        self._control, self.n_left = control, n

    def __getattr__(self, name):
        if self.n_left > 0:
            self.n_left -= 1
            raise WorkspaceError("the database must answer")
        return getattr(self._control, name)


def test_a_workspace_that_does_not_answer_is_told_and_asked_again(running):
    """Four failures in a row are told and survived; five, or one that is the last word, end the watch loudly."""
    failures = []
    _, told, _ = _watched(_Silent(running, 4), failed=failures.append)
    assert (len(failures), len(told)) == (4, 1)
    with pytest.raises(WorkspaceError, match="must answer"):
        _watched(_Silent(running, 99), failed=failures.append, for_s=None)
    with pytest.raises(WorkspaceError, match="must answer"):
        _watched(_Silent(running, 1), for_s=0.0)


def test_an_unknown_rollout_is_refused(running):
    """A watch of nothing does not wait for it."""
    with pytest.raises(RolloutError, match="no such rollout"):
        _watched(running, "rump")
