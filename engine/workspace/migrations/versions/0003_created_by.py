"""Who made a run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; it is empty for runs that are there already."""
    op.add_column("runs", sa.Column("created_by", sa.String(200), nullable=False, server_default=""))


def downgrade() -> None:
    """Refuse: workspaces only move forward."""
    raise NotImplementedError
