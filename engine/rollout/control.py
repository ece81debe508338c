"""The control plane of rollouts: what a page, a shell or a script asks for, each one transaction."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import RolloutError
from engine.rollout.clock import step_clock
from engine.rollout.history import ROLLOUT_KIND, HistoryEntry, replay, rollout_events
from engine.rollout.incidents import close_incident, incidents
from engine.rollout.machine import Rollout
from engine.rollout.schedule import DEFAULT_SCHEDULE
from engine.rollout.series import LookPoint, look_series
from engine.rollout.storage import rollout_of
from engine.rollout.thresholds import Thresholds
from engine.rollout.view import due_step, kept_rollout, no_such_rollout, observations_of, view_status
from engine.rollout.writer import Asked, RolloutWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

    from engine.flags import Flag, FlagStore
    from engine.rollout.incidents import Incident
    from engine.rollout.observations import Observation
    from engine.rollout.schedule import Schedule
    from engine.rollout.status import RolloutStatus
    from engine.rollout.view import View
    from engine.workspace import Identity, Ledger, Workspace

ROLL_BACK_WORD = "roll back"
"""What must be typed to roll back."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What appending observations did: how many were new or there already, and where the rollout stands after it."""

    n_new: int
    n_known: int
    status: RolloutStatus


@dataclass(frozen=True, kw_only=True)
class Replay:
    """The history of a rollout, replayed from the audit log; `agrees` when it ends in the very record that is kept."""

    entries: tuple[HistoryEntry, ...]
    agrees: bool


class RolloutControl:
    """The rollouts of `workspace`; safe to share between threads, and any number of processes may have one each.

    Every method is one transaction: rollout, weights of the flag, audit log and incident are kept together or not at
    all. The flag file follows after it; when a process dies in between, the next `FlagStore` that opens mends it.
    Methods that change something take the `expected_version` that was read: when somebody else was faster they raise
    ConflictError and change nothing. Real time is the workspace's clock; a rollout on simulated time has its own.
    """

    def __init__(self, workspace: Workspace, flags: FlagStore) -> None:
        self.workspace = workspace
        self._flags = flags

    def acting_as(self, identity: Identity) -> RolloutControl:
        """Return a control that takes the steps `identity` may take; those of the monitor and the schedule stay theirs.

        Raises AccessError; see `engine.workspace.Workspace.acting_as`.
        """
        return RolloutControl(self.workspace.acting_as(identity), self._flags.acting_as(identity))

    def create(
        self,
        key: str,
        *,
        flag_key: str,
        actor: str,
        treatment: str | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
        thresholds: Thresholds | None = None,
        hash_key: str | None = None,
        owner: str = "",
        description: str = "",
        is_simulated: bool = False,
        is_automatic: bool = False,
        reason: str = "",
    ) -> RolloutStatus:
        """Make a draft that ramps the variant `treatment` of a flag, its only unsafe one by default.

        Users are bucketed by `hash_key`, that of the flag's percentage by default. An automatic rollout advances by
        itself when the day has come and nothing stands against it.

        Raises
        ------
        FlagError
            When there is no such flag or variant.
        RolloutError
            When the treatment is the safe variant, or a rollout of that key is there.
        ParameterError
            When a text is too long.
        """
        with self._writing("create") as (ledger, writer):
            flag = self._flags.in_ledger(ledger).flag(flag_key)
            growing, control = _variants(flag, treatment)
            present = None if flag.split is None else flag.split.hash_key
            draft = Rollout(
                key=key,
                flag_key=flag.key,
                treatment=growing,
                control=control,
                hash_key=hash_key or present or flag.key,
                schedule=schedule,
                thresholds=thresholds or Thresholds(),
                created_at=ledger.now,
                changed_at=ledger.now,
                changed_by=actor,
                owner=owner,
                description=description,
                is_simulated=is_simulated,
                is_automatic=is_automatic,
            )
            writer.create(draft, actor=actor, reason=reason)
            return self._seen(ledger, writer.view(key))

    def edit(
        self,
        key: str,
        *,
        expected_version: int,
        actor: str,
        schedule: Schedule | None = None,
        thresholds: Thresholds | None = None,
        is_automatic: bool | None = None,
        reason: str = "",
    ) -> RolloutStatus:
        """Change a draft, or the stages ahead and the thresholds of a paused rollout.

        Raises RolloutError in another state, ParameterError when stages that were entered would change.
        """
        return self._take(
            key,
            Asked(
                action="edit",
                expected_version=expected_version,
                actor=actor,
                reason=reason,
                schedule=schedule,
                thresholds=thresholds,
                is_automatic=is_automatic,
            ),
        )

    def start(self, key: str, *, actor: str, expected_version: int | None = None, reason: str = "") -> RolloutStatus:
        """Begin the first stage of a draft.

        Raises RolloutError when another rollout drives the flag, the kill switch is on, or users would lose the
        treatment.
        """
        return self._take(key, Asked(action="start", actor=actor, expected_version=expected_version, reason=reason))

    def advance(
        self, key: str, *, actor: str, expected_version: int | None = None, reason: str = "", override: str = ""
    ) -> RolloutStatus:
        """Begin the next stage.

        Refused with RolloutError while the kill switch is on, a critical alert stands, there is too little data, or
        the day has not come; `override`, a typed reason that is recorded, goes on against all but the kill switch.
        """
        return self._take(
            key,
            Asked(action="advance", actor=actor, expected_version=expected_version, reason=reason, override=override),
        )

    def pause(self, key: str, *, actor: str, reason: str, expected_version: int | None = None) -> RolloutStatus:
        """Stop the ramp where it is: users who have the treatment keep it, and the days stand still."""
        return self._take(key, Asked(action="pause", actor=actor, expected_version=expected_version, reason=reason))

    def resume(
        self, key: str, *, actor: str, expected_version: int | None = None, reason: str = "", override: str = ""
    ) -> RolloutStatus:
        """Let a paused rollout run on; what is left of its stage begins now, and so does what the monitor judges.

        Refused with RolloutError while the kill switch is on, or a critical alert stands that is not overridden.
        """
        return self._take(
            key,
            Asked(action="resume", actor=actor, expected_version=expected_version, reason=reason, override=override),
        )

    def roll_back(
        self, key: str, *, actor: str, reason: str, typed: str, expected_version: int | None = None
    ) -> RolloutStatus:
        """Give everybody the safe variant and end the rollout; `typed` must be the words "roll back".

        Also a completed rollout can be rolled back while no other one drives its flag. Raises RolloutError.
        """
        if typed.strip() != ROLL_BACK_WORD:
            raise RolloutError(f'rolling back takes the typed words "{ROLL_BACK_WORD}"', found=typed or "nothing")
        return self._take(key, Asked(action="roll back", actor=actor, expected_version=expected_version, reason=reason))

    def complete(
        self, key: str, *, actor: str, expected_version: int | None = None, reason: str = "", override: str = ""
    ) -> RolloutStatus:
        """End a rollout in its last stage: the flag keeps its percentage and is free again.

        Refused with RolloutError as `advance` is.
        """
        return self._take(
            key,
            Asked(action="complete", actor=actor, expected_version=expected_version, reason=reason, override=override),
        )

    def discard(self, key: str, *, actor: str, expected_version: int | None = None, reason: str = "") -> None:
        """Remove a draft. Raises RolloutError for a rollout that has started."""
        with self._writing("discard") as (_, writer):
            writer.discard(key, expected_version=expected_version, actor=actor, reason=reason)

    def observe(self, key: str, observed: Sequence[Observation], *, actor: str) -> Observed:
        """Append what was observed and do at once what the monitor asks for.

        The same window of the same arm sent twice is known already and does no harm. In the same transaction a critical
        alert pauses the rollout, and a rollback threshold rolls it back, cuts the flag to its safe variant and opens an
        incident. Raises as `RolloutWriter.observe`.
        """
        with self._writing("observe") as (ledger, writer):
            n_new = writer.observe(key, observed, actor=actor)
            status = self._seen(ledger, writer.settle(key))
        return Observed(n_new=n_new, n_known=len(observed) - n_new, status=status)

    def status(self, key: str, *, settle: bool = True) -> RolloutStatus:
        """Return where a rollout stands.

        Looking is enough to make it take the steps that it takes by itself (unless `settle` is false): a running
        rollout pauses when somebody has switched everything to safe or no data comes any more, and an automatic one
        advances when its day has come.
        """
        with self.workspace.records() as ledger:
            writer = self._writer(ledger)
            view = writer.view(key)
            if not settle or due_step(view) is None:
                return self._seen(ledger, view)
        with self._writing() as (ledger, writer):
            return self._seen(ledger, writer.settle(key))

    def rollouts(self) -> tuple[RolloutStatus, ...]:
        """Return every rollout where it stands, ordered by key, without any step taken."""
        with self.workspace.records() as ledger:
            return tuple(self._seen(ledger, view) for view in self._writer(ledger).views())

    def observations(self, key: str) -> tuple[Observation, ...]:
        """Return everything observed of a rollout, in the order it came."""
        with self.workspace.records() as ledger:
            return observations_of(ledger, key)

    def series(self, key: str) -> tuple[LookPoint, ...]:
        """Return what the monitor read at every look, oldest first: the lines of a chart. Raises RolloutError."""
        entries = self.history(key)
        with self.workspace.records() as ledger:
            now = kept_rollout(ledger, key).now
            return look_series(entries, observations_of(ledger, key), now=now)

    def history(self, key: str) -> tuple[HistoryEntry, ...]:
        """Return every step of a rollout, oldest first, rebuilt from the audit log alone."""
        return self.replay(key).entries

    def replay(self, key: str) -> Replay:
        """Rebuild a rollout from the audit log alone and compare it with the record. Raises RolloutError."""
        with self.workspace.records() as ledger:
            record = ledger.get(ROLLOUT_KIND, key)
            if record is None:
                raise no_such_rollout(ledger, key)
            events = tuple(event for event in rollout_events(self.workspace, key) if event.seq <= ledger.audit_seq)
        entries = replay(events)
        agrees = bool(entries) and all(one.agrees for one in entries) and entries[-1].rollout == rollout_of(record.body)
        return Replay(entries=entries, agrees=agrees)

    def step_clock(
        self, key: str, step: timedelta, *, actor: str, observed: Sequence[Observation] = ()
    ) -> RolloutStatus:
        """Move the simulated clock of a rollout on by `step`, append what was `observed` on the way, and settle it.

        Raises RolloutError for a rollout on real time, ParameterError for a step that is not forward.
        """
        with self._writing() as (ledger, writer):
            step_clock(ledger, key, step, actor=actor)
            if observed:
                writer.observe(key, observed, actor=actor)
            return self._seen(ledger, writer.settle(key))

    def incidents(self, key: str | None = None) -> tuple[Incident, ...]:
        """Return the incidents, newest first, of one rollout when given."""
        with self.workspace.records() as ledger:
            return incidents(ledger, rollout_key=key)

    def close_incident(self, incident_key: str, *, note: str, actor: str) -> None:
        """Close an incident with what was found out. Raises RolloutError, ConflictError, ParameterError."""
        with self._writing("close incident") as (ledger, _):
            close_incident(ledger, incident_key, note=note, actor=actor, at=ledger.now)

    def _take(self, key: str, asked: Asked) -> RolloutStatus:
        with self._writing(asked.action) as (ledger, writer):
            writer.take(key, asked)
            return self._seen(ledger, writer.view(key))

    @contextmanager
    def _writing(self, action: str | None = None) -> Iterator[tuple[Ledger, RolloutWriter]]:
        """Open one transaction, and bring the flag file up to date when it is kept and moved a flag.

        Whoever may not take `action` hears that first, whatever else stands against it.
        """
        if action is not None:
            self.workspace.check_access(ROLLOUT_KIND, action)
        with self.workspace.recording() as ledger:
            writer = self._writer(ledger)
            yield ledger, writer
        if writer.has_moved_a_flag:
            self._flags.publish()

    def _writer(self, ledger: Ledger) -> RolloutWriter:
        return RolloutWriter(ledger, self._flags.in_ledger(ledger))

    def _seen(self, ledger: Ledger, view: View) -> RolloutStatus:
        return view_status(ledger, self._flags.in_ledger(ledger), view)


def _variants(flag: Flag, treatment: str | None) -> tuple[str, str]:
    """Return the variant that grows and the one that the others keep."""
    growing = treatment or flag.treatment
    if growing is not None and growing == flag.safe_variant:
        raise RolloutError(
            "a rollout ramps a variant that is not the safe one",
            found=f"{growing} of flag {flag.key}",
            hint="Name another variant, or change the safe one first",
        )
    split = flag.with_percent(0, variant=growing).split
    assert split is not None  # noqa: S101  # with_percent gives one
    return split.shares[0].variant, split.shares[1].variant
