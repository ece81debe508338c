"""The tables of a workspace, portable between SQLite and PostgreSQL.

A change here needs a migration in ``migrations/versions`` and a new `engine.workspace.database.HEAD`; a test compares
the two.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, BigInteger, DateTime, Float, Index, Integer, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect


_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, kept in UTC; SQLite, which has no time zones, holds it without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse moments without a time zone and convert the others to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment must carry its time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy's signature
        """Return the moment with UTC as its time zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Name(TypeDecorator[str]):
    """A text that rows are looked up by; whatever a URL or a shell asks for, one that cannot be there finds nothing.

    PostgreSQL takes no NUL, and no driver half a surrogate pair. What is written was checked before.
    """

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002  # SQLAlchemy's signature
        """Put a character that no name may hold in the place of those."""
        return None if value is None else _UNSTORABLE.sub("\x01", value)


class Base(DeclarativeBase):
    """Every table of the workspace."""

    # Named constraints can be dropped by a later migration, on SQLite too.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class WorkspaceRow(Base):
    """The single row that tells this workspace from every other; written by the first migration.

    `audit_seq` and `audit_hash` are those of the newest audit event. Whoever changes records holds this row's lock.
    """

    __tablename__ = "workspace"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    created_with: Mapped[str] = mapped_column(String(32))
    audit_seq: Mapped[int] = mapped_column(BigInteger, server_default="0")
    audit_hash: Mapped[str] = mapped_column(String(64), server_default="")


class RunRow(Base):
    """A finished run. Triggers refuse every UPDATE and DELETE."""

    __tablename__ = "runs"
    __table_args__ = (Index(None, "kind", "created_at"), Index(None, "dataset_sha256", "created_at"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(Name(32))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    dataset_sha256: Mapped[str | None] = mapped_column(Name(64))
    dataset: Mapped[dict[str, Any]] = mapped_column(JSON)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    seed: Mapped[int] = mapped_column(BigInteger)
    environment: Mapped[dict[str, Any]] = mapped_column(JSON)
    summary: Mapped[dict[str, Any]] = mapped_column(JSON)
    files: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    elapsed_s: Mapped[float] = mapped_column(Float)
    created_by: Mapped[str] = mapped_column(String(200), server_default="")


class DatasetRow(Base):
    """A stored data set; `folder` holds its arrays, `details_sha256` covers what the digest of the set does not."""

    __tablename__ = "datasets"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    details_sha256: Mapped[str] = mapped_column(String(64))
    folder: Mapped[str] = mapped_column(String(100))
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    n_docs: Mapped[int] = mapped_column(BigInteger)
    n_queries: Mapped[int] = mapped_column(BigInteger)
    dim: Mapped[int] = mapped_column(Integer)
    dtype: Mapped[str] = mapped_column(String(16))
    metric: Mapped[str] = mapped_column(String(16))
    recipe: Mapped[str] = mapped_column(String(16))
    labels: Mapped[list[str]] = mapped_column(JSON)
    warnings: Mapped[list[str]] = mapped_column(JSON)
    unknown_queries: Mapped[int] = mapped_column(BigInteger)
    unknown_docs: Mapped[int] = mapped_column(BigInteger)
    files: Mapped[list[dict[str, Any]]] = mapped_column(JSON)


class RecordRow(Base):
    """A versioned JSON document; `body` is None once it was removed, so that its versions are never given out again."""

    __tablename__ = "records"

    kind: Mapped[str] = mapped_column(Name(64), primary_key=True)
    key: Mapped[str] = mapped_column(Name(200), primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    body: Mapped[str | None] = mapped_column(Text)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AuditRow(Base):
    """An audit event, text as it was hashed. Triggers refuse every UPDATE and DELETE."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "kind", "key", "seq"),)

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(String(32))
    actor: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(Name(64))
    key: Mapped[str] = mapped_column(Name(200))
    reason: Mapped[str] = mapped_column(Text)
    before: Mapped[str] = mapped_column(Text)
    after: Mapped[str] = mapped_column(Text)
    evidence: Mapped[str] = mapped_column(Text)
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class EntryRow(Base):
    """One value of an append-only series. Triggers refuse every UPDATE and DELETE."""

    __tablename__ = "entries"
    __table_args__ = (UniqueConstraint("stream", "key"), Index(None, "stream", "seq"))

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    stream: Mapped[str] = mapped_column(Name(200))
    key: Mapped[str] = mapped_column(Name(200))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    body: Mapped[str] = mapped_column(Text)
