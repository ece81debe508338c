"""Write events as the log they could have been read from: CSV or Parquet, a row a query, in batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args

import numpy as np

from engine.errors import ParameterError
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.spreadsheets import defused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.experiment.events import Events, Exposures
    from engine.progress import Cancelled, Progress

EventFormat = Literal["csv", "parquet"]
EVENT_FORMATS: tuple[EventFormat, ...] = get_args(EventFormat)

_BATCH_ROWS = 1 << 18
_FACTS = ("clicked", "converted", "error", "no_results")


def write_events(
    events: Events,
    file: BinaryIO,
    *,
    form: EventFormat = "csv",
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> None:
    """Write `events` into `file`, with the columns that `read_log` looks for; exposures have empty metrics.

    The timestamp is the date, since events keep no time of day. In CSV, texts that a spreadsheet would run as a formula
    get an apostrophe before them; Parquet keeps them as they are.

    Raises
    ------
    ParameterError
        For an unknown format.
    CancelledError
        When `cancelled` answers true.
    """
    import pyarrow.csv
    import pyarrow.parquet

    if form not in EVENT_FORMATS:
        raise ParameterError(f"events are written as {' or '.join(EVENT_FORMATS)}", found=form)
    table = _Table(events, is_safe=form == "csv")
    make = pyarrow.csv.CSVWriter if form == "csv" else pyarrow.parquet.ParquetWriter
    with make(file, table.schema()) as writer:
        n_rows = 0
        for batch in table.batches():
            stop_if(cancelled)
            writer.write_batch(batch)
            n_rows += batch.num_rows
            progress(n_rows / table.n_rows, f"Wrote {n_rows:,} rows")


class _Table:
    """Events as record batches; `is_safe` defuses texts for spreadsheets."""

    def __init__(self, events: Events, *, is_safe: bool) -> None:
        import pyarrow as pa

        self._events = events
        self._texts = defused if is_safe else _as_they_are
        self._ids = self._texts(events.user_ids)
        self._arms = self._texts(pa.array(events.arms))
        self._segments = self._texts(pa.array([*events.segments, None], pa.string()))
        self._experiment = self._texts(pa.array([events.experiment_id]))
        self.n_rows = events.n_rows + (0 if events.exposures is None else len(events.exposures.user))

    def schema(self) -> Any:
        """Return the columns that these events have."""
        import pyarrow as pa

        events = self._events
        fields = [("user_id", pa.string()), ("timestamp", pa.date32()), ("experiment_id", pa.string())]
        fields.append(("variation_id", pa.string()))
        fields += [(name, pa.bool_()) for name in _FACTS if getattr(events, name) is not None]
        if events.latency_ms is not None:
            fields.append(("latency_ms", pa.float32()))
        if events.segment is not None:
            fields.append(("segment", pa.string()))
        if events.query is not None:
            fields.append(("query", pa.int32()))
        return pa.schema(fields)

    def batches(self) -> Iterator[Any]:
        """Yield the queries, then the exposures."""
        for part in (self._events, self._events.exposures):
            for start in range(0, 0 if part is None else len(part.user), _BATCH_ROWS):
                if part is not None:
                    yield self._batch(part, slice(start, start + _BATCH_ROWS))

    def _batch(self, part: Events | Exposures, rows: slice) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        events, n = self._events, len(part.user[rows])
        first = np.datetime64(events.first_day, "D").astype(np.int32)
        columns: dict[str, Any] = {
            "user_id": self._ids.take(pa.array(part.user[rows])),
            "timestamp": pa.array(part.day[rows].astype(np.int32) + first).cast(pa.date32()),
            "experiment_id": pa.repeat(self._experiment[0], n),
            "variation_id": self._arms.take(pa.array(part.arm[rows])),
        }
        schema = self.schema()
        for name in schema.names[len(columns) :]:
            values = getattr(part, name, None)
            if values is None:
                columns[name] = pa.nulls(n, schema.field(name).type)
            elif name == "segment":
                columns[name] = self._segments.take(pa.array(values[rows] % len(self._segments)))
            elif name == "latency_ms":
                columns[name] = pc.if_else(pc.is_nan(pa.array(values[rows])), None, pa.array(values[rows]))
            else:
                columns[name] = pa.array(values[rows])
        return pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _as_they_are(texts: Any) -> Any:
    return texts
