"""Run migrations on the connection that `engine.workspace.database` hands over, inside its transaction.

There is no alembic.ini and no logging set-up, so that opening a workspace changes nothing else in the process.
"""

from __future__ import annotations

from alembic import context

from engine.workspace.database import VERSION_TABLE
from engine.workspace.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
