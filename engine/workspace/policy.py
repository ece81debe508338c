"""Which role somebody who signed in has: by the configuration, the list that admins keep, or the provider's claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.errors import AccessError, ParameterError
from engine.workspace.access import Identity, Role, checked_name

if TYPE_CHECKING:
    from collections.abc import Iterable

_SETTINGS = ("role_claim", "claim_roles", "roles", "default_role", "session_hours")
_LONGEST_SESSION_H = 24.0 * 30
_NAMES = ("email", "preferred_username", "upn", "sub")


@dataclass(frozen=True, kw_only=True)
class AccessPolicy:
    """How roles are found; the first of these that names a person decides.

    `admins`, who are always admins; the list that admins keep in the workspace; `roles`, by name; `role_claim`, a claim
    whose values `claim_roles` translates (without it, they are roles themselves), the highest of several; and
    `default_role` for everybody else, None to let nobody else in. A session ends `session_hours` after the sign-in.
    """

    admins: frozenset[str] = frozenset()
    roles: Mapping[str, Role] = field(default_factory=dict)
    role_claim: str | None = None
    claim_roles: Mapping[str, Role] = field(default_factory=dict)
    default_role: Role | None = None
    session_hours: float = 12.0

    def __post_init__(self) -> None:
        if not 0 < self.session_hours <= _LONGEST_SESSION_H:  # false for NaN as well
            raise ParameterError(
                f"session_hours must be above 0 and at most {_LONGEST_SESSION_H:g}", found=self.session_hours
            )

    @classmethod
    def from_settings(cls, settings: Mapping[str, object], *, admins: str = "") -> AccessPolicy:
        """Read the section ``[dimshift]`` of a configuration, and `admins`, names with commas between.

        Raises ParameterError for a setting that is not known, and for roles or names that cannot be.
        """
        unknown = sorted(set(settings) - set(_SETTINGS))
        if unknown:
            raise ParameterError(
                "the section [dimshift] holds settings that are not known",
                found=", ".join(unknown),
                hint=f"Known are {', '.join(_SETTINGS)}",
            )
        claim, default = settings.get("role_claim"), settings.get("default_role")
        hours = settings.get("session_hours", cls.session_hours)
        if not isinstance(hours, int | float) or isinstance(hours, bool):
            raise ParameterError("session_hours must be a number", found=hours)
        listed = _mapping("roles", settings.get("roles")).items()
        claimed = _mapping("claim_roles", settings.get("claim_roles")).items()
        return cls(
            admins=frozenset(checked_name(name) for name in admins.split(",") if name.strip()),
            roles={checked_name(name): Role.parse(role) for name, role in listed},
            role_claim=None if claim is None else str(claim),
            claim_roles={value: Role.parse(role) for value, role in claimed},
            default_role=None if default is None else Role.parse(default),
            session_hours=float(hours),
        )

    def identity(self, claims: Mapping[str, object], *, listed: Mapping[str, Role]) -> Identity:
        """Return who signed in with `claims`; `listed` are the roles that admins keep in the workspace.

        Raises AccessError for an address that the provider has not verified, and for somebody without a role.
        """
        name = person_name(claims)
        role = self.role(name, claims, listed=listed)
        if role is None:
            raise AccessError(
                "only people with a role may use this workspace", found=name, hint="Ask an admin for one, then reload"
            )
        return Identity(
            name=name,
            role=role,
            otherwise=self.role(name, claims, listed={}),
            is_listed=name in listed,
            is_fixed=name in self.admins,
        )

    def role(self, name: str, claims: Mapping[str, object], *, listed: Mapping[str, Role]) -> Role | None:
        """Return the role of `name`, None for none; see the class."""
        if name in self.admins:
            return Role.ADMIN
        for known in (listed, self.roles):
            if name in known:
                return known[name]
        claimed = [role for role in map(self._claimed, _values(claims, self.role_claim)) if role is not None]
        return max(claimed, key=list(Role).index, default=self.default_role)

    def _claimed(self, value: str) -> Role | None:
        if self.claim_roles:
            return self.claim_roles.get(value)
        return next((role for role in Role if role.value == value), None)


def person_name(claims: Mapping[str, object]) -> str:
    """Return what tells a person apart: the e-mail address, or what the provider has in its place.

    Raises AccessError when there is nothing, or the provider says that it has not verified the address: anybody could
    have typed that of an admin.
    """
    if claims.get("email") and str(claims.get("email_verified", True)).lower() != "true":
        raise AccessError(
            "the provider must have verified the e-mail address", found=claims["email"], hint="Verify it there first"
        )
    name = next((str(claims[claim]) for claim in _NAMES if claims.get(claim)), "")
    try:
        return checked_name(name)
    except ParameterError as error:
        raise AccessError("the provider must say who signs in", found=error.found, hint="Ask for scope email") from None


def _mapping(name: str, value: object) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ParameterError(f"[dimshift.{name}] must be a table", found=value)
    return {str(key): one for key, one in value.items()}


def _values(claims: Mapping[str, object], claim: str | None) -> Iterable[str]:
    """Yield the values of a claim, one text or a list; ``realm_access.roles`` also names a claim within a claim."""
    if claim is None:
        return
    found: object = claims.get(claim)
    if found is None:
        found = claims
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        yield found
    elif isinstance(found, list | tuple):
        yield from (one for one in found if isinstance(one, str))
