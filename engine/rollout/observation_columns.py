"""Which column of a file of observations holds what: chosen by the user, or told from names."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from engine.errors import AmbiguousColumnsError, FormatError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Role: the names it goes by, compared without case and punctuation.
_NAMES: dict[str, tuple[str, ...]] = {
    "start": ("start", "window_start", "started_at", "from", "day", "date", "timestamp", "time"),
    "end": ("end", "window_end", "ended_at", "to", "until"),
    "arm": ("arm", "variant", "variation", "group", "track"),
    "percent": ("percent", "share_percent", "treatment_percent", "weight_percent"),
    "n_users": ("n_users", "users", "user_count", "unique_users", "exposed_users"),
    "n_queries": ("n_queries", "queries", "query_count", "requests", "n_requests", "request_count", "searches"),
    "n_clicks": ("n_clicks", "clicks", "clicked", "click_count", "queries_with_click"),
    "n_errors": ("n_errors", "errors", "error_count", "failed", "failures"),
    "p99_ms": ("p99_ms", "p99", "p99_latency_ms", "latency_p99_ms", "p99_latency", "latency_p99", "p99_s", "p99_us"),
    "p99_low_ms": ("p99_low_ms", "p99_low", "p99_lower_ms", "p99_lower"),
    "p99_high_ms": ("p99_high_ms", "p99_high", "p99_upper_ms", "p99_upper"),
}
_REQUIRED = ("start", "arm", "n_queries")
METRIC_ROLES = ("n_clicks", "n_errors", "p99_ms")


@dataclass(frozen=True, kw_only=True)
class ObservationColumns:
    """Names of the columns of a file of observations; None lets the names decide, or is not there."""

    start: str | None = None
    end: str | None = None
    arm: str | None = None
    percent: str | None = None
    n_users: str | None = None
    n_queries: str | None = None
    n_clicks: str | None = None
    n_errors: str | None = None
    p99_ms: str | None = None
    p99_low_ms: str | None = None
    p99_high_ms: str | None = None

    def named(self) -> dict[str, str]:
        """Return role and column of those that there are."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {role: column for role, column in named.items() if column is not None}


@dataclass(frozen=True, kw_only=True)
class ColumnCandidates:
    """What a file offers: all `names`, the `columns` that they tell, and what remains to be asked.

    `ambiguous` lists, for roles that several columns could fill, which; `missing` names required roles without any.
    """

    names: tuple[str, ...]
    columns: ObservationColumns
    ambiguous: dict[str, tuple[str, ...]]
    missing: tuple[str, ...]


def find_observation_columns(names: Sequence[str], chosen: ObservationColumns | None = None) -> ColumnCandidates:
    """Return which of the column `names` holds what; what was `chosen` stands.

    >>> find_observation_columns(["Day", "Arm", "Users", "Requests", "p99 ms"]).columns.p99_ms
    'p99 ms'

    Raises
    ------
    ParameterError
        When a column was chosen that is not there.
    """
    given = {} if chosen is None else chosen.named()
    for role, column in given.items():
        if column not in names:
            rule = f"the column chosen as {role} must be one of the file's"
            raise ParameterError(rule, found=column, hint=f"It has {', '.join(names[:20])}")
    free = [name for name in names if name not in given.values()]
    found, ambiguous = dict(given), {}
    for role, known in _NAMES.items():
        if role in given:
            continue
        fitting = tuple(name for name in free if _plain(name) in known)
        exact = tuple(name for name in fitting if _plain(name) == role)
        if len(exact or fitting) == 1:
            found[role] = (exact or fitting)[0]
        elif fitting:
            ambiguous[role] = fitting
    missing = tuple(role for role in _REQUIRED if role not in found and role not in ambiguous)
    return ColumnCandidates(
        names=tuple(names), columns=ObservationColumns(**found), ambiguous=ambiguous, missing=missing
    )


def settled_columns(name: str, candidates: ColumnCandidates) -> ObservationColumns:
    """Return the columns of the file `name` once nothing remains to be asked.

    Raises
    ------
    AmbiguousColumnsError
        When several columns could fill a role.
    FormatError
        When a required column is missing, or none of clicks, errors and p99 latency is there.
    """
    for role, fitting in candidates.ambiguous.items():
        raise AmbiguousColumnsError(name, wanted=role, candidates=fitting, role="observations")
    listed = ", ".join(candidates.names[:20])
    for role in candidates.missing:
        hint = f"Choose one by name, or call it {role}"
        raise FormatError.in_file(name, f"a column must hold {_said(role)}", found=f"columns {listed}", hint=hint)
    if not any(role in candidates.columns.named() for role in METRIC_ROLES):
        raise FormatError.in_file(
            name,
            "a column must hold clicks, errors or the p99 latency",
            found=f"columns {listed}",
            hint="Counts are needed, not rates: n_clicks, n_errors, p99_ms",
        )
    return candidates.columns


def unit_of(column: str) -> str | None:
    """Return the unit that the name of a latency column ends with: ms, s, us, or None."""
    match = re.search(r"_(ms|s|us)$", _plain(column))
    return match.group(1) if match else None


def _said(role: str) -> str:
    return {"start": "the start of each window", "arm": "the arm", "n_queries": "the number of queries"}[role]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
