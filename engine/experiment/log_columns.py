"""Which column of an exposure log holds what: chosen by the user, or told from names."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal, get_args

from engine.errors import AmbiguousColumnsError, FormatError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

LatencyUnit = Literal["ms", "s", "us"]
LATENCY_UNITS: tuple[LatencyUnit, ...] = get_args(LatencyUnit)

MS_PER_UNIT: dict[LatencyUnit, float] = {"ms": 1.0, "s": 1000.0, "us": 0.001}

REQUIRED = ("user_id", "timestamp", "variation_id")

# The name that the role goes by first, then others that are seen; compared without case and punctuation.
_NAMES: dict[str, tuple[str, ...]] = {
    "user_id": ("user", "uid", "visitor_id", "visitor", "anonymous_id", "client_id", "device_id", "account_id"),
    "timestamp": ("time", "ts", "event_time", "event_timestamp", "datetime", "date", "created_at", "occurred_at"),
    "variation_id": ("variation", "variant", "variant_id", "arm", "group", "treatment_group", "branch"),
    "experiment_id": ("experiment", "exp_id", "test_id", "flag_key"),
    "clicked": ("click", "clicks", "is_click", "has_click", "is_clicked"),
    "converted": ("conversion", "conversions", "is_conversion", "purchased", "purchase", "ordered"),
    "error": ("errors", "is_error", "has_error", "failed", "is_failed"),
    "latency_ms": ("latency", "latency_s", "latency_us", "duration_ms", "duration", "response_time_ms", "response_time",
                   "elapsed_ms", "elapsed", "took_ms", "took"),
    "results": ("n_results", "num_results", "result_count", "results_count", "hits", "total_hits"),
    "no_results": ("zero_results", "is_empty"),
    "segment": ("segment_id", "segment_name"),
}  # fmt: skip
_UNIT_IN_NAME: tuple[tuple[str, LatencyUnit], ...] = (
    (r"_(ms|msec|millis|milliseconds)$", "ms"),
    (r"_(us|usec|micros|microseconds)$", "us"),
    (r"_(s|sec|secs|seconds)$", "s"),
)
_CANDIDATES = 5


@dataclass(frozen=True, kw_only=True)
class LogColumns:
    """The names of the columns of a log; None for what it does not have, or lets names decide when it is a choice.

    `results` counts the results shown, of which `no_results` is the fact that there were none: one of them is enough.
    """

    user_id: str | None = None
    timestamp: str | None = None
    variation_id: str | None = None
    experiment_id: str | None = None
    clicked: str | None = None
    converted: str | None = None
    error: str | None = None
    latency_ms: str | None = None
    results: str | None = None
    no_results: str | None = None
    segment: str | None = None

    def named(self) -> dict[str, str]:
        """Return role and column of those that there are."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {role: column for role, column in named.items() if column is not None}


@dataclass(frozen=True, kw_only=True)
class LogUnits:
    """The units of a log's numbers; None where the column's name says it, as ``latency_ms`` does."""

    latency: LatencyUnit | None = None

    def __post_init__(self) -> None:
        """Raise `ParameterError` for an unknown unit."""
        if self.latency is not None and self.latency not in LATENCY_UNITS:
            raise ParameterError(f"the unit of latency is one of {', '.join(LATENCY_UNITS)}", found=self.latency)


@dataclass(frozen=True, kw_only=True)
class LogCandidates:
    """What a log offers: all `names`, the `columns` that their names tell, and what remains to be asked.

    `ambiguous` lists, for roles that several columns could fill, which; `missing` names required roles without any,
    each with the columns whose names come closest. `latency_unit` is what the name of the latency column says, None
    when it must be asked.
    """

    names: tuple[str, ...]
    columns: LogColumns
    ambiguous: dict[str, tuple[str, ...]]
    missing: dict[str, tuple[str, ...]]
    latency_unit: LatencyUnit | None


def find_columns(names: Sequence[str], chosen: LogColumns | None = None) -> LogCandidates:
    """Return which of the column `names` holds what; what was `chosen` stands.

    >>> find_columns(["uid", "ts", "variant", "clicks"]).columns.clicked
    'clicks'

    Raises
    ------
    ParameterError
        When a column was chosen that is not there, or one for two roles.
    """
    given = {} if chosen is None else chosen.named()
    _check_chosen(names, given)
    free = {_plain(name): name for name in reversed(names) if name not in given.values()}
    found, ambiguous = dict(given), {}
    for role, synonyms in _NAMES.items():
        if role in given:
            continue
        fitting = [free[role]] if role in free else [free[name] for name in synonyms if name in free]
        if len(fitting) == 1:
            found[role] = fitting[0]
        elif fitting:
            ambiguous[role] = tuple(fitting)
    left = {plain: name for plain, name in free.items() if name not in found.values()}
    missing = {role: _closest(role, left) for role in REQUIRED if role not in found and role not in ambiguous}
    columns = replace(LogColumns(), **found)
    return LogCandidates(
        names=tuple(names),
        columns=columns,
        ambiguous=ambiguous,
        missing=missing,
        latency_unit=None if columns.latency_ms is None else unit_in_name(columns.latency_ms),
    )


def settled_columns(name: str, candidates: LogCandidates) -> LogColumns:
    """Return the columns of the log `name` once nothing remains to be asked.

    Raises
    ------
    AmbiguousColumnsError
        When several columns could fill a role.
    FormatError
        When a required column is missing; it names the candidates.
    """
    for role, fitting in candidates.ambiguous.items():
        raise AmbiguousColumnsError(name, wanted=role, candidates=fitting, role="log")
    columns = candidates.columns
    if columns.results is not None and columns.no_results is not None:
        raise AmbiguousColumnsError(
            name, wanted="results", candidates=(columns.results, columns.no_results), role="log"
        )
    for role, closest in candidates.missing.items():
        listed = ", ".join(candidates.names[:12]) + (" and more" if len(candidates.names) > 12 else "")
        raise FormatError.in_file(
            name,
            f"a column must hold the {role}",
            found=f"columns {listed}",
            hint=f"Choose one by name; closest: {', '.join(closest)}" if closest else "Choose one by name",
        )
    return columns


def unit_in_name(column: str) -> LatencyUnit | None:
    """Return the unit that the name of a latency column ends with.

    >>> [unit_in_name(column) for column in ("latency_ms", "elapsed_seconds", "took")]
    ['ms', 's', None]
    """
    plain = _plain(column)
    return next((unit for pattern, unit in _UNIT_IN_NAME if re.search(pattern, plain)), None)


def ms_per_unit(name: str, columns: LogColumns, units: LogUnits | None) -> float:
    """Return how many ms the unit of the latency column is.

    Raises
    ------
    ParameterError
        When neither `units` nor the column's name says it.
    """
    if columns.latency_ms is None:
        return 1.0
    unit = None if units is None else units.latency
    unit = unit or unit_in_name(columns.latency_ms)
    if unit is None:
        raise ParameterError(
            f"{name}: the unit of the latency must be known",
            found=f"column {columns.latency_ms}",
            hint="Say whether it holds ms, s or us",
        )
    return MS_PER_UNIT[unit]


def _check_chosen(names: Sequence[str], given: dict[str, str]) -> None:
    for role, column in given.items():
        if column not in names:
            raise ParameterError(
                f"the column chosen as {role} must be one of the log's",
                found=column,
                hint="It has " + ", ".join(names[:12]) + (" and more" if len(names) > 12 else ""),
            )
    twice = [column for column in given.values() if list(given.values()).count(column) > 1]
    if twice:
        raise ParameterError("a column can hold one thing only", found=f"{twice[0]}, chosen twice")


def _closest(role: str, free: dict[str, str]) -> tuple[str, ...]:
    wanted = (role, *_NAMES[role])
    scores = {
        name: max(difflib.SequenceMatcher(None, plain, candidate).ratio() for candidate in wanted)
        for plain, name in free.items()
    }
    near = sorted((name for name, score in scores.items() if score >= 0.5), key=lambda name: -scores[name])
    return tuple(near[:_CANDIDATES])


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
