"""Workspace identity, immutable runs, stored data sets."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from engine import __version__
from engine.workspace.append_only import make_append_only

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the first tables and give the workspace its id."""
    workspace = op.create_table(
        "workspace",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_with", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workspace"),
    )
    op.bulk_insert(
        workspace,
        [{"id": secrets.token_hex(16), "created_at": datetime.now(UTC), "created_with": __version__}],
    )
    _create_runs()
    _create_datasets()


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dataset_sha256", sa.String(64), nullable=True),
        sa.Column("dataset", sa.JSON(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("environment", sa.JSON(), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("elapsed_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    op.create_index("ix_runs_created_at", "runs", ["created_at"])
    op.create_index("ix_runs_kind_created_at", "runs", ["kind", "created_at"])
    op.create_index("ix_runs_dataset_sha256_created_at", "runs", ["dataset_sha256", "created_at"])
    make_append_only(op.get_bind(), "runs")


def _create_datasets() -> None:
    op.create_table(
        "datasets",
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("details_sha256", sa.String(64), nullable=False),
        sa.Column("folder", sa.String(100), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("n_docs", sa.BigInteger(), nullable=False),
        sa.Column("n_queries", sa.BigInteger(), nullable=False),
        sa.Column("dim", sa.Integer(), nullable=False),
        sa.Column("dtype", sa.String(16), nullable=False),
        sa.Column("metric", sa.String(16), nullable=False),
        sa.Column("recipe", sa.String(16), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("unknown_queries", sa.BigInteger(), nullable=False),
        sa.Column("unknown_docs", sa.BigInteger(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_datasets"),
    )
    op.create_index("ix_datasets_created_at", "datasets", ["created_at"])


def downgrade() -> None:
    """Refuse: workspaces only move forward."""
    raise NotImplementedError
