"""The simulated clock of a rollout, kept in the workspace so that the browser and the shell step the same one.

Every rollout on simulated time has a clock of its own: stepping through one rehearsal does not age another.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from engine.errors import ParameterError, RolloutError

if TYPE_CHECKING:
    from engine.workspace.records import Ledger

CLOCK_KIND = "clock"

LONGEST_STEP = timedelta(days=366)

_LAST_YEAR = 9000  # far from where adding a schedule to a moment overflows


def begin_clock(ledger: Ledger, key: str, *, at: datetime, actor: str) -> datetime:
    """Set the simulated clock of the rollout `key` to the full second of `at` and return that moment."""
    moment = at.astimezone(UTC).replace(microsecond=0)
    body = {"now": moment.isoformat()}
    ledger.put(CLOCK_KIND, key, body, expected_version=None, actor=actor, action="begin clock")
    return moment


def simulated_now(ledger: Ledger, key: str) -> datetime:
    """Return the moment that the simulated clock of the rollout `key` shows. Raises RolloutError without one."""
    record = ledger.get(CLOCK_KIND, key)
    if record is None:
        raise RolloutError("only a rollout on simulated time has a clock to step", found=f"rollout {key}, on real time")
    return datetime.fromisoformat(str(record.body["now"]))


def step_clock(ledger: Ledger, key: str, step: timedelta, *, actor: str) -> datetime:
    """Move the simulated clock of the rollout `key` on by `step` and return the new moment.

    Raises
    ------
    RolloutError
        When the rollout runs on real time.
    ParameterError
        When the step is not positive, or longer than `LONGEST_STEP`: a clock never goes back.
    """
    now = simulated_now(ledger, key)
    if not timedelta(0) < step <= LONGEST_STEP or (now + step).year > _LAST_YEAR:
        raise ParameterError(
            f"a simulated clock steps forward, by at most {LONGEST_STEP.days} days",
            found=f"{step / timedelta(days=1):g} days",
        )
    moment = now + step
    body = {"now": moment.isoformat()}
    ledger.put(CLOCK_KIND, key, body, expected_version=None, actor=actor, action="step clock")
    return moment
