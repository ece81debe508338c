"""Change rollouts inside one transaction of the workspace, together with their flags, the audit log and incidents."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import ConflictError, ParameterError, RolloutError, printable
from engine.flags import Share, Split
from engine.rollout.clock import begin_clock
from engine.rollout.history import ROLLOUT_KIND
from engine.rollout.incidents import open_incident
from engine.rollout.machine import Rollout, RolloutState, Step, apply
from engine.rollout.observations import check_not_future
from engine.rollout.schedule import WEIGHT_OF_ONE_PERCENT
from engine.rollout.storage import rollout_json, rollout_of, step_json
from engine.rollout.view import (
    due_step,
    kept_rollout,
    kill_in_words,
    observation_stream,
    observations_of,
    view_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.flags import Flag, FlagWriter
    from engine.rollout.gates import Action
    from engine.rollout.observations import Observation
    from engine.rollout.schedule import Schedule
    from engine.rollout.thresholds import Thresholds
    from engine.rollout.view import View
    from engine.workspace import JsonValue, Ledger

LONGEST_KEY = 100
MOST_OBSERVATIONS = 20_000

_EVERYBODY = 100 * WEIGHT_OF_ONE_PERCENT
_MOVES_ON = frozenset({"advance", "complete"})
_MOST_STEPS = 4  # that a rollout takes by itself at one moment; a pause, then a rollback


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A step that a person asks for; see `engine.rollout.machine.Step`. None of a version is whatever is there."""

    action: Action
    actor: str
    expected_version: int | None
    reason: str = ""
    override: str = ""
    schedule: Schedule | None = None
    thresholds: Thresholds | None = None
    is_automatic: bool | None = None


class RolloutWriter:
    """The rollouts in `ledger` and the flags they drive; what is changed here is kept or lost as one."""

    def __init__(self, ledger: Ledger, flags: FlagWriter) -> None:
        self._ledger = ledger
        self._flags = flags
        self.has_moved_a_flag = False

    def create(self, rollout: Rollout, *, actor: str, reason: str = "") -> Rollout:
        """Keep a draft; on simulated time its clock begins at the moment of the workspace's.

        Raises
        ------
        RolloutError
            When there is a rollout of that key.
        ParameterError
            When the key cannot be one.
        """
        if rollout.key != printable(rollout.key, longest=LONGEST_KEY) or not rollout.key:
            raise ParameterError(
                f"the key of a rollout is 1 to {LONGEST_KEY} printable characters", found=ascii(rollout.key)
            )
        if self._ledger.get(ROLLOUT_KIND, rollout.key) is not None:
            raise RolloutError("a rollout of this key is there already", found=rollout.key, hint="Choose another key")
        at = self._ledger.now
        if rollout.is_simulated:
            at = begin_clock(self._ledger, rollout.key, at=at, actor=actor)
        draft = replace(rollout, created_at=at, changed_at=at, changed_by=self._ledger.who(actor))
        self._ledger.put(
            ROLLOUT_KIND,
            draft.key,
            rollout_json(draft),
            expected_version=0,
            actor=actor,
            action="create",
            reason=reason,
        )
        return draft

    def discard(self, key: str, *, expected_version: int | None, actor: str, reason: str = "") -> None:
        """Remove a draft. Raises RolloutError for a rollout that has started: it is history."""
        kept = kept_rollout(self._ledger, key)
        if kept.rollout.state is not RolloutState.DRAFT:
            raise RolloutError(
                "only a draft can be discarded",
                found=f"rollout {key}, {kept.rollout.state}",
                hint="Roll it back instead",
            )
        version = kept.version if expected_version is None else expected_version
        self._ledger.remove(ROLLOUT_KIND, key, expected_version=version, actor=actor, action="discard", reason=reason)

    def view(self, key: str) -> View:
        """Read one rollout and judge it. Raises RolloutError when there is none."""
        return view_of(self._ledger, self._flags, key)

    def views(self) -> tuple[View, ...]:
        """Read and judge every rollout, ordered by key."""
        return tuple(self.view(record.key) for record in self._ledger.all(ROLLOUT_KIND))

    def take(self, key: str, asked: Asked) -> None:
        """Take the step that a person asks for, in the light of what the world says now.

        Raises
        ------
        ConflictError
            When the rollout has another version than the expected one; it says who changed it and when.
        RolloutError
            When the step is refused.
        """
        view = self.view(key)
        if asked.expected_version not in {None, view.version}:
            raise self._conflict(view, asked.expected_version)
        if view.unseen_kill is not None and view.unseen_kill.restored_at is not None and asked.action in _MOVES_ON:
            raise RolloutError(
                f"a rollout cannot {asked.action} before it was paused for what the kill switch did",
                found=kill_in_words(view.unseen_kill),
                hint="Look at its status, which pauses it, and resume it",
            )
        step = Step(
            action=asked.action,
            at=view.now,
            actor=self._ledger.who(asked.actor),
            reason=asked.reason,
            override=asked.override,
            gate=view.gate,
            schedule=asked.schedule,
            thresholds=asked.thresholds,
            is_automatic=asked.is_automatic,
        )
        self._take(view, step)

    def observe(self, key: str, observed: Sequence[Observation], *, actor: str) -> int:
        """Append what was observed and return how much of it was new; the same again does no harm.

        Raises
        ------
        ParameterError
            When a window ends in the future, or there are more than `MOST_OBSERVATIONS`.
        RolloutError
            When there is no such rollout, or simulated data is offered to one on real time.
        ConflictError
            When the same window of the same arm is there with other numbers.
        """
        kept = kept_rollout(self._ledger, key)
        if len(observed) > MOST_OBSERVATIONS:
            raise ParameterError(
                f"at most {MOST_OBSERVATIONS:,} observations can be appended at once", found=f"{len(observed):,}"
            )
        new, known = [], {one.key: one for one in observations_of(self._ledger, key)}
        for one in observed:
            check_not_future(one, kept.now)
            if one.is_simulated and not kept.rollout.is_simulated:
                raise RolloutError(
                    "a rollout on real time takes no simulated observations",
                    found=one.source or one.start,
                    hint="Create another rollout on simulated time to rehearse",
                )
            present = known.setdefault(one.key, one)
            if present.numbers != one.numbers:
                raise _other_numbers(present, one)
            if present is one and self._ledger.append(observation_stream(key), one.key, one.as_json(), at=one.ended_at):
                new.append(one)
        if new:
            evidence = _digest(new)
            self._ledger.note(ROLLOUT_KIND, key, actor=actor, action="observe", evidence=evidence)
        return len(new)

    def settle(self, key: str) -> View:
        """Take every step that the rollout takes by itself now: roll back, pause, or go on when it is automatic."""
        alone = RolloutWriter(self._ledger.by_itself(), self._flags.by_itself())  # whoever happens to look at it
        for _ in range(_MOST_STEPS):
            view = self.view(key)
            step = due_step(view)
            if step is None:
                return view
            alone._take(view, step)
            self.has_moved_a_flag |= alone.has_moved_a_flag
        return self.view(key)

    def _take(self, view: View, step: Step) -> None:
        before = view.rollout
        if step.action == "start":
            self._check_flag_is_free(before)
        after = apply(before, step)
        flag = self._move_flag(before, after, step)
        report = None if view.report is None else view.report.as_json()
        evidence: dict[str, JsonValue] = {"step": step_json(step), "report": report, "flag": _flag_evidence(flag)}
        self._ledger.put(
            ROLLOUT_KIND,
            after.key,
            rollout_json(after),
            expected_version=view.version,
            actor=step.actor,
            action=step.action,
            reason=after.reason,
            evidence=evidence,
        )
        if step.action == "roll back" and step.cause == "monitor" and view.report is not None:
            open_incident(
                self._ledger,
                before,
                at=after.changed_at,
                title=f"Rollout {before.key} was rolled back from {before.percent:g} %",
                sentences=view.report.sentences,
                evidence=report,
            )

    def _check_flag_is_free(self, rollout: Rollout) -> None:
        flag = self._flags.flag(rollout.flag_key)
        others = [
            other
            for other in (rollout_of(record.body) for record in self._ledger.all(ROLLOUT_KIND))
            if other.key != rollout.key and other.flag_key == flag.key and other.is_active
        ]
        if others or flag.driven_by not in {None, rollout.key}:
            driver = others[0].key if others else flag.driven_by
            raise RolloutError(
                "a flag is driven by one rollout at a time",
                found=f"rollout {driver} on {flag.key}",
                hint="Complete or roll back that one first",
            )
        check_startable(flag, rollout)

    def _move_flag(self, before: Rollout, after: Rollout, step: Step) -> Flag | None:
        if (before.weight, before.is_active) == (after.weight, after.is_active):
            return None
        flag = self._flags.flag(after.flag_key)
        if flag.driven_by not in {None, after.key}:
            raise RolloutError(
                "another rollout drives the flag by now",
                found=f"rollout {flag.driven_by} on {flag.key}",
                hint="Roll that one back",
            )
        self.has_moved_a_flag = True
        return self._flags.put(
            moved(flag, after),
            expected_version=flag.version,
            actor=step.actor,
            action=f"rollout {step.action}",
            reason=after.reason,
            evidence={"rollout": after.key, "stage_index": after.stage_index, "percent": after.percent},
            rollout=after.key,
        )

    def _conflict(self, view: View, expected_version: int | None) -> ConflictError:
        rollout = view.rollout
        return ConflictError(
            f"somebody else changed rollout {rollout.key} in between: you started from version {expected_version}",
            found=f"version {view.version}, {rollout.state} at {rollout.percent:g} % by {rollout.changed_by}, "
            f"{rollout.changed_at:%Y-%m-%d %H:%M:%S} UTC",
            hint="Look at where it stands now",
        )


def moved(flag: Flag, rollout: Rollout) -> Flag:
    """Return `flag` as `rollout` wants it: the treatment first and the rest in control; all safe once rolled back."""
    weight, rest, default = rollout.weight, rollout.control, flag.default_variant
    if rollout.state is RolloutState.ROLLED_BACK:
        rest = default = flag.safe_variant
    shares = (Share(variant=rollout.treatment, weight=weight), Share(variant=rest, weight=_EVERYBODY - weight))
    hash_key = None if rollout.hash_key == flag.key else rollout.hash_key
    return replace(
        flag,
        split=Split(shares=shares, hash_key=hash_key),
        rules=None,
        default_variant=default,
        driven_by=rollout.key if rollout.is_active else None,
    )


def check_startable(flag: Flag, rollout: Rollout) -> None:
    """Raise RolloutError unless `rollout` can begin on `flag` without taking the treatment from anybody."""
    if flag.rules is not None:
        raise RolloutError(
            "a rollout ramps by percentage and would replace the flag's targeting rules",
            found=f"rules of flag {flag.key}",
            hint="Give the flag a percentage first",
        )
    if not flag.is_enabled:
        raise RolloutError("a rollout of a disabled flag changes nothing", found=f"flag {flag.key}", hint="Enable it")
    if rollout.treatment not in flag.variants or rollout.control not in flag.variants:
        raise RolloutError(
            "the variants of a rollout must still be the flag's",
            found=f"{rollout.treatment} and {rollout.control} of {', '.join(flag.variants)}",
            hint="Discard the draft and create it again",
        )
    first = rollout.schedule.weight(0) / _EVERYBODY
    if flag.split is None:
        present, is_growing = float(flag.default_variant == rollout.treatment), False
    else:
        split = flag.split
        present = sum(share.weight for share in split.shares if share.variant == rollout.treatment) / split.total
        same_hash = (split.hash_key or flag.key) == rollout.hash_key and split.form == "joined"
        is_growing = same_hash and split.shares[0].variant == rollout.treatment
    if present > (first if is_growing else 0.0):
        raise RolloutError(
            "a rollout never takes the treatment from users who have it",
            found=f"{100 * present:g} % of the users in {rollout.treatment}, {100 * first:g} % in the first stage",
            hint="Set the flag's percentage to 0 first, or begin the schedule at it",
        )


def _other_numbers(present: Observation, one: Observation) -> ConflictError:
    name = next(name for name, value in one.numbers.items() if present.numbers[name] != value)
    came = f", from {present.source}" if present.source else ""
    return ConflictError(
        "what was observed is never changed: the same window of the same arm is there with other numbers",
        found=f"{one.arm} of {one.start} to {one.end}, {name} {one.numbers[name]} against "
        f"{present.numbers[name]} before{came}",
        hint="Where the earlier ones were wrong, pause and resume: only what is observed after that is judged",
    )


def _flag_evidence(flag: Flag | None) -> JsonValue:
    if flag is None or flag.split is None:
        return None
    weights: dict[str, JsonValue] = {share.variant: share.weight for share in flag.split.shares}
    return {"key": flag.key, "version": flag.version, "weights": weights}


def _digest(observed: Sequence[Observation]) -> JsonValue:
    text = json.dumps([one.as_json() for one in observed], sort_keys=True)
    return {
        "n_observations": len(observed),
        "from": min(one.started_at for one in observed).isoformat(),
        "to": max(one.ended_at for one in observed).isoformat(),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
