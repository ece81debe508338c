"""Read a real exposure log into events: one row an exposure or query, from CSV or Parquet, streamed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from engine.embeddings.paths import existing, resolve_below
from engine.embeddings.readers.source import Source
from engine.errors import FormatError, ParameterError
from engine.experiment.events import Events, Exposures, SkippedRows
from engine.experiment.log_columns import find_columns, ms_per_unit, settled_columns
from engine.experiment.log_rows import FLAGS, NO_TIME, OTHER_EXPERIMENT, LogRows
from engine.experiment.log_tables import open_log
from engine.progress import ignore_progress, never_cancelled, stop_if

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.experiment.log_columns import LogCandidates, LogColumns, LogUnits
    from engine.experiment.log_tables import LogTable
    from engine.progress import Cancelled, Progress

MOST_UNREADABLE = 0.01
"""Share of rows without user, variation or readable timestamp from which on a log is refused, not read without them."""

MOST_DAYS = 3650

_CONTROL_NAMES = ("control", "baseline", "full", "off", "false", "0", "a")
_METRICS = (*FLAGS, "latency_ms")
_SHARE_OF_READING = 0.9
_READABLE_TIMES = "Timestamps are dates, texts such as 2026-01-05T12:00:00+01:00, or seconds since 1970"


def log_columns(
    source: Path | BinaryIO, *, chosen: LogColumns | None = None, name: str | None = None, below: Path | None = None
) -> LogCandidates:
    """Return the columns of a log and what they seem to hold, for a user to correct; with `below`, as in `read_log`.

    Raises
    ------
    FormatError, ParameterError, PathError
        When it is no log that can be read, or has no column that was chosen.
    """
    return find_columns(open_log(_source_of(source, name, below)).names, chosen)


def check_choices(
    source: Path | BinaryIO, *, columns: LogColumns, units: LogUnits | None = None, below: Path | None = None
) -> None:
    """Raise what `read_log` would before it reads a row: for a column that is missing or unclear, or an unknown unit.

    Raises
    ------
    FormatError, ParameterError, PathError
        As `read_log`.
    """
    _settled(open_log(_source_of(source, None, below)), columns, units)


def read_log(
    source: Path | BinaryIO,
    *,
    columns: LogColumns | None = None,
    units: LogUnits | None = None,
    experiment_id: str | None = None,
    control: str | None = None,
    treatment: str | None = None,
    treatment_share: float = 0.5,
    name: str | None = None,
    below: Path | None = None,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> Events:
    """Return the events of a log.

    `columns` names columns where their own names do not tell; `units` the unit of the latency where the column's name
    does not. `experiment_id` chooses one of several experiments, `control` and `treatment` the variations to compare;
    of two variations the one called control, baseline, full, off, 0 or a is the control. `treatment_share` is the
    intended share of users in the treatment. Rows without any metric are exposures. Rows without a user, a variation
    or a timestamp that can be read are left out and counted, up to 1 % of the log. With `below`, the path is relative
    to that folder, and nothing outside it is read.

    Raises
    ------
    FormatError
        When the file is no log, damaged, or holds a value that cannot be meant (its row is named), when more than 1 %
        of the rows cannot be read, or an arm has no rows; `AmbiguousColumnsError` when several columns could be meant.
    ParameterError
        When a choice does not fit the log.
    PathError
        When there is no such file.
    CancelledError
        When `cancelled` answers true.
    """
    if not 0 < treatment_share < 1:
        raise ParameterError("the intended share of the treatment must be between 0 and 1", found=treatment_share)
    table = open_log(_source_of(source, name, below))
    settled, per_ms = _settled(table, columns, units)
    with ThreadPoolExecutor(1) as pool:
        rows = LogRows(name=table.source.name, columns=settled, per_ms=per_ms, experiment=experiment_id, pool=pool)
        for batch in table.batches(list(settled.named().values())):
            stop_if(cancelled)
            rows.add(batch)
            share = _SHARE_OF_READING * min(1.0, rows.n_read / table.n_rows) if table.n_rows else 0.0
            progress(share, f"Read {rows.n_read:,} rows")
        _check_readable(rows)
        progress(_SHARE_OF_READING, "Sorting the rows by day")
        arms = _choose_arms(rows, control, treatment)
        events = _events(rows, arms, treatment_share, experiment_id)
        progress(1.0, "Done")
    return events


def _settled(table: LogTable, columns: LogColumns | None, units: LogUnits | None) -> tuple[LogColumns, float]:
    """Return the columns to read and how many ms the unit of the latency is."""
    settled = settled_columns(table.source.name, find_columns(table.names, columns))
    return settled, ms_per_unit(table.source.name, settled, units)


def _source_of(source: Path | BinaryIO, name: str | None, below: Path | None) -> Source:
    if isinstance(source, (str, Path)):
        path = existing(source) if below is None else resolve_below(below, source)
        if path.is_dir():
            raise FormatError.in_file(path.name, "a log is one file", found="a folder")
        return Source.of_path(path, name=name, below=below)
    data = source.getbuffer() if hasattr(source, "getbuffer") else source.read()
    return Source.of_bytes(str(getattr(source, "name", None) or "log"), data, name=name)


def _check_readable(rows: LogRows) -> None:
    if rows.n_read == 0:
        raise FormatError.in_file(rows.name, "a log must hold at least one row", found="only a header")
    broken = {reason: one for reason, one in rows.reasons.items() if reason != OTHER_EXPERIMENT}
    n_broken = sum(one.n_rows for one in broken.values())
    if n_broken > MOST_UNREADABLE * rows.n_read:
        reason, worst = max(broken.items(), key=lambda item: item[1].n_rows)
        example = f": {worst.example[:40]!r}" if worst.example else ""
        raise FormatError.in_file(
            rows.name,
            f"at most {100 * MOST_UNREADABLE:g} % of the rows may lack a user, a variation or a timestamp",
            found=f"{n_broken:,} of {rows.n_read:,}, first {reason} in row {worst.first_row:,}{example}",
            hint=_READABLE_TIMES if reason == NO_TIME else "Choose the right columns, or mend the log",
        )


@dataclass(frozen=True, kw_only=True)
class _Arms:
    """The variations compared, control first, and what to say of the choice."""

    names: tuple[str, str]
    sentences: tuple[str, ...]


def _choose_arms(rows: LogRows, control: str | None, treatment: str | None) -> _Arms:
    names = rows.variations.texts
    counts = np.zeros(len(names), np.int64)
    for part in rows.parts["variation"]:
        counts += np.bincount(part, minlength=len(names))
    present = [name for name, count in zip(names, counts.tolist(), strict=True) if count]
    for role, chosen in (("control", control), ("treatment", treatment)):
        if chosen is not None and chosen not in present:
            raise ParameterError(
                f"{rows.name}: the {role} must be one of the log's variations",
                found=chosen,
                hint=f"It has {_listed(present)}",
            )
    if len(present) < 2:
        raise FormatError.in_file(
            rows.name,
            "a log must hold rows of two arms",
            found=f"only {present[0]}" if present else "no rows of this experiment",
            hint="Check the column of the variation, and the experiment chosen",
        )
    sentences: list[str] = []
    if control is None:
        others = [name for name in present if name != treatment]
        control = next((name for like in _CONTROL_NAMES for name in others if name.lower() == like), None)
        if control is None or (len(present) > 2 and treatment is None):
            raise _unchosen(rows.name, present)
        sentences.append(f"“{control}” was taken for the control because of its name.")
    if treatment is None:
        others = [name for name in present if name != control]
        if len(others) > 1:
            raise _unchosen(rows.name, present)
        treatment = others[0]
    if treatment == control:
        raise ParameterError("control and treatment must be two variations", found=control)
    return _Arms(names=(control, treatment), sentences=tuple(sentences))


def _unchosen(name: str, present: list[str]) -> ParameterError:
    return ParameterError(
        f"{name}: control and treatment must be chosen among the variations",
        found=_listed(present),
        hint="Say which one is the control and which the treatment",
    )


def _events(rows: LogRows, arms: _Arms, treatment_share: float, experiment_id: str | None) -> Events:
    user, user_ids = rows.users.finish()
    variation = _column(rows, "variation")
    is_arm = (variation == rows.variations.texts.index(arms.names[0])) | (
        variation == rows.variations.texts.index(arms.names[1])
    )
    skipped = sorted(
        [*rows.skipped(), *_other_variations(rows, variation, is_arm, arms)], key=lambda one: one.first_row
    )
    columns: dict[str, npt.NDArray[Any]] = {
        "user": user,
        "arm": (variation == rows.variations.texts.index(arms.names[1])).astype(np.uint8),
        "day": _column(rows, "day"),
    }
    del variation
    for name in ("stamp", "has_metric", *_METRICS, "segment"):
        values = rows.column(name)
        if values is not None:
            columns[name] = values
    if not is_arm.all():
        columns = {name: values[is_arm] for name, values in columns.items()}
    if not columns["has_metric"].any():
        columns = {name: values for name, values in columns.items() if name not in _METRICS}
    user_ids = _renumbered(columns, user_ids)
    warnings = _warnings(rows, columns)
    first, last = int(columns["day"].min()), int(columns["day"].max())
    if last - first >= MOST_DAYS:
        raise FormatError.in_file(
            rows.name, f"a log may span at most {MOST_DAYS:,} days", found=f"{_iso(first)} to {_iso(last)}"
        )
    columns["day"] = (columns["day"] - first).astype(np.int16)
    columns = _by_day(columns)
    exposures = _split_exposures(columns)
    if exposures is not None:
        warnings.append(f"Rows without any metric, counted as exposures only: {len(exposures.user):,}.")
    return Events(
        experiment_id=experiment_id or (rows.experiments.texts or ["experiment"])[0],
        arms=arms.names,
        shares=(1 - treatment_share, treatment_share),
        user_ids=user_ids,
        first_day=_iso(first),
        time_zone=rows.days.time_zone,
        segments=tuple(rows.segments.texts),
        exposures=exposures,
        labels=("log",),
        assumptions=(
            f"{100 * treatment_share:g} % of the users were meant to be in the treatment.",
            *arms.sentences,
            *rows.days.sentences(),
        ),
        warnings=(*(_sentence(one, rows.n_read) for one in skipped), *warnings),
        skipped=tuple(skipped),
        **{name: values for name, values in columns.items() if name not in ("has_metric", "stamp")},
    )


def _column(rows: LogRows, name: str) -> npt.NDArray[Any]:
    column = rows.column(name)
    return np.zeros(0) if column is None else column


def _other_variations(
    rows: LogRows, variation: npt.NDArray[np.int16], is_arm: npt.NDArray[np.bool_], arms: _Arms
) -> list[SkippedRows]:
    if is_arm.all():
        return []
    others = [name for name in rows.variations.texts if name not in arms.names]
    counts = np.bincount(variation, minlength=len(rows.variations.texts))
    places = [rows.variations.texts.index(name) for name in others]
    listed = [f"{name} ({counts[place]:,})" for name, place in zip(others, places, strict=True)]
    first_row = min(rows.variations.first_rows[place] for place in places)
    reason = f"another variation, {_listed(listed)}"
    return [SkippedRows(reason=reason, n_rows=int((~is_arm).sum()), first_row=first_row)]


def _renumbered(columns: dict[str, npt.NDArray[Any]], user_ids: Any) -> Any:
    """Return the ids of users that have a row, after renumbering the rows' users."""
    import pyarrow as pa

    seen = np.zeros(len(user_ids), np.bool_)
    seen[columns["user"]] = True
    if seen.all():
        return user_ids
    columns["user"] = (np.cumsum(seen) - 1).astype(np.int32)[columns["user"]]
    return user_ids.filter(pa.array(seen))


def _by_day(columns: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    day = columns["day"]
    if (day[1:] >= day[:-1]).all():
        return columns
    order = np.argsort(day, kind="stable")
    return {name: values[order] for name, values in columns.items()}


def _split_exposures(columns: dict[str, npt.NDArray[Any]]) -> Exposures | None:
    """Take the rows without a metric out of `columns` and return them."""
    has_metric = columns["has_metric"]
    if has_metric.all() or not has_metric.any():
        return None
    exposed = ~has_metric
    exposures = Exposures(user=columns["user"][exposed], arm=columns["arm"][exposed], day=columns["day"][exposed])
    for name in list(columns):
        columns[name] = columns[name][has_metric]
    return exposures


def _warnings(rows: LogRows, columns: dict[str, npt.NDArray[Any]]) -> list[str]:
    said = []
    n_equal = _count_equal(columns) if rows.days.has_time_of_day else 0
    if n_equal:
        said.append(f"Rows that repeat another one in every column, and were kept: {n_equal:,}.")
    if rows.n_counts:
        said.append(f"Counts above 1, each read as one click, conversion or error: {rows.n_counts:,}.")
    if rows.n_empty_flags:
        said.append(f"Empty cells beside a metric, read as “no”: {rows.n_empty_flags:,}.")
    if not set(_METRICS) & set(columns):
        said.append("The log has no metric in any row: only the split of the users can be checked.")
    return said


def _count_equal(columns: dict[str, npt.NDArray[Any]]) -> int:
    """Count the rows that are equal to an earlier one, by a 64-bit hash of user, time, arm and metrics."""
    mixer = np.uint64(0x9E3779B97F4A7C15)
    key = columns["stamp"].copy()
    for name, values in columns.items():
        if name not in ("stamp", "day", "has_metric"):
            part = values.view(np.uint32) if values.dtype == np.float32 else values
            key ^= part.astype(np.uint64) + mixer + (key << np.uint64(6)) + (key >> np.uint64(2))
            key *= mixer
            key ^= key >> np.uint64(32)
    key.sort()
    return int((key[1:] == key[:-1]).sum())


def _sentence(skipped: SkippedRows, n_read: int) -> str:
    share = 100 * skipped.n_rows / n_read
    return f"Rows left out for {skipped.reason}: {skipped.n_rows:,} ({share:.2g} %), first row {skipped.first_row:,}."


def _iso(day: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def _listed(texts: list[str]) -> str:
    return ", ".join(texts[:8]) + (" and more" if len(texts) > 8 else "")
