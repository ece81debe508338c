"""Read observations from files that users hold: CSV, Parquet, JSON or JSON lines, a row an arm and window."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, Literal

from engine.embeddings.paths import existing
from engine.embeddings.readers.source import Source
from engine.errors import FormatError, ParameterError
from engine.experiment.log_tables import open_log
from engine.rollout.observation_columns import (
    ColumnCandidates,
    ObservationColumns,
    find_observation_columns,
    settled_columns,
    unit_of,
)
from engine.rollout.observations import ARMS, Observation, check_not_future, check_year

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

LatencyUnit = Literal["ms", "s", "us"]

MOST_BYTES = 64 << 20
MOST_ROWS = 100_000

_MS = {"ms": 1.0, "s": 1000.0, "us": 0.001}
_OTHER_NAMES = {"canary": "treatment", "stable": "control"}
_OFFSET = re.compile(r"([+-])(\d{2}):?(\d{2})")
_COUNTS = ("n_users", "n_queries", "n_clicks", "n_errors")
_LATENCIES = ("p99_ms", "p99_low_ms", "p99_high_ms")


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """What a file does not say by itself.

    `time_zone` (a name such as Europe/Berlin, an offset, or UTC) is where moments without an offset are meant;
    `window_hours` how long windows are without an end (a plain date is a whole day in that zone); `percent` the share
    of users in treatment, and `queries_per_user` their activity, where no column tells; `latency_unit` the unit of p99
    columns whose names do not end in it. `arms` maps further names of arms: (("b", "treatment"),).
    """

    columns: ObservationColumns | None = None
    time_zone: str | None = None
    window_hours: float | None = None
    percent: float | None = None
    queries_per_user: float | None = None
    latency_unit: LatencyUnit | None = None
    arms: tuple[tuple[str, str], ...] = ()
    is_simulated: bool = False


def observation_columns(
    source: str | Path | bytes, *, name: str | None = None, chosen: ObservationColumns | None = None
) -> ColumnCandidates:
    """Return which columns the file offers for what, for a user to settle; see `read_observations`."""
    names, _ = _table(_source(source, name))
    return find_observation_columns(names, chosen)


def read_observations(
    source: str | Path | bytes,
    *,
    name: str | None = None,
    options: ReadingOptions | None = None,
    now: datetime | None = None,
) -> tuple[Observation, ...]:
    """Read every observation of a file, in its order; `source` is a path, or the bytes of an upload called `name`.

    Time zones are kept as written. Given `now`, a window that ends after it is refused.

    Raises
    ------
    FormatError
        When the file is too large, damaged, lacks a column, or a row breaks a rule of `Observation`; it names the row.
    AmbiguousColumnsError
        When several columns could hold the same thing.
    ParameterError
        When an option is out of range.
    """
    opened, options = _source(source, name), options or ReadingOptions()
    names, rows = _table(opened)
    columns = settled_columns(opened.name, find_observation_columns(names, options.columns))
    reader = _RowReader(opened.name, columns, options)
    found = []
    for number, row in enumerate(rows, 1):
        if number > MOST_ROWS:
            rule = f"a file may hold at most {MOST_ROWS:,} observations"
            raise FormatError.in_file(opened.name, rule, found="more", hint="Give one row an arm and day")
        try:
            observation = reader.read(row)
            if now is not None:
                check_not_future(observation, now)
        except ParameterError as error:
            found_there = error.found if error.found is not None else "row"
            raise FormatError.in_file(
                opened.name, f"row {number:,}: {error.rule}", found=found_there, hint=error.hint
            ) from None
        found.append(observation)
    if not found:
        raise FormatError.in_file(opened.name, "a file of observations must hold at least one row", found="none")
    return tuple(found)


def zone_of(name: str) -> tzinfo:
    """Return the time zone called `name`: UTC, an offset such as +02:00, or a name such as Europe/Berlin.

    Raises
    ------
    ParameterError
        When the system knows no such zone.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    if name.upper() in {"UTC", "Z"}:
        return UTC
    offset = _OFFSET.fullmatch(name)
    if offset and int(offset[2]) < 24 and int(offset[3]) < 60:
        sign = -1 if offset[1] == "-" else 1
        return timezone(sign * timedelta(hours=int(offset[2]), minutes=int(offset[3])))
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # no such key, a key that leaves the folder, a directory
        hint = "Write UTC, an offset such as +02:00, or a name such as Europe/Berlin"
        raise ParameterError("the time zone must be known", found=name, hint=hint) from None


@dataclass(frozen=True, eq=False)
class _RowReader:
    name: str
    columns: ObservationColumns
    options: ReadingOptions

    def read(self, row: Mapping[str, Any]) -> Observation:
        cells = {role: row.get(column) for role, column in self.columns.named().items()}
        start, end = self._window(cells)
        counts = {role: _count(cells.get(role), role) for role in _COUNTS}
        return Observation(
            start=start.isoformat(),
            end=end.isoformat(),
            arm=self._arm(cells["arm"]),
            percent=self._percent(cells.get("percent")),
            n_users=self._users(counts),
            n_queries=_required(counts["n_queries"], "the number of queries"),
            n_clicks=counts["n_clicks"],
            n_errors=counts["n_errors"],
            **{role: self._latency(cells.get(role), role) for role in _LATENCIES},
            source=self.name,
            is_simulated=self.options.is_simulated,
        )

    def _window(self, cells: Mapping[str, Any]) -> tuple[datetime, datetime]:
        start = self._moment(cells.get("start"), "the start of a window")
        if cells.get("end") is not None:
            if _is_date(cells["end"]):
                hint = "Write the moment after the last one that counts, such as 2025-03-02T00:00:00+00:00"
                raise ParameterError("the end of a window must be a moment", found=cells["end"], hint=hint)
            return start, self._moment(cells["end"], "the end of a window")
        if self.options.window_hours is not None:
            if not (math.isfinite(self.options.window_hours) and 0 < self.options.window_hours <= 24 * 366):
                raise ParameterError(
                    "a window is above 0 and at most 8,784 hours long", found=self.options.window_hours
                )
            return start, start + timedelta(hours=self.options.window_hours)
        if _is_date(cells.get("start")):
            # The next midnight on the wall: days on which clocks change have 23 or 25 hours.
            return start, datetime.combine(start.date() + timedelta(days=1), time(), start.tzinfo)
        hint = "Add a column with the end, or say how many hours a window has"
        raise ParameterError("a window must have an end", found="none", hint=hint)

    def _moment(self, cell: Any, what: str) -> datetime:
        moment = cell
        if isinstance(cell, str):
            try:
                moment = datetime.fromisoformat(cell.strip())
            except ValueError:
                moment = None
        elif _is_date(cell):
            moment = datetime.combine(cell, time())
        if not isinstance(moment, datetime):
            raise ParameterError(f"{what} must be an ISO date or moment", found=repr(cell))
        check_year(moment, what)
        if moment.utcoffset() is not None:
            return moment
        if self.options.time_zone is None:
            hint = "Say in which zone the file is written, or write offsets such as +00:00"
            raise ParameterError(f"{what} must name its time zone", found=moment.isoformat(), hint=hint)
        return moment.replace(tzinfo=zone_of(self.options.time_zone))

    def _arm(self, cell: Any) -> Any:
        name = str(cell).strip().lower()
        known = {**_OTHER_NAMES, **{given.strip().lower(): arm for given, arm in self.options.arms}}
        arm = known.get(name, name)
        if arm not in ARMS:
            hint = "Say which of control, treatment and baseline each name stands for"
            raise ParameterError("an arm is control, treatment or baseline", found=repr(cell), hint=hint)
        return arm

    def _percent(self, cell: Any) -> float:
        if isinstance(cell, str):
            cell = cell.strip().removesuffix("%")
        value = _number(cell, "the share of users in treatment")
        if value is None:
            value = self.options.percent
        if value is None:
            hint = "Add a column percent, or say it once for the whole file"
            raise ParameterError("the share of users in treatment must be known", found="none", hint=hint)
        return value

    def _users(self, counts: Mapping[str, int | None]) -> int:
        users, per_user = counts["n_users"], self.options.queries_per_user
        if users is not None:
            return users
        if per_user is None:
            hint = "Add a column n_users, or say how many queries a user makes in a window"
            raise ParameterError("the number of users must be known", found="none", hint=hint)
        if not (math.isfinite(per_user) and per_user >= 1):
            raise ParameterError("a user makes at least one query", found=per_user)
        return math.ceil((counts["n_queries"] or 0) / per_user)

    def _latency(self, cell: Any, role: str) -> float | None:
        value = _number(cell, "the p99 latency")
        if value is None:
            return None
        column = self.columns.named()[role]
        unit = self.options.latency_unit or unit_of(column)
        if unit not in _MS:
            hint = "Say whether it holds ms, s or us"
            raise ParameterError("the unit of the p99 latency must be known", found=f"column {column}", hint=hint)
        return value * _MS[unit]


def _is_date(cell: Any) -> bool:
    if isinstance(cell, str):
        return re.fullmatch(r"\d{4}-\d{2}-\d{2}", cell.strip()) is not None
    return isinstance(cell, date) and not isinstance(cell, datetime)


def _number(cell: Any, what: str) -> float | None:
    """Return a finite number, None for an empty cell."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    try:
        value = math.nan if isinstance(cell, bool) else float(cell)
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise ParameterError(f"{what} must be a finite number", found=repr(cell))
    return value


def _count(cell: Any, role: str) -> int | None:
    if isinstance(cell, int) and not isinstance(cell, bool):
        return cell
    value = _number(cell, f"the count {role}")
    if value is None:
        return None
    if value != int(value):
        raise ParameterError(f"the count {role} must be a whole number", found=repr(cell))
    return int(value)


def _required(value: int | None, what: str) -> int:
    if value is None:
        raise ParameterError(f"{what} must be given", found="an empty cell")
    return value


def _source(source: str | Path | bytes, name: str | None) -> Source:
    if isinstance(source, bytes):
        opened = Source.of_bytes(name or "observations", source)
    else:
        path = existing(source)
        if path.is_dir():
            raise FormatError.in_file(path.name, "observations come in one file", found="a folder")
        opened = Source.of_path(path, name=name)
    if opened.size > MOST_BYTES:
        found = f"{opened.size / (1 << 20):,.0f} MiB"
        rule = f"a file of observations may take at most {MOST_BYTES >> 20} MiB"
        raise FormatError.in_file(opened.name, rule, found=found, hint="Give one row an arm and day, not a row a query")
    return opened


def _table(source: Source) -> tuple[tuple[str, ...], Iterable[Mapping[str, Any]]]:
    """Return the names of the columns and the rows, told by content."""
    start = source.head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start in {b"[", b"{"}:
        rows = _json_rows(source)
        names = dict.fromkeys(str(key) for row in rows[:1000] for key in row)
        return tuple(names), rows
    table = open_log(source)
    return table.names, _batch_rows(table.batches(table.names))


def _batch_rows(batches: Iterator[Any]) -> Iterator[Mapping[str, Any]]:
    for batch in batches:
        yield from batch.to_pylist()


def _json_rows(source: Source) -> list[dict[str, Any]]:
    text = "".join(source.lines())
    try:
        document = _parsed(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise _not_json(source.name, error.msg, error.lineno) from None
        document = [_parsed_line(source.name, line, number) for number, line in enumerate(text.splitlines(), 1) if line]
    except (RecursionError, ValueError):
        raise _not_json(source.name, "a value too deep or too long", 1) from None
    if isinstance(document, dict):
        document = document.get("observations", [document])
    if not isinstance(document, list) or not all(isinstance(row, dict) for row in document):
        rule = "JSON must hold a list of objects, one an arm and window"
        raise FormatError.in_file(source.name, rule, found=type(document).__name__)
    return document


def _parsed(text: str) -> Any:
    return json.loads(text)


def _parsed_line(name: str, line: str, number: int) -> Any:
    try:
        return _parsed(line)
    except (RecursionError, ValueError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "a value too deep or too long"
        raise _not_json(name, reason, number) from None


def _not_json(name: str, reason: str, line: int) -> FormatError:
    return FormatError.in_file(
        name, "the file must be a JSON list, or one object a line", found=f"{reason} in line {line:,}"
    )
