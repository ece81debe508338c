"""The day of each row of a log: dates and times as written, or counted since 1970.

Days are those of the log's own zone. A time with an offset counts for the day written in it, whatever other rows name:
so a log in local time keeps its days when the clocks change. Epoch numbers are days of UTC; their unit (s, ms, us, ns)
follows from their size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import FormatError
from engine.experiment.assignment import text_parts

if TYPE_CHECKING:
    import numpy.typing as npt

_EARLIEST, _LATEST = 7305, 47482  # 1990-01-01 and 2100-01-01 in days since 1970: beyond lies no experiment
_DAY_S = 86_400
# Numbers below the bound count in this unit: 1e11 s is the year 5138, 1e11 ms is 1973.
_EPOCH_UNITS = ((1e11, "seconds", 1), (1e14, "milliseconds", 1e3), (1e17, "microseconds", 1e6))
_NANOSECONDS = ("nanoseconds", 1e9)
_TICKS_PER_S = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@dataclass(frozen=True, eq=False, kw_only=True)
class Days:
    """Of n rows, the `day` int32 since 1970-01-01, whether it `is_read`, and a `stamp` uint64 equal for equal times."""

    day: npt.NDArray[np.int32]
    is_read: npt.NDArray[np.bool_]
    stamp: npt.NDArray[np.uint64]


class DayReader:
    """Reads the timestamps of the log `name` batch by batch, and knows afterwards in which zone its days are."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._epoch: tuple[str, float] | None = None
        self._zones: dict[int, int] = {}  # minutes, or NO_ZONE, to the first row that has it
        self._zone_name: str | None = None
        self._are_numbers: bool | None = None
        self.has_time_of_day = False

    def read(self, column: Any, *, first_row: int) -> Days:
        """Return the days of a pyarrow array; rows are counted from `first_row` for messages.

        Raises
        ------
        FormatError
            When the column holds no timestamps, or some with a zone and some without.
        """
        import pyarrow as pa

        types = pa.types
        if types.is_timestamp(column.type):
            return self._of_timestamps(column)
        if types.is_date(column.type):
            return self._of_dates(column)
        if types.is_integer(column.type) or types.is_floating(column.type):
            values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            return self._of_numbers(values, column.is_valid().to_numpy(zero_copy_only=False), None)
        if types.is_string(column.type) or types.is_large_string(column.type):
            return self._of_texts(column, first_row)
        raise FormatError.in_file(
            self._name,
            "timestamps must be dates, texts such as 2026-01-05T12:00:00+01:00, or seconds since 1970",
            found=str(column.type),
        )

    @property
    def time_zone(self) -> str:
        """The zone whose days the rows are counted by: a name, an offset, several offsets, or "naive"."""
        if self._zone_name is not None:
            return self._zone_name
        names = [_zone_name(minutes) for minutes in sorted(self._zones)]
        return names[0] if len(names) == 1 else f"mixed ({', '.join(names)})" if names else "naive"

    def sentences(self) -> list[str]:
        """Say how the days were told where a reader could doubt it."""
        said = []
        if self._epoch is not None:
            said.append(f"Timestamps were read as {self._epoch[0]} since 1970, and days are those of UTC.")
        if len(self._zones) > 1:
            said.append(f"Timestamps name several offsets: each counts for the day written in it, {self.time_zone}.")
        if self.time_zone == "naive":
            said.append("Timestamps name no zone: days are those written in the log.")
        return said

    def _of_timestamps(self, column: Any) -> Days:
        import pyarrow as pa
        import pyarrow.compute as pc

        self._zone_name = column.type.tz or "naive"
        self.has_time_of_day = True
        try:
            local = column if column.type.tz is None else pc.local_timestamp(column)
        except pa.ArrowException:
            raise FormatError.in_file(
                self._name,
                "the time zone of the timestamps must be one that this system knows",
                found=column.type.tz,
                hint="Write the log in UTC",
            ) from None
        ticks = local.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        day = ticks // (_DAY_S * _TICKS_PER_S[column.type.unit])
        return _checked(day, column.is_valid().to_numpy(zero_copy_only=False), ticks)

    def _of_dates(self, column: Any) -> Days:
        import pyarrow as pa

        self._zone_name = "naive"
        day = column.cast(pa.date32()).cast(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        return _checked(day, column.is_valid().to_numpy(zero_copy_only=False), day)

    def _of_numbers(
        self, values: npt.NDArray[np.float64], given: npt.NDArray[np.bool_], stamp: npt.NDArray[np.uint64] | None
    ) -> Days:
        given = given & np.isfinite(values)
        self._zone_name, self.has_time_of_day = "UTC", True
        if self._epoch is None and given.any():
            self._epoch = _unit_of(float(np.median(values[given])))
        per_second = 1.0 if self._epoch is None else self._epoch[1]
        day = np.floor(np.where(given, values, 0.0) / (_DAY_S * per_second))
        given &= (day >= _EARLIEST) & (day < _LATEST)
        ticks = np.where(given, values, 0.0).view(np.int64)
        return _checked(np.where(given, day, 0).astype(np.int64), given, ticks if stamp is None else stamp)

    def _of_texts(self, column: Any, first_row: int) -> Days:
        from engine.experiment.timestamp_kernel import CALENDAR, NUMBER, read_texts

        n = len(column)
        kind, day, zone = np.zeros(n, np.uint8), np.zeros(n, np.int64), np.zeros(n, np.int16)
        value, stamp = np.zeros(n), np.zeros(n, np.uint64)
        if n:
            data, offsets = text_parts(column.fill_null(""))
            read_texts(data, offsets, kind, day, zone, value, stamp)
        if self._are_numbers is None and kind.any():
            self._are_numbers = bool((kind == NUMBER).sum() > (kind == CALENDAR).sum())
        if self._are_numbers:
            return self._of_numbers(value, kind == NUMBER, stamp)
        self._note_zones(zone, kind == CALENDAR, first_row)
        if not self.has_time_of_day and n:
            self.has_time_of_day = bool((np.diff(offsets)[kind == CALENDAR] > 10).any())
        return _checked(day, kind == CALENDAR, stamp)

    def _note_zones(self, zone: npt.NDArray[np.int16], given: npt.NDArray[np.bool_], first_row: int) -> None:
        from engine.experiment.timestamp_kernel import NO_ZONE

        for minutes in np.unique(zone[given]).tolist():
            if minutes not in self._zones:
                self._zones[minutes] = first_row + int(np.flatnonzero(given & (zone == minutes))[0])
        others = [row for minutes, row in self._zones.items() if minutes != NO_ZONE]
        if NO_ZONE in self._zones and others:
            raise FormatError.in_file(
                self._name,
                "either all timestamps name a zone or none does",
                found=f"one in row {min(others):,}, none in row {self._zones[NO_ZONE]:,}",
                hint="Write all of them with their offset, or all in UTC",
            )


def _checked(day: npt.NDArray[np.int64], given: npt.NDArray[np.bool_], stamp: npt.NDArray[Any]) -> Days:
    is_read = given & (day >= _EARLIEST) & (day < _LATEST)
    return Days(day=np.where(is_read, day, 0).astype(np.int32), is_read=is_read, stamp=stamp.view(np.uint64))


def _unit_of(value: float) -> tuple[str, float]:
    return next(((name, per_second) for bound, name, per_second in _EPOCH_UNITS if value < bound), _NANOSECONDS)


def _zone_name(minutes: int) -> str:
    from engine.experiment.timestamp_kernel import NO_ZONE

    if minutes == NO_ZONE:
        return "naive"
    if minutes == 0:
        return "UTC"
    sign = "+" if minutes > 0 else "-"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
