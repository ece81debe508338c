"""Change flags inside one transaction of the workspace, alone or together with what else changes there."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.errors import FlagError, printable
from engine.flags.evaluation import KillState, PastKill
from engine.flags.flagd_format import FileParts
from engine.flags.model import Flag, closest_hint, flag_json, flag_of

if TYPE_CHECKING:
    from engine.workspace import Ledger, Record

FLAG_KIND = "flag"
SWITCH_KIND = "switch"
SWITCH_KEY = "kill"
FILE_KIND = "flag file"
PARTS_KEY = "parts"
KINDS_OF_RECORDS = (FLAG_KIND, SWITCH_KIND, FILE_KIND)
"""The kinds of audit events that are about flags."""

_FREE_WHILE_DRIVEN = ("owner", "description", "metadata", "extra")


class FlagWriter:
    """The flags in `ledger`; what is changed here is kept when its block ends, with everything else in it.

    Nothing reaches clients before `engine.flags.FlagStore.publish` is called after that.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def by_itself(self) -> FlagWriter:
        """Return this writer bound to nobody; see `engine.workspace.Ledger.by_itself`."""
        return FlagWriter(self._ledger.by_itself())

    def flags(self) -> tuple[Flag, ...]:
        """Return every flag, ordered by key."""
        return tuple(_flag_of(record) for record in self._ledger.all(FLAG_KIND))

    def find(self, key: str) -> Flag | None:
        """Return the flag `key`, None when there is none."""
        record = self._ledger.get(FLAG_KIND, key)
        return None if record is None else _flag_of(record)

    def flag(self, key: str) -> Flag:
        """Return the flag `key`. Raises FlagError when there is none."""
        found = self.find(key)
        if found is None:
            known = [record.key for record in self._ledger.all(FLAG_KIND)]
            raise FlagError("no such flag is in this workspace", found=key, hint=closest_hint(printable(key), known))
        return found

    def put(
        self,
        flag: Flag,
        *,
        expected_version: int | None,
        actor: str,
        reason: str = "",
        action: str = "set",
        evidence: object = None,
        rollout: str | None = None,
    ) -> Flag:
        """Write `flag` and return it with its new version.

        `expected_version` is the version that the change started from, 0 for a new flag. `rollout` is the key of the
        rollout that asks: while `driven_by` names one, nobody else may change who gets what. `evidence` is the data
        that justifies the change; it goes into the audit log.

        Raises
        ------
        ConflictError
            When somebody else changed the flag since that version; it says who and when.
        FlagError
            When a rollout drives the flag, or the kind of a flag would change under the code that reads it.
        """
        present = self.find(flag.key)
        _check_driver(present, flag, rollout)
        if present is not None and expected_version in {None, present.version}:  # else the conflict says more
            _check_kind(present, flag)
        record = self._ledger.put(
            FLAG_KIND,
            flag.key,
            flag_json(flag),
            expected_version=expected_version,
            actor=actor,
            action=action,
            reason=reason,
            evidence=evidence,
        )
        return replace(flag, version=record.version, updated_at=record.updated_at)

    def check(self, flag: Flag) -> None:
        """Raise FlagError where `put` would refuse `flag` whatever version it is expected to have."""
        present = self.find(flag.key)
        _check_driver(present, flag, None)
        if present is not None:
            _check_kind(present, flag)

    def remove(self, key: str, *, expected_version: int | None, actor: str, reason: str = "") -> None:
        """Remove a flag.

        Raises FlagError when there is none, a rollout drives it or the kill switch is on, ConflictError as `put` does.
        """
        flag = self.flag(key)
        if (killed := self.killed) is not None:
            raise FlagError(
                f"flag {key} cannot be removed while the kill switch is on: its clients would fall back on the default "
                "in their own code",
                found=f"killed by {killed.actor}",
                hint="Restore the flags first",
            )
        if flag.driven_by is not None:
            raise FlagError(
                f"flag {key} cannot be removed while a rollout drives it",
                found=f"rollout {flag.driven_by}",
                hint="Complete or roll back the rollout first",
            )
        self._ledger.remove(
            FLAG_KIND, key, expected_version=expected_version, actor=actor, action="remove", reason=reason
        )

    @property
    def killed(self) -> KillState | None:
        """Who switched everything to safe, None while the kill switch is off."""
        record = self._ledger.get(SWITCH_KIND, SWITCH_KEY)
        if record is None or not record.body["is_on"]:
            return None
        body: dict[str, Any] = record.body
        at = datetime.fromisoformat(body["at"])
        return KillState(at=at, actor=body["actor"], reason=body["reason"], version=record.version)

    def first_kill(self, *, after: int) -> PastKill | None:
        """Return the first time that everything was switched to safe after audit event number `after`."""
        events = self._ledger.events(SWITCH_KIND, SWITCH_KEY, after=after)
        kill = next((event for event in events if event.action == "kill"), None)
        if kill is None:
            return None
        restored = next((event.at for event in events if event.action == "restore" and event.seq > kill.seq), None)
        return PastKill(at=kill.at, restored_at=restored, actor=kill.actor, reason=kill.reason)

    def kill(self, *, actor: str, reason: str = "", evidence: object = None) -> KillState:
        """Switch every flag to its safe variant; done again, it leaves a note of who else asked."""
        present = self.killed
        if present is not None:
            self._ledger.note(
                SWITCH_KIND, SWITCH_KEY, actor=actor, action="kill again", reason=reason, evidence=evidence
            )
            return present
        self._switch(is_on=True, actor=actor, action="kill", reason=reason, evidence=evidence)
        state = self.killed
        if state is None:
            raise FlagError("the kill switch was written and is not there")
        return state

    def restore(self, *, actor: str, reason: str) -> None:
        """Let every flag mean again what its record says. Raises FlagError when the kill switch is off."""
        if self.killed is None:
            raise FlagError("only what was killed can be restored", found="the kill switch is off")
        self._switch(is_on=False, actor=actor, action="restore", reason=reason)

    def _switch(self, *, is_on: bool, actor: str, action: str, reason: str, evidence: object = None) -> None:
        body = {
            "is_on": is_on,
            "at": self._ledger.now.isoformat(),
            "actor": self._ledger.who(actor),
            "reason": printable(reason, longest=2000),
        }
        self._ledger.put(
            SWITCH_KIND,
            SWITCH_KEY,
            body,
            expected_version=None,
            actor=actor,
            action=action,
            reason=reason,
            evidence=evidence,
        )

    @property
    def parts(self) -> FileParts | None:
        """What imported files hold beside flags, None in a workspace that has had no flags yet."""
        record = self._ledger.get(FILE_KIND, PARTS_KEY)
        if record is None:
            return None
        body: dict[str, Any] = record.body
        return FileParts(evaluators=body["evaluators"], metadata=body["metadata"], extra=body["extra"])

    def put_parts(self, parts: FileParts, *, actor: str, action: str, reason: str = "") -> None:
        """Keep what imported files hold beside flags."""
        body = {"evaluators": parts.evaluators, "metadata": parts.metadata, "extra": parts.extra}
        self._ledger.put(FILE_KIND, PARTS_KEY, body, expected_version=None, actor=actor, action=action, reason=reason)


def _flag_of(record: Record) -> Flag:
    return flag_of(record.key, record.body, version=record.version, updated_at=record.updated_at)


def _check_kind(present: Flag, flag: Flag) -> None:
    if present.kind != flag.kind:
        raise FlagError(
            f"the kind of flag {flag.key} stays {present.kind}: code that reads it would break",
            found=flag.kind,
            hint="Create another flag, or remove this one first",
        )


def _check_driver(present: Flag | None, flag: Flag, rollout: str | None) -> None:
    driver = None if present is None else present.driven_by
    if driver is not None and rollout != driver:
        kept = {name: getattr(flag, name) for name in _FREE_WHILE_DRIVEN}
        if present is not None and replace(present, **kept) == flag:
            return
        raise FlagError(
            f"a rollout drives flag {flag.key}, so it alone moves its percentage and variants",
            found=f"rollout {driver}",
            hint="Roll it back or complete it first; the kill switch works always",
        )
    if flag.driven_by not in {None, driver, rollout}:
        raise FlagError(f"only a rollout says that it drives flag {flag.key}", found=flag.driven_by)
