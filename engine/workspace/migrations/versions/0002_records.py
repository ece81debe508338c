"""Versioned records, the audit log over them, append-only series."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from engine.workspace.append_only import make_append_only

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Two columns tell one entry from another beside its number: INSERT OR REPLACE may meet either.
_REFUSE_SAME_KEY = """
CREATE TRIGGER entries_refuse_same_key BEFORE INSERT ON entries
WHEN EXISTS (SELECT 1 FROM entries WHERE stream = NEW.stream AND key = NEW.key)
BEGIN SELECT RAISE(ABORT, 'rows of entries are never changed'); END
"""


def upgrade() -> None:
    """Add the tables, and the head of the audit log to the workspace's row."""
    op.add_column("workspace", sa.Column("audit_seq", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("workspace", sa.Column("audit_hash", sa.String(64), nullable=False, server_default=""))
    op.create_table(
        "records",
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name="pk_records"),
    )
    _create_audit_events()
    _create_entries()


def _create_audit_events() -> None:
    op.create_table(
        "audit_events",
        sa.Column("seq", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_events"),
    )
    op.create_index("ix_audit_events_kind_key_seq", "audit_events", ["kind", "key", "seq"])
    make_append_only(op.get_bind(), "audit_events", key="seq")


def _create_entries() -> None:
    op.create_table(
        "entries",
        sa.Column("seq", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("stream", sa.String(200), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_entries"),
        sa.UniqueConstraint("stream", "key", name="uq_entries_stream_key"),
    )
    op.create_index("ix_entries_stream_seq", "entries", ["stream", "seq"])
    make_append_only(op.get_bind(), "entries", key="seq")
    if op.get_bind().dialect.name == "sqlite":
        op.execute(_REFUSE_SAME_KEY)


def downgrade() -> None:
    """Refuse: workspaces only move forward."""
    raise NotImplementedError
