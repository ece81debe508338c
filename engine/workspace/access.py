"""Who may do what: roles, the table of permissions, and the one check that every change of a workspace goes through.

A workspace that nobody is bound to (`Workspace.acting_as` was not called) belongs to a single user, who may do
everything. Whoever can open its folder or database is that user: roles are for people who come through the app.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

from engine.errors import AccessError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

ROLE_KIND = "role"
"""The kind of the records of the list of roles, by the names of people."""

_LONGEST_NAME = 200


class Role(Enum):
    """What somebody may do; each role may do what the ones before it may.

    Viewers read and export; operators sweep, ramp, migrate and kill; admins also restore after a kill and edit roles.

    >>> Role.ADMIN.includes(Role.OPERATOR)
    True
    """

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Tell whether this role may do all that `other` may."""
        return _RANKS[self] >= _RANKS[other]

    @classmethod
    def parse(cls, text: object) -> Role:
        """Return the role of that name. Raises ParameterError.

        >>> Role.parse(" Admin ")
        <Role.ADMIN: 'admin'>
        """
        try:
            return cls(str(text).strip().lower())
        except ValueError:
            raise ParameterError("a role is viewer, operator or admin", found=text) from None


_RANKS = {role: place for place, role in enumerate(Role)}


@dataclass(frozen=True, kw_only=True)
class Identity:
    """One person with the role they had when they asked; `name`, as a rule the e-mail address, is in the audit log.

    What they began may write much later, so every change looks at the list of roles in the workspace again: `is_listed`
    says that `role` comes from there, and `otherwise` is the role without it, None for none. With `is_fixed` the
    configuration stands above the list.
    """

    name: str
    role: Role
    otherwise: Role | None = field(default=None, compare=False)
    is_listed: bool = field(default=False, compare=False)
    is_fixed: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        if self.name != checked_name(self.name):
            raise ParameterError("the name of a person is in lower case", found=self.name)

    def role_now(self, listed: Role | None) -> Role | None:
        """Return the role when the list says `listed`, None when it does not name the person; None for no role.

        >>> Identity(name="otto", role=Role.OPERATOR).role_now(Role.VIEWER)
        <Role.VIEWER: 'viewer'>
        """
        if self.is_fixed:
            return self.role
        if listed is not None:
            return listed
        return self.otherwise if self.is_listed else self.role


def checked_name(name: str) -> str:
    """Return `name` as people are told apart by: in lower case, without spaces around. Raises ParameterError."""
    text = name.strip().lower()
    if not 0 < len(text) <= _LONGEST_NAME or not text.isprintable():
        raise ParameterError(f"a person's name is 1 to {_LONGEST_NAME} printable characters", found=ascii(name))
    return text


# A kind of record, series or run, what is done to it, and the least role that may. Whatever is not listed takes an
# admin; a test compares the lists with every action that the engine writes.
_LISTED: Mapping[Role, Mapping[str, tuple[str, ...]]] = {
    Role.VIEWER: {
        "session": ("log out",),
    },
    Role.OPERATOR: {
        "job": ("start", "start again", "end", "dismiss"),
        "run": ("save",),
        "data set": ("save", "remove"),
        "switch": ("kill", "kill again"),
        "flag": (
            *("create", "set", "remove", "import", "cut over", "cut back"),
            *("rollout start", "rollout advance", "rollout resume", "rollout complete", "rollout roll back"),
        ),
        "flag file": ("begin", "import", "keep aside"),
        "rollout": (
            *("create", "edit", "start", "advance", "pause", "resume", "roll back", "complete", "discard"),
            *("observe", "close incident"),
        ),
        "clock": ("begin clock", "step clock"),
        "simulation": ("set simulation",),
        "observations": ("append",),
        "incidents": ("append",),
        "dual search": ("change dual search",),
        "migration": (
            *("start migration", "use the empty target", "resume migration", "catch up", "retry quarantine"),
            *("copying", "catching up", "indexing", "validating", "done", "paused", "cancelled", "stopped"),
            *("ask to pause", "ask to cancel", "drop target", "append"),
        ),
        "quarantine": ("append",),
        "plan": ("save", "remove"),
        "demonstration": ("begin", "go on", "build", "stop"),
        "runbook": (
            *("tick", "take back", "set staleness"),
            *("rehearse kill switch", "count source", "pre-flight"),
        ),
    },
    Role.ADMIN: {
        "switch": ("restore",),
        "role": ("set role", "remove role"),
    },
}

LEAST_ROLES: Mapping[tuple[str, str], Role] = MappingProxyType(
    {(kind, action): role for role, kinds in _LISTED.items() for kind, actions in kinds.items() for action in actions}
)
"""The least role that may do an action to a kind of record, series or run."""


def least_role(kind: str, action: str) -> Role:
    """Return the least role that may do `action` to a `kind`; an admin's for what nobody has classified.

    >>> least_role("switch", "kill"), least_role("switch", "restore")
    (<Role.OPERATOR: 'operator'>, <Role.ADMIN: 'admin'>)
    """
    return LEAST_ROLES.get((kind, action), Role.ADMIN)


def check_access(identity: Identity, kind: str, action: str, *, role: Role | None) -> None:
    """Raise AccessError unless `identity`, whose role is `role` by now, None for none, may do `action` to a `kind`."""
    least = least_role(kind, action)
    if role is not None and role.includes(least):
        return
    who = {Role.VIEWER: "people with a role", Role.OPERATOR: "operators and admins", Role.ADMIN: "admins"}
    found = "without a role" if role is None else role.value
    before = "" if role is identity.role else f" now, {identity.role.value} before"
    raise AccessError(
        f"only {who[least]} may do this, {action}",
        found=f"{identity.name}, {found}{before}",
        hint="Ask an admin for another role, or somebody who has it",
    )


def stream_kind(stream: str) -> str:
    """Return the kind of a series, what its name begins with.

    >>> stream_kind("observations:ramp")
    'observations'
    """
    return stream.partition(":")[0]
