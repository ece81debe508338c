"""The live state that a runbook is filled from: rollout, flag, kill switch, migration, who is on call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import RolloutError
from engine.migration.cut_over import FLAG as CUT_OVER_FLAG
from engine.present.runbook.counting import migration_report, newest_migration
from engine.present.runbook.owners import OnCall, plan_owners
from engine.present.runbook.storage import kept_in
from engine.rollout import RolloutControl, RolloutState

if TYPE_CHECKING:
    from datetime import datetime

    from engine.flags import Flag, FlagStore, KillState
    from engine.migration import MigrationReport
    from engine.migration.job import MigrationJob
    from engine.present.runbook.storage import Kept
    from engine.rollout import RolloutStatus
    from engine.workspace import AuditEvent, Workspace

_STANDARD_FLAG = "use_reduced_dims"
_ORDER = (
    RolloutState.RUNNING,
    RolloutState.PAUSED,
    RolloutState.DRAFT,
    RolloutState.COMPLETED,
    RolloutState.ROLLED_BACK,
)


@dataclass(frozen=True, kw_only=True)
class Situation:
    """Everything that the runbook is filled from, at the moment `now`.

    `rollout` is the one that it is about, `rollouts` the keys of all, the likeliest first, `others` further ones that
    drive a flag; `flag` is its flag, or the one that
    a rollout would be about. `cut_over` is the flag that sends searches to the target store. `last_kill` and
    `last_restore` are the newest of the audit log.
    """

    now: datetime
    rollout: RolloutStatus | None
    rollouts: tuple[str, ...]
    others: tuple[RolloutStatus, ...]
    flag: Flag | None
    cut_over: Flag | None
    n_flags: int
    killed: KillState | None
    last_kill: AuditEvent | None
    last_restore: AuditEvent | None
    migration: MigrationJob | None
    report: MigrationReport | None
    on_call: tuple[OnCall, ...]
    kept: Kept

    @property
    def about(self) -> str:
        """The key of the rollout, empty for none."""
        return "" if self.rollout is None else self.rollout.rollout.key


def situation_of(workspace: Workspace, flags: FlagStore, *, rollout: str | None) -> Situation:
    """Read the live state; `rollout` names the rollout that the runbook shall be about.

    Without, it is the running one, else a paused one, a draft, the newest that has ended. Raises RolloutError when
    there is none of that key.
    """
    statuses = _likeliest_first(RolloutControl(workspace, flags).rollouts())
    chosen = _chosen(statuses, rollout)
    with workspace.records() as ledger:
        now, kept, job = ledger.now, kept_in(ledger), newest_migration(ledger)
        writer = flags.in_ledger(ledger)
        known, killed = {flag.key: flag for flag in writer.flags()}, writer.killed
    key = _STANDARD_FLAG if chosen is None else chosen.rollout.flag_key
    flag = known.get(key) or (None if chosen is not None else next(iter(known.values()), None))
    return Situation(
        now=now,
        rollout=chosen,
        rollouts=tuple(one.rollout.key for one in statuses),
        others=tuple(one for one in statuses if one is not chosen and one.rollout.is_active),
        flag=flag,
        cut_over=known.get(CUT_OVER_FLAG),
        n_flags=len(known),
        killed=killed,
        last_kill=_newest(flags, "kill"),
        last_restore=_newest(flags, "restore"),
        migration=job,
        report=None if job is None else migration_report(workspace, job),
        on_call=(*plan_owners(workspace), *_named_owners(chosen, flag)),
        kept=kept,
    )


def _likeliest_first(statuses: tuple[RolloutStatus, ...]) -> tuple[RolloutStatus, ...]:
    # Newest first, then by state: sorting keeps the order of equals.
    newest = sorted(statuses, key=lambda one: one.rollout.changed_at, reverse=True)
    return tuple(sorted(newest, key=lambda one: _ORDER.index(one.state)))


def _chosen(statuses: tuple[RolloutStatus, ...], key: str | None) -> RolloutStatus | None:
    if key is None:
        return statuses[0] if statuses else None
    found = next((one for one in statuses if one.rollout.key == key), None)
    if found is None:
        known = ", ".join(one.rollout.key for one in statuses[:5])
        raise RolloutError(
            "no such rollout is in this workspace",
            found=key,
            hint=f"There is {known}" if known else "Create one first",
        )
    return found


def _newest(flags: FlagStore, action: str) -> AuditEvent | None:
    events = flags.history(key="kill", limit=20)
    return next((event for event in events if event.kind == "switch" and event.action == action), None)


def _named_owners(chosen: RolloutStatus | None, flag: Flag | None) -> tuple[OnCall, ...]:
    found = []
    if chosen is not None and chosen.rollout.owner:
        found.append(OnCall(role="Rollout owner", name=chosen.rollout.owner))
    if flag is not None and flag.owner:
        found.append(OnCall(role="Flag owner", name=flag.owner))
    return tuple(found)
