"""Put the runbook together from what is kept and from the live state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.flags import FlagStore
from engine.present.runbook.checks import CHECKS, judge_check
from engine.present.runbook.evidence import evidence_of
from engine.present.runbook.situation import situation_of
from engine.present.runbook.steps import steps_of, triggers_of

if TYPE_CHECKING:
    from datetime import datetime

    from engine.present.runbook.checks import Check, CheckKey, CheckState
    from engine.present.runbook.owners import OnCall
    from engine.present.runbook.situation import Situation
    from engine.present.runbook.steps import Step, Trigger
    from engine.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class Runbook:
    """The runbook as it stands at `made_at`: checklist, triggers, numbered steps, people.

    `rollout` is the key of the rollout that it is about, empty without one, and `rollouts` those of all there are;
    `migration` is the id of the migration whose source is the backup; `percent` the share of users that see the
    treatment of `flag_key` now. `situation` says all that in sentences, `triggers_are` whose the triggers
    are. `labels` is ``("simulated",)`` for a rollout on simulated time.
    """

    made_at: datetime
    workspace_id: str
    rollout: str
    rollouts: tuple[str, ...]
    migration: str
    state: str
    flag_key: str
    safe_variant: str
    percent: float
    is_killed: bool
    situation: tuple[str, ...]
    labels: tuple[str, ...]
    checks: tuple[Check, ...]
    triggers_are: str
    triggers: tuple[Trigger, ...]
    steps: tuple[Step, ...]
    on_call: tuple[OnCall, ...]
    days_until_stale: int

    def check(self, key: CheckKey) -> Check:
        """Return one item of the checklist."""
        return next(check for check in self.checks if check.key == key)

    def count(self, state: CheckState) -> int:
        """Return how many items are in `state`."""
        return sum(check.state == state for check in self.checks)

    @property
    def is_ready(self) -> bool:
        """Whether every item is done."""
        return self.count("done") == len(self.checks)

    @property
    def readiness(self) -> str:
        """How far the checklist is, in one sentence."""
        n_done, n_all = self.count("done"), len(self.checks)
        if self.is_ready:
            return f"All {n_all:,} items of the checklist are done."
        parts = [f"{self.count(state):,} {state}" for state in ("open", "stale", "not met") if self.count(state)]
        return f"{n_done:,} of {n_all:,} items of the checklist are done; {', '.join(parts)}."


def look_at(workspace: Workspace, *, flags: FlagStore | None = None, rollout: str | None = None) -> Runbook:
    """Return the runbook of `workspace` as it stands now; nothing is written, no store is asked and no flag moves.

    `rollout` names the rollout that it shall be about; without, it is the one that runs, else a paused one, a draft, or
    the newest that has ended. Raises RolloutError when there is none of that key.
    """
    flags = FlagStore(workspace) if flags is None else flags
    found = situation_of(workspace, flags, rollout=rollout)
    evidence, kept = evidence_of(found), found.kept
    status, flag = found.rollout, found.flag
    checks = tuple(
        judge_check(
            spec,
            evidence[spec.key],
            kept.ticks.get(spec.key),
            about=found.about,
            now=found.now,
            days_until_stale=kept.days_until_stale,
        )
        for spec in CHECKS
    )
    return Runbook(
        made_at=found.now,
        workspace_id=workspace.id,
        rollout=found.about,
        rollouts=found.rollouts,
        migration="" if found.migration is None else found.migration.id,
        state="" if status is None else status.state.value,
        flag_key="" if flag is None else flag.key,
        safe_variant="" if flag is None else flag.safe_variant,
        percent=0.0 if status is None else status.percent,
        is_killed=found.killed is not None,
        situation=_in_words(found),
        labels=() if status is None else status.labels,
        checks=checks,
        triggers_are=_whose_triggers(found),
        triggers=triggers_of(found),
        steps=steps_of(found),
        on_call=found.on_call,
        days_until_stale=kept.days_until_stale,
    )


def _whose_triggers(found: Situation) -> str:
    if found.rollout is None:
        return "The thresholds that a rollout starts from; none is planned yet."
    return f"The thresholds of rollout {found.about}, against control, and only when the interval excludes no change."


def _in_words(found: Situation) -> tuple[str, ...]:
    said = []
    if found.killed is not None:
        killed = found.killed
        why = killed.reason.rstrip(".") or "no reason given"
        said.append(
            f"The kill switch is on since {killed.at:%Y-%m-%d %H:%M} UTC, by {killed.actor}: {why}. Every flag is at "
            "its safe variant."
        )
    if found.rollout is None:
        said.append("No rollout is in this workspace yet: plan one, and the steps below name it.")
    else:
        said.append(found.rollout.sentence)
    said += [f"Also: {one.sentence}" for one in found.others]
    return tuple(said)
