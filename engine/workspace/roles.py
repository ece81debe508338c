"""The list of roles that admins keep in the workspace, and sessions that were ended before their time; audited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import AccessError
from engine.workspace.access import ROLE_KIND, Role, checked_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from engine.workspace.records import Record
    from engine.workspace.store import Workspace

SESSION_KIND = "session"


@dataclass(frozen=True, kw_only=True)
class ListedRole:
    """A person's role in the list; `version` is what a change of it names."""

    name: str
    role: Role
    version: int
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class Access:
    """What the workspace says about one person's session: the role in the list, None for none; whether it was ended."""

    listed: Mapping[str, Role]
    is_ended: bool


class RoleList:
    """The roles kept in `workspace`: only admins change them, and no admin their own."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def all(self) -> tuple[ListedRole, ...]:
        """Return everybody in the list, ordered by name."""
        with self._workspace.records() as ledger:
            return tuple(_listed(record) for record in ledger.all(ROLE_KIND))

    def set(self, name: str, role: Role, *, expected_version: int | None, actor: str, reason: str = "") -> ListedRole:
        """Give `name` a role; `expected_version` is 0 for somebody new.

        Raises AccessError for who is no admin or would change the own role, ConflictError, ParameterError.
        """
        key = checked_name(name)
        with self._workspace.recording() as ledger:
            self._check("set role", key)
            body = {"role": role.value}
            record = ledger.put(
                ROLE_KIND, key, body, expected_version=expected_version, actor=actor, action="set role", reason=reason
            )
        return _listed(record)

    def remove(self, name: str, *, expected_version: int | None, actor: str, reason: str = "") -> None:
        """Take `name` from the list: configuration and claims decide again. Raises as `set` does."""
        key = checked_name(name)
        with self._workspace.recording() as ledger:
            self._check("remove role", key)
            ledger.remove(
                ROLE_KIND, key, expected_version=expected_version, actor=actor, action="remove role", reason=reason
            )

    def access(self, name: str, *, session: str) -> Access:
        """Return what the list says about `name`, and whether the sign-in `session` was ended."""
        with self._workspace.records() as ledger:
            record, ended = ledger.get(ROLE_KIND, name), ledger.get(SESSION_KIND, session)
        return Access(listed={} if record is None else {name: _listed(record).role}, is_ended=ended is not None)

    def end_session(self, session: str, *, actor: str) -> None:
        """End the sign-in `session`, a digest that tells it apart, in every tab and process."""
        with self._workspace.recording() as ledger:
            if ledger.get(SESSION_KIND, session) is None:
                ledger.put(SESSION_KIND, session, {}, expected_version=0, actor=actor, action="log out")

    def _check(self, action: str, name: str) -> None:
        self._workspace.check_access(ROLE_KIND, action)
        identity = self._workspace.identity
        if identity is not None and identity.name == name:
            raise AccessError(
                "nobody changes their own role, so that an admin always remains",
                found=name,
                hint="Ask another admin, or name one in DIMSHIFT_ADMINS",
            )


def _listed(record: Record) -> ListedRole:
    role = Role.parse(record.body["role"])
    return ListedRole(name=record.key, role=role, version=record.version, updated_at=record.updated_at)
