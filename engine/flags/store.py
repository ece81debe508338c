"""The flags of a workspace: read from memory, changed in its database, published in a file for real flag clients.

While the kill switch is on, edits of percentages, rules and defaults are kept, but nobody sees them before the restore:
whoever stops everything stops what comes in a moment later too. Only what is safe itself moves at once, because a wrong
safe variant must be mendable while everybody has it; and no flag can be removed from under its clients.
"""

from __future__ import annotations

import copy
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.errors import FlagError, WorkspaceError
from engine.flags.evaluation import Evaluation, FlagSnapshot, KillState
from engine.flags.flagd_file import FILE_NAME, FlagFile, is_same_content
from engine.flags.flagd_format import FileParts, Moment, definitions_document, live_document
from engine.flags.importing import ImportReport, import_into
from engine.flags.standard import STANDARD_FLAGS
from engine.flags.writer import FILE_KIND, FLAG_KIND, KINDS_OF_RECORDS, SWITCH_KEY, SWITCH_KIND, FlagWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from engine.flags.importing import ImportedFlags
    from engine.flags.model import Flag
    from engine.workspace import AuditCheck, AuditEvent, Identity, JsonValue, Ledger, Workspace

KILL_WORD = "kill"
RESTORE_WORD = "restore"

_NOBODY = "dimshift"
_MOST_ATTEMPTS = 4
_MOST_EDITS = 1000


@dataclass(frozen=True, kw_only=True)
class PublishReport:
    """What became of the flag file: whether it had to be written, and what was wrong with the one that was there.

    `kept_as` is the name under which a damaged or edited file was kept.
    """

    path: Path
    audit_seq: int
    is_written: bool
    problem: str = ""
    kept_as: str | None = None

    @property
    def sentence(self) -> str:
        """The damage in words, empty when there was none."""
        if not self.problem:
            return ""
        return f"{FILE_NAME} was rebuilt from the database, because {self.problem}; the old one is {self.kept_as}."


@dataclass(frozen=True, kw_only=True)
class FlagCheck:
    """Whether the audit log is intact, and what became of the flag file."""

    n_flags: int
    audit: AuditCheck
    file: PublishReport
    file_agrees: bool


@dataclass(eq=False, kw_only=True)
class _Memory:
    """What one process knows of the flags, whoever asks."""

    refreshing: threading.Lock = field(default_factory=threading.Lock)
    problem: str | None = None
    snapshot: FlagSnapshot
    checked_at: float


class FlagStore:
    """The flags of `workspace`; safe to share between threads, and any number of processes may have one each.

    Evaluations come from memory; every `refresh_s` seconds of `clock` (which never goes back) the first one asks the
    database whether anything changed, so that a kill elsewhere is seen within that time, and mends this folder's flag
    file after it. When the database does not answer, what was known last stays in force. `problem` says why, or why the
    file could not be written. `opened` tells what became of the flag file when the store was opened, None when the disk
    refused it: a kill must be possible even then.
    """

    def __init__(
        self, workspace: Workspace, *, refresh_s: float = 0.2, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._workspace = workspace
        # What nobody asked for, such as mending the file, is done whoever looks at the flags.
        self._own = workspace.by_itself()
        self._file = FlagFile(workspace.folder, workspace_id=workspace.id)
        self._refresh_s = refresh_s
        self._clock = clock
        self._make_standard_flags()
        self.opened, problem = self._open_file()
        self._memory = _Memory(snapshot=self._load(), checked_at=clock(), problem=problem)

    def acting_as(self, identity: Identity) -> FlagStore:
        """Return a store on the same memory that changes what `identity` may change. It is light; raises AccessError.

        See `engine.workspace.Workspace.acting_as`.
        """
        bound = copy.copy(self)
        bound._workspace = self._workspace.acting_as(identity)  # noqa: SLF001  # a copy of this very object
        return bound

    @property
    def problem(self) -> str | None:
        """Why the database did not answer or the file could not be written, None when all is well."""
        return self._memory.problem

    @property
    def workspace(self) -> Workspace:
        """The workspace whose flags these are."""
        return self._workspace

    @property
    def path(self) -> Path:
        """Where the flag file is."""
        return self._file.path

    @property
    def flag_set(self) -> str:
        """The name of this set of flags: the id of the workspace."""
        return self._workspace.id

    def snapshot(self) -> FlagSnapshot:
        """Return every flag as it is now, at most `refresh_s` seconds old."""
        memory = self._memory
        age = self._clock() - memory.checked_at
        if age >= self._refresh_s and memory.refreshing.acquire(blocking=False):
            try:
                self._refresh(memory)
            finally:
                memory.refreshing.release()
        return memory.snapshot

    def flags(self) -> tuple[Flag, ...]:
        """Return every flag as it is defined, ordered by key."""
        with self._workspace.records() as ledger:
            return FlagWriter(ledger).flags()

    def flag(self, key: str) -> Flag:
        """Return one flag as it is defined. Raises FlagError when there is none."""
        with self._workspace.records() as ledger:
            return FlagWriter(ledger).flag(key)

    @property
    def is_killed(self) -> KillState | None:
        """Who switched everything to safe, None while the kill switch is off."""
        return self.snapshot().killed

    def evaluate(
        self,
        key: str,
        user_id: str | None = None,
        *,
        attributes: Mapping[str, JsonValue] | None = None,
        default: JsonValue = None,
    ) -> Evaluation:
        """Return what `user_id` gets of the flag `key`; see `FlagSnapshot.evaluate`."""
        return self.snapshot().evaluate(key, user_id, attributes=attributes, default=default)

    def set(
        self,
        flag: Flag,
        *,
        expected_version: int | None,
        actor: str,
        reason: str = "",
        action: str = "set",
    ) -> Flag:
        """Write `flag`, publish it and return it with its new version; see `FlagWriter.put`."""
        with self._workspace.recording() as ledger:
            stored = FlagWriter(ledger).put(
                flag, expected_version=expected_version, actor=actor, reason=reason, action=action
            )
        self.publish()
        return stored

    def remove(self, key: str, *, expected_version: int | None, actor: str, reason: str = "") -> None:
        """Remove a flag and publish that; see `FlagWriter.remove`."""
        with self._workspace.recording() as ledger:
            FlagWriter(ledger).remove(key, expected_version=expected_version, actor=actor, reason=reason)
        self.publish()

    def kill(self, *, actor: str, typed: str, reason: str = "") -> KillState:
        """Switch every flag to its safe variant at once, for everybody, whatever its rules and whoever drives it.

        `typed` must be the word "kill". Flags themselves stay as they are, so that `restore` brings the exact earlier
        state back. Raises FlagError for another word, WorkspaceError when the switch is kept but the flag file could
        not be written.
        """
        _check_word(typed, KILL_WORD, "switching every flag to safe")
        with self._workspace.recording() as ledger:
            state = FlagWriter(ledger).kill(actor=actor, reason=reason)
        self.publish()
        return state

    def restore(self, *, actor: str, typed: str, reason: str) -> None:
        """Switch the kill switch off; `typed` must be the word "restore", and `reason` must say why it is safe again.

        Raises FlagError for another word, without a reason, or when the kill switch is off.
        """
        _check_word(typed, RESTORE_WORD, "switching the flags on again")
        if not reason.strip():
            raise FlagError("restoring the flags takes a reason", hint="Say why it is safe again")
        with self._workspace.recording() as ledger:
            FlagWriter(ledger).restore(actor=actor, reason=reason)
        self.publish()

    def edits_since_kill(self) -> tuple[AuditEvent, ...]:
        """Return what changed flags since the kill switch went on and counts after the restore, oldest first.

        A thousand at most; nothing while the kill switch is off.
        """
        with self._workspace.records() as ledger:
            kill = ledger.last_change(SWITCH_KIND, SWITCH_KEY) if FlagWriter(ledger).killed is not None else None
        if kill is None:
            return ()
        return self._workspace.audit(kind=FLAG_KIND, after=kill.seq, limit=_MOST_EDITS)

    def in_ledger(self, ledger: Ledger) -> FlagWriter:
        """Return a writer that changes flags inside another change of the workspace; call `publish` after it."""
        return FlagWriter(ledger)

    def history(
        self, *, key: str | None = None, after: int = 0, limit: int = 1000, newest_first: bool = True
    ) -> tuple[AuditEvent, ...]:
        """Return the audit events of flags, the kill switch and the flag file."""
        return self._workspace.audit(
            kind=KINDS_OF_RECORDS, key=key, after=after, limit=limit, newest_first=newest_first
        )

    def import_flags(
        self, imported: ImportedFlags, *, actor: str, reason: str = "", dry_run: bool = False
    ) -> ImportReport:
        """Create and change the flags that `imported` holds, all or none, and publish them; others stay.

        Raises FlagError when one of them is driven by a rollout, or has another kind than the present one.
        """
        if dry_run:
            with self._workspace.records() as ledger:
                return import_into(FlagWriter(ledger), imported, actor=actor, reason=reason, dry_run=True)
        with self._workspace.recording() as ledger:
            report = import_into(FlagWriter(ledger), imported, actor=actor, reason=reason)
        self.publish()
        return report

    def live_document(self) -> dict[str, JsonValue]:
        """Return the flag file as it is published now."""
        with self._workspace.records() as ledger:
            return self._live(ledger)

    def definitions(self) -> dict[str, JsonValue]:
        """Return every flag as it is defined, as a flagd file, whatever the kill switch says."""
        with self._workspace.records() as ledger:
            writer = FlagWriter(ledger)
            return definitions_document(writer.flags(), writer.parts or FileParts())

    def publish(self) -> PublishReport:
        """Bring the flag file and this process's memory up to date with the database.

        A file that somebody edited, or that was cut off, is kept aside under another name, and that is an audit event.
        Raises WorkspaceError when the file cannot be written.
        """
        try:
            return self._publish()
        finally:
            with suppress(WorkspaceError), self._memory.refreshing:
                self._memory.snapshot = self._load()

    def check(self) -> FlagCheck:
        """Check the whole audit log and the flag file, and rebuild the file where it is not as it must be."""
        report = self._publish()
        audit = self._workspace.check_audit()
        document = self._file.found().document
        seq = 0 if document is None else document["metadata"]["auditSeq"]
        newest = self._workspace.audit(after=seq - 1, limit=1) if seq else ()
        agrees = document is not None and all(
            event.seq == seq and event.hash == document["metadata"]["auditHash"] for event in newest
        )
        return FlagCheck(n_flags=len(self.flags()), audit=audit, file=report, file_agrees=agrees)

    def _publish(self) -> PublishReport:
        problem, kept_as, known = "", None, ""
        for _ in range(_MOST_ATTEMPTS):
            # Whoever holds the lock reads the newest state, so no older one is ever written after it.
            with self._own.recording() as ledger:
                found, document = self._file.found(), self._live(ledger)
                if found.problem and found.sha256 != known:
                    problem, known, kept_as = found.problem, found.sha256, self._file.keep_aside()
                    evidence = {"problem": problem, "kept_as": kept_as, "sha256": known}
                    ledger.note(FILE_KIND, FILE_NAME, actor=_NOBODY, action="keep aside", evidence=evidence)
                    continue  # the file names the newest event: written first, it would name one that may never be
                is_current = found.document is not None and is_same_content(found.document, document)
                if not is_current:
                    self._file.write(document)
                return PublishReport(
                    path=self.path,
                    audit_seq=ledger.audit_seq,
                    is_written=not is_current,
                    problem=problem,
                    kept_as=kept_as,
                )
        raise WorkspaceError(
            f"{FILE_NAME} is edited again and again while it is rebuilt", hint="Stop whatever edits it"
        )

    def _publish_where_needed(self) -> PublishReport:
        with self._workspace.records() as ledger:  # mostly there is nothing to write, and so nothing to lock
            found, document = self._file.found(), self._live(ledger)
            if found.document is not None and is_same_content(found.document, document):
                return PublishReport(path=self.path, audit_seq=ledger.audit_seq, is_written=False)
        return self._publish()

    def _open_file(self) -> tuple[PublishReport | None, str | None]:
        try:
            return self._publish_where_needed(), None
        except WorkspaceError as error:
            return None, str(error)

    def _live(self, ledger: Ledger) -> dict[str, JsonValue]:
        writer = FlagWriter(ledger)
        moment = Moment(workspace_id=self._workspace.id, audit_seq=ledger.audit_seq, audit_hash=ledger.audit_hash)
        return live_document(
            writer.flags(), writer.parts or FileParts(), is_killed=writer.killed is not None, moment=moment
        )

    def _load(self) -> FlagSnapshot:
        with self._workspace.records() as ledger:
            writer = FlagWriter(ledger)
            return FlagSnapshot(
                writer.flags(), writer.parts or FileParts(), killed=writer.killed, audit_seq=ledger.audit_seq
            )

    def _refresh(self, memory: _Memory) -> None:
        try:
            if self._workspace.audit_head() != memory.snapshot.audit_seq:
                memory.snapshot = self._load()
                # Whoever made the change publishes it, unless it died, or has another folder on the same database.
                self._publish_where_needed()
            memory.problem = None
        except WorkspaceError as error:
            memory.problem = str(error)
        memory.checked_at = self._clock()

    def _make_standard_flags(self) -> None:
        with self._workspace.records() as ledger:
            if FlagWriter(ledger).parts is not None:
                return
        with self._own.recording() as ledger:
            writer = FlagWriter(ledger)
            if writer.parts is None:  # another process may have been faster
                writer.put_parts(FileParts(), actor=_NOBODY, action="begin")
                for flag in STANDARD_FLAGS:
                    writer.put(flag, expected_version=0, actor=_NOBODY, action="create", reason="there from the start")


def _check_word(typed: str, word: str, what: str) -> None:
    if typed.strip() != word:
        raise FlagError(f'{what} takes the typed word "{word}"', found=typed or "nothing")
