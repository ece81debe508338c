"""Tables whose rows the database itself refuses to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

# Workspaces out there were made by these statements: a migration that needs others writes its own.
_POSTGRESQL_FUNCTION = """
CREATE OR REPLACE FUNCTION dimshift_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING
        MESSAGE = 'rows of ' || TG_TABLE_NAME || ' are never changed',
        ERRCODE = 'integrity_constraint_violation';
END
$$
"""


def make_append_only(connection: Connection, table: str, *, key: str = "id") -> None:
    """Add triggers that refuse UPDATE, DELETE and a replacing INSERT on `table` with primary key `key`.

    For migrations; both names are the migration's own constants, never input.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_POSTGRESQL_FUNCTION)
        for event, scope in (("UPDATE OR DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
            connection.exec_driver_sql(
                f"CREATE TRIGGER {table}_refuse_{event.split()[0].lower()} BEFORE {event} ON {table} "
                f"FOR EACH {scope} EXECUTE FUNCTION dimshift_refuse_change()"
            )
        return
    refuse = f"BEGIN SELECT RAISE(ABORT, 'rows of {table} are never changed'); END"
    connection.exec_driver_sql(f"CREATE TRIGGER {table}_refuse_update BEFORE UPDATE ON {table} {refuse}")
    connection.exec_driver_sql(f"CREATE TRIGGER {table}_refuse_delete BEFORE DELETE ON {table} {refuse}")
    # INSERT OR REPLACE deletes the old row without firing delete triggers.
    present = f"EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})"  # noqa: S608  # both names are constants
    connection.exec_driver_sql(
        f"CREATE TRIGGER {table}_refuse_replace BEFORE INSERT ON {table} WHEN {present} {refuse}"
    )
