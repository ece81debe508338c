"""What stands in the way of a step: the kill switch, critical alerts, too little data, the day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from engine.errors import RolloutError

Action = Literal["edit", "start", "advance", "pause", "resume", "roll back", "complete"]

_NONE = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What the world says at the moment of a step: critical alerts, data that is missing, why everything is killed.

    `warnings` are alerts that stand against nothing; they are kept with the step that went on in spite of them.
    """

    critical: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    killed: str = ""
    warnings: tuple[str, ...] = ()


OPEN = Gate()
"""Nothing stands against going on."""


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """One reason why a step is refused; only some can be overridden with a typed reason."""

    kind: Literal["kill switch", "critical alert", "too little data", "day"]
    rule: str
    found: str
    hint: str
    can_be_overridden: bool = True

    @property
    def sentence(self) -> str:
        """The obstacle as people read it."""
        return str(self.as_error())

    def as_error(self) -> RolloutError:
        """Return the error that refuses the step."""
        return RolloutError(self.rule, found=self.found, hint=self.hint)


def obstacles_of(action: Action, gate: Gate, *, left: timedelta) -> tuple[Obstacle, ...]:
    """Return everything that stands against `action`, the gravest first; `left` is what the stage has yet to run."""
    if action not in {"start", "advance", "resume", "complete"}:
        return ()
    found = []
    if gate.killed:
        found.append(_killed(action, gate))
    if action != "start" and gate.critical:
        found.append(_critical(action, gate))
    if action in {"advance", "complete"}:
        if gate.missing:
            found.append(_too_little_data(action, gate))
        if left > _NONE:
            found.append(_too_early(action, left))
    return tuple(found)


def _killed(action: Action, gate: Gate) -> Obstacle:
    return Obstacle(
        kind="kill switch",
        rule=f"a rollout cannot {action} while the kill switch is on",
        found=gate.killed,
        hint="Restore the flags first",
        can_be_overridden=False,
    )


def _critical(action: Action, gate: Gate) -> Obstacle:
    return Obstacle(
        kind="critical alert",
        rule=f"a rollout cannot {action} while a critical alert stands",
        found=_joined(gate.critical),
        hint="Find the cause or roll back; an override takes a typed reason",
    )


def _too_little_data(action: Action, gate: Gate) -> Obstacle:
    return Obstacle(
        kind="too little data",
        rule=f"a rollout cannot {action} before the monitor has enough data",
        found=_joined(gate.missing),
        hint="Append observations or wait for more; an override takes a typed reason",
    )


def _too_early(action: Action, left: timedelta) -> Obstacle:
    hours = left / timedelta(hours=1)
    found = f"{hours / 24:,.1f} days to go" if hours >= 48 else f"{hours:,.1f} hours to go"
    return Obstacle(
        kind="day",
        rule=f"a rollout cannot {action} before the day of the next stage has come",
        found=found,
        hint="Wait for the day; an override takes a typed reason",
    )


def _joined(sentences: tuple[str, ...]) -> str:
    more = f" and {len(sentences) - 1:,} more" if len(sentences) > 1 else ""
    return sentences[0].rstrip(".") + more
