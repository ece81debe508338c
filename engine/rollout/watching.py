"""Look at rollouts again and again, so that they take the steps they take by themselves without a browser."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.rollout.control import RolloutControl
    from engine.rollout.status import RolloutStatus

_MOST_FAILURES = 5


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a look found to be otherwise than the look before; `is_stop` when the rollout stopped itself."""

    status: RolloutStatus
    is_stop: bool


class RolloutWatch:
    """Looks at the rollout `key`, or at every one that drives its flag, and tells what has changed since."""

    def __init__(self, control: RolloutControl, key: str | None = None) -> None:
        self._control = control
        self._key = key
        self._told: dict[str, RolloutStatus] = {}

    @property
    def is_over(self) -> bool:
        """Whether the one rollout that is watched has ended; without a key there may always come another."""
        seen = None if self._key is None else self._told.get(self._key)
        return seen is not None and seen.rollout.ended_at is not None

    @property
    def stopped(self) -> tuple[str, ...]:
        """The keys of the rollouts seen that stopped themselves and that nobody has resumed since."""
        return tuple(key for key, status in self._told.items() if status.is_stopped_by_itself)

    def look(self) -> tuple[Change, ...]:
        """Settle every rollout that is watched, and return what has changed; at the first look all of them.

        Raises RolloutError when there is no rollout `key`, WorkspaceError when the workspace does not answer.
        """
        found = (self._look_at(before) for before in self._watched())
        return tuple(one for one in found if one is not None)

    def _watched(self) -> tuple[RolloutStatus, ...]:
        if self._key is not None:
            return (self._control.status(self._key, settle=False),)
        return tuple(one for one in self._control.rollouts() if one.rollout.is_active or one.rollout.key in self._told)

    def _look_at(self, unsettled: RolloutStatus) -> Change | None:
        key = unsettled.rollout.key
        before = self._told.get(key, unsettled)
        after = self._control.status(key) if unsettled.rollout.is_active else unsettled
        if key in self._told and _told_of(after) == _told_of(before):
            return None
        self._told[key] = after
        return Change(status=after, is_stop=after.is_stopped_by_itself and after.state is not before.state)


def watch_rollouts(
    watch: RolloutWatch,
    *,
    every_s: float,
    for_s: float | None,
    failed: Callable[[WorkspaceError], None],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Change]:
    """Look every `every_s` seconds and yield each change, until one is a stop, `for_s` seconds are over or all is.

    A workspace that does not answer is told to `failed` and asked again, five times in a row at most.

    Raises
    ------
    RolloutError
        When there is no such rollout.
    WorkspaceError
        When the workspace does not answer any more.
    """
    ends_at, n_failures = None if for_s is None else clock() + for_s, 0
    while True:
        try:
            changes, n_failures = watch.look(), 0
        except WorkspaceError as error:
            changes, n_failures = (), n_failures + 1
            if n_failures >= _MOST_FAILURES or (ends_at is not None and clock() + every_s > ends_at):
                raise
            failed(error)
        yield from changes
        is_late = ends_at is not None and clock() + every_s > ends_at
        if is_late or watch.is_over or any(change.is_stop for change in changes):
            return
        sleep(every_s)


def _told_of(status: RolloutStatus) -> tuple[object, ...]:
    alerts = frozenset((one.metric, one.severity, one.rolls_back) for one in status.alerts)
    return status.state, status.percent, status.rollout.reason, status.is_killed, alerts, status.warnings
