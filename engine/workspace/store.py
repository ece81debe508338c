"""One workspace: what the app and the shell keep between two visits."""

from __future__ import annotations

import copy
import getpass
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from engine.errors import AccessError, ParameterError, RunNotFoundError, WorkspaceError, printable
from engine.workspace import audit, database
from engine.workspace.artefacts import ArtefactFolders
from engine.workspace.datasets import (
    checked_sha256,
    dataset_arrays,
    dataset_files,
    dataset_not_found,
    embedding_set_of,
    new_dataset_row,
    stored_dataset,
)
from engine.workspace.models import DatasetRow, RunRow, WorkspaceRow
from engine.workspace.records import Ledger
from engine.workspace.runs import array_files, checked_run_id, new_run_row, run_not_found, run_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    import numpy.typing as npt
    from sqlalchemy import Engine

    from engine.embeddings import EmbeddingSet
    from engine.workspace.access import Identity
    from engine.workspace.audit import AuditCheck, AuditEvent
    from engine.workspace.datasets import StoredDataset
    from engine.workspace.runs import Run

_DEFAULT_FOLDER = ".dimshift"
_LONGEST_NAME = 200


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Workspace:
    """A folder with a database and array files; safe to share between threads and processes.

    `identity` is the person that this handle is bound to, None for the single user who may do everything.

    >>> with Workspace.open("somewhere") as workspace:      # doctest: +SKIP
    ...     workspace.runs(kind="sweep")
    """

    def __init__(self, folder: Path, engine: Engine, *, workspace_id: str, clock: Callable[[], datetime]) -> None:
        self.folder = folder
        self.id = workspace_id
        self.identity: Identity | None = None
        self._engine = engine
        self._writer = engine.execution_options(**{database.WRITES: True})
        self._clock = clock
        self._run_folders = ArtefactFolders(folder / "runs", workspace_id=workspace_id)
        self._dataset_folders = ArtefactFolders(folder / "datasets", workspace_id=workspace_id)

    @classmethod
    def open(
        cls,
        folder: Path | str | None = None,
        *,
        database_url: str | None = None,
        clock: Callable[[], datetime] = _utc_now,
    ) -> Workspace:
        """Open the workspace in `folder`, making it or bringing it up to date where needed.

        Without arguments DIMSHIFT_WORKSPACE (else ``.dimshift`` here) and DIMSHIFT_DATABASE_URL (else SQLite in the
        folder) decide. `clock` returns aware moments. Raises WorkspaceError when the folder or its database cannot
        be used.
        """
        path = _made_folder(folder or os.environ.get("DIMSHIFT_WORKSPACE") or _DEFAULT_FOLDER)
        url = database.database_url(database_url or os.environ.get("DIMSHIFT_DATABASE_URL"), path)
        engine, workspace_id = database.connect(url)
        workspace = cls(path, engine, workspace_id=workspace_id, clock=clock)
        try:
            workspace._sweep_orphans()
        except BaseException:
            workspace.close()
            raise
        return workspace

    def close(self) -> None:
        """Close every connection; the workspace connects again when it is used after that."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def acting_as(self, identity: Identity) -> Workspace:
        """Return a handle on the same workspace that does what `identity` may do, and writes down that name.

        It is light: make one whenever somebody asks for something. Raises AccessError for a handle that is bound to
        somebody else already.
        """
        if self.identity not in {None, identity}:
            raise AccessError("one person cannot act as another", found=f"{identity.name}, {identity.role.value}")
        bound = copy.copy(self)
        bound.identity = identity
        return bound

    def by_itself(self) -> Workspace:
        """Return a handle bound to nobody, for what Dimshift does by itself, whoever happens to look at it."""
        unbound = copy.copy(self)
        unbound.identity = None
        return unbound

    def check_access(self, kind: str, action: str) -> None:
        """Raise AccessError unless this handle may do `action` to a `kind` now; see `engine.workspace.access`.

        Every change asks this by itself. Ask before something outside the workspace is changed, or long work begins.
        """
        if self.identity is None:
            return
        with self._snapshot() as session:
            Ledger(session, clock=self._now, writes=False, identity=self.identity).check_access(kind, action)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open one consistent view of the database."""
        with database.translated(), Session(self._engine) as session, session.begin():
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Open one transaction that writes: all of it is kept, or nothing when an exception leaves the block."""
        with database.translated(), Session(self._writer) as session, session.begin():
            yield session

    @contextmanager
    def recording(self) -> Iterator[Ledger]:
        """Open one transaction that changes records and series; changes of several processes follow one another.

        All of it is kept, records and audit events alike, or nothing when an exception leaves the block.
        """
        with self.writing() as session:
            yield Ledger(session, clock=self._now, writes=True, identity=self.identity)

    @contextmanager
    def records(self) -> Iterator[Ledger]:
        """Open one consistent view of records and series."""
        with self._snapshot() as session:
            yield Ledger(session, clock=self._now, writes=False)

    def audit(
        self,
        *,
        kind: str | Collection[str] | None = None,
        key: str | None = None,
        after: int = 0,
        limit: int = 1000,
        newest_first: bool = False,
    ) -> tuple[AuditEvent, ...]:
        """Return at most `limit` audit events after number `after`, of some kinds and one key when given."""
        with self.reading() as session:
            return audit.events(session, kind=kind, key=key, after=after, limit=limit, newest_first=newest_first)

    def audit_head(self) -> int:
        """Return the number of the newest audit event, 0 before the first; cheap enough to ask all the time."""
        with self.reading() as session:
            return session.scalars(select(WorkspaceRow.audit_seq)).one()

    def check_audit(self) -> AuditCheck:
        """Walk the whole audit log and say whether any event or record was altered, removed or put in another place.

        Also changes made past the triggers show. Somebody who may write to the database can still rewrite the whole
        log from a point on: compare the newest hash with one that was kept elsewhere, as in the flag file.
        """
        with self._snapshot() as session:
            return audit.check_chain(session)

    def save_run(
        self,
        *,
        kind: str,
        dataset: Mapping[str, object],
        parameters: Mapping[str, object],
        seed: int,
        summary: Mapping[str, object],
        arrays: Mapping[str, npt.NDArray[Any]],
        elapsed_s: float,
        machines: Mapping[str, object] | None = None,
    ) -> Run:
        """Keep a finished run for good and return it.

        The mappings become plain JSON (`plain_json`); ``dataset["sha256"]`` is what `runs` filters on. Array names are
        lower-case words. `machines` says on what it was made beside this process. Raises WorkspaceError when the disk
        or database refuses; nothing is kept then.
        """
        self.check_access("run", "save")
        row = new_run_row(
            created_at=self._now(),
            kind=kind,
            dataset=dataset,
            parameters=parameters,
            seed=seed,
            summary=summary,
            elapsed_s=elapsed_s,
            created_by=_login_name() if self.identity is None else self.identity.name,
            machines=machines,
        )
        row.files = [asdict(file) for file in self._run_folders.write(row.id, arrays)]
        run = run_of(row)
        with self._removed_on_failure(self._run_folders, row.id), self.writing() as session:
            session.add(row)
        return run

    def run(self, run_id: str) -> Run:
        """Return one run. Raises RunNotFoundError."""
        return run_of(self._run_row(run_id))

    def runs(self, *, kind: str | None = None, dataset_sha256: str | None = None, limit: int = 100) -> tuple[Run, ...]:
        """Return the newest `limit` runs, newest first, of one kind and one data set when given."""
        if limit < 1:
            raise ParameterError("the number of runs must be at least 1", found=limit)
        query = select(RunRow).order_by(RunRow.created_at.desc(), RunRow.id.desc()).limit(limit)
        if kind is not None:
            query = query.where(RunRow.kind == kind)
        if dataset_sha256 is not None:
            query = query.where(RunRow.dataset_sha256 == dataset_sha256)
        with self.reading() as session:
            return tuple(run_of(row) for row in session.scalars(query))

    def arrays(self, run_id: str, *, names: Collection[str] | None = None) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of a run, or those of `names` only, read-only and large ones memory-mapped.

        Their digests are compared first. Raises RunNotFoundError, or WorkspaceError when a file is missing or altered.
        """
        row = self._run_row(run_id)
        files = array_files(row)
        unknown = sorted(set(names or ()) - {file.name for file in files})
        if unknown:
            raise ParameterError(f"run {row.id} has no such arrays", found=", ".join(unknown))
        return self._run_folders.read(row.id, files, what=f"run {row.id}", names=names)

    def save_dataset(self, embedding_set: EmbeddingSet) -> StoredDataset:
        """Keep `embedding_set` so that runs on it can be read again after a restart, and return its facts.

        Saving the same set again does nothing; with another name, labels, texts or segments, or when files of the
        stored one are missing, it takes that one's place. Raises WorkspaceError when the disk or database refuses;
        nothing changes then.
        """
        self.check_access("data set", "save")
        row = new_dataset_row(embedding_set, created_at=self._now())
        with suppress(RunNotFoundError, WorkspaceError):  # absent, or its files are damaged: then it is stored anew
            present, _ = self._dataset(row.sha256, verify=False)
            if present.details_sha256 == row.details_sha256:
                return stored_dataset(present)
        row.files = [asdict(file) for file in self._dataset_folders.write(row.folder, dataset_arrays(embedding_set))]
        stored = stored_dataset(row)
        with self._removed_on_failure(self._dataset_folders, row.folder):
            replaced = self._put_dataset(row)
        if replaced is not None:
            self._dataset_folders.remove(replaced)
        return stored

    def datasets(self) -> tuple[StoredDataset, ...]:
        """Return the stored data sets, newest first."""
        with self.reading() as session:
            query = select(DatasetRow).order_by(DatasetRow.created_at.desc(), DatasetRow.sha256)
            return tuple(stored_dataset(row) for row in session.scalars(query))

    def load_dataset(self, sha256: str) -> EmbeddingSet:
        """Return a stored data set, its vectors memory-mapped and its texts decoded on demand.

        Sizes and headers of the files are checked here, their digests by `check_dataset`. Raises RunNotFoundError, or
        WorkspaceError when a file is missing or has another size.
        """
        row, arrays = self._dataset(sha256, verify=False)
        return embedding_set_of(row, arrays)

    def check_dataset(self, sha256: str) -> StoredDataset:
        """Compare every byte of a stored data set with the digests taken when it was stored.

        Raises RunNotFoundError, or WorkspaceError that names the first file that differs.
        """
        row, _ = self._dataset(sha256, verify=True)
        return stored_dataset(row)

    def delete_dataset(self, sha256: str) -> None:
        """Remove a stored data set; runs on it stay. Raises RunNotFoundError."""
        self.check_access("data set", "remove")
        checked = checked_sha256(sha256)
        with self.writing() as session:
            row = session.get(DatasetRow, checked)
            if row is None:
                raise dataset_not_found(sha256)
            folder = row.folder
            session.delete(row)
        self._dataset_folders.remove(folder)

    @contextmanager
    def _snapshot(self) -> Iterator[Session]:
        with self.reading() as session:
            if (
                self._engine.dialect.name == "postgresql"
            ):  # where every statement else sees what was committed meanwhile
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            yield session

    def _now(self) -> datetime:
        moment = self._clock()
        if moment.tzinfo is None:
            raise ValueError("the clock of a workspace must return aware moments")
        return moment.astimezone(UTC)

    def _run_row(self, run_id: str) -> RunRow:
        checked = checked_run_id(run_id)
        with self.reading() as session:
            row = session.get(RunRow, checked)
            if row is None:
                raise run_not_found(run_id)
            session.expunge(row)
            return row

    def _dataset(self, sha256: str, *, verify: bool) -> tuple[DatasetRow, dict[str, npt.NDArray[Any]]]:
        checked = checked_sha256(sha256)
        with self.reading() as session:
            row = session.get(DatasetRow, checked)
            if row is None:
                raise dataset_not_found(sha256)
            session.expunge(row)
        files = dataset_files(row)
        return row, self._dataset_folders.read(row.folder, files, what=f"data set {row.name}", verify=verify)

    def _put_dataset(self, row: DatasetRow) -> str | None:
        """Insert `row` or let it take the place of the one with its digest; return that one's folder."""
        for _ in range(2):
            try:
                with self.writing() as session:
                    present = session.get(DatasetRow, row.sha256, with_for_update=True)
                    replaced = None if present is None else present.folder
                    if present is None:
                        session.add(row)
                    else:
                        session.merge(row)
            except IntegrityError:
                continue  # PostgreSQL, unlike SQLite, lets another process insert the same digest in between
            return replaced
        raise WorkspaceError("another process is storing the same data set", hint="Try again")

    @contextmanager
    def _removed_on_failure(self, folders: ArtefactFolders, folder: str) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            # When the connection to a server breaks, the commit may still have happened: the sweep finds out later.
            if self._engine.dialect.name == "sqlite" or isinstance(error, IntegrityError):
                folders.remove(folder)
            raise

    def _sweep_orphans(self) -> None:
        self._run_folders.sweep(lambda: self._column(RunRow.id))
        self._dataset_folders.sweep(lambda: self._column(DatasetRow.folder))

    def _column(self, column: Any) -> set[str]:
        with self.reading() as session:
            return set(session.scalars(select(column)))


def _login_name() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container whose user has no name
        return "unknown"
    return printable(name, longest=_LONGEST_NAME).encode("utf-8", "replace").decode()


def _made_folder(folder: Path | str) -> Path:
    hint = "Choose another folder with --workspace or DIMSHIFT_WORKSPACE"
    try:
        path = Path(folder).expanduser().absolute()
        is_new = not path.exists()
        path.mkdir(parents=True, exist_ok=True)
        if is_new:  # a folder that somebody else made is theirs to ignore or not
            (path / ".gitignore").write_text("*\n", encoding="utf-8")
    except (FileExistsError, NotADirectoryError) as error:
        raise WorkspaceError("the workspace must be a folder", found=f"{folder}, a file", hint=hint) from error
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: a NUL in the name; RuntimeError: no home for ~
        found = f"{folder}: {getattr(error, 'strerror', None) or error}"
        raise WorkspaceError("the workspace folder must be writable", found=found, hint=hint) from error
    return path
