"""Compiled reading of timestamps from the UTF-8 bytes of a column: the calendar day, its zone, or an epoch number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

Scalar = Any  # numba works out the type of a number inside a kernel

UNREADABLE, CALENDAR, NUMBER = range(3)
"""What a text turned out to be."""

NO_ZONE = 32767
"""Stands for the offset, in minutes, of a timestamp that names no zone."""

_HASH_START = np.uint64(0xCBF29CE484222325)
_HASH_PRIME = np.uint64(0x100000001B3)

_jit = numba.njit(nogil=True, cache=True, error_model="numpy")


@_jit
def _number(data: Array, at: Scalar, n: Scalar) -> Scalar:
    """Return the number of `n` digits at `at`, -1 when one of them is no digit."""
    value: Scalar = 0
    for i in range(at, at + n):
        digit = np.int64(data[i]) - 48
        if digit < 0 or digit > 9:
            return -1
        value = 10 * value + digit
    return value


@_jit
def _day_number(year: Scalar, month: Scalar, day: Scalar) -> Scalar:
    """Return days since 1970-01-01 of a date of the Gregorian calendar.

    Howard Hinnant, "chrono-compatible low-level date algorithms" (days_from_civil).
    """
    shifted = year - 1 if month <= 2 else year
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


@_jit
def _days_in(year: Scalar, month: Scalar) -> Scalar:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


@_jit
def _clock_end(data: Array, at: Scalar, end: Scalar) -> Scalar:
    """Return where the time of day that begins at `at` ends: HH:MM, HH:MM:SS or with a fraction; -1 when it is none."""
    if at + 5 > end or _number(data, at, 2) < 0 or _number(data, at, 2) > 23 or data[at + 2] != 58:
        return -1
    if _number(data, at + 3, 2) < 0 or _number(data, at + 3, 2) > 59:
        return -1
    at += 5
    if at == end or data[at] != 58:
        return at
    if at + 3 > end or _number(data, at + 1, 2) < 0 or _number(data, at + 1, 2) > 60:
        return -1
    at += 3
    if at < end and (data[at] == 46 or data[at] == 44):
        at += 1
        first = at
        while at < end and 48 <= data[at] <= 57:
            at += 1
        return -1 if at == first else at
    return at


@_jit
def _zone(data: Array, at: Scalar, end: Scalar) -> Scalar:
    """Return the minutes east of UTC of Z, UTC, ±HH, ±HHMM or ±HH:MM; NO_ZONE at the end, -NO_ZONE for others."""
    while at < end and data[at] == 32:
        at += 1
    if at == end:
        return NO_ZONE
    if end - at == 1 and (data[at] == 90 or data[at] == 122):
        return 0
    if end - at == 3 and data[at] == 85 and data[at + 1] == 84 and data[at + 2] == 67:
        return 0
    if data[at] != 43 and data[at] != 45:
        return -NO_ZONE
    length = end - at
    if length not in (3, 5, 6) or (length == 6 and data[at + 3] != 58):
        return -NO_ZONE
    hours = _number(data, at + 1, 2)
    minutes = 0 if length == 3 else _number(data, end - 2, 2)
    if hours < 0 or hours > 15 or minutes < 0 or minutes > 59:
        return -NO_ZONE
    return 60 * hours + minutes if data[at] == 43 else -(60 * hours + minutes)


@_jit
def _calendar(data: Array, at: Scalar, end: Scalar, found: Array) -> Scalar:
    """Write day and zone of YYYY-MM-DD, with a time of day or without, into `found`; tell whether it is one."""
    if end - at < 10 or data[at + 4] != data[at + 7] or (data[at + 4] != 45 and data[at + 4] != 47):
        return False
    year, month, day = _number(data, at, 4), _number(data, at + 5, 2), _number(data, at + 8, 2)
    if year < 0 or month < 1 or month > 12 or day < 1 or day > _days_in(year, month):
        return False
    found[0] = _day_number(year, month, day)
    found[1] = NO_ZONE
    if end - at == 10:
        return True
    if data[at + 10] not in (84, 116, 32):
        return False
    after = _clock_end(data, at + 11, end)
    if after < 0:
        return False
    found[1] = _zone(data, after, end)
    return found[1] != -NO_ZONE


@_jit
def _decimal(data: Array, at: Scalar, end: Scalar) -> Scalar:
    """Return the number of digits with at most one point, NaN when it is none or longer than 20 digits."""
    if end == at or end - at > 30:
        return np.nan
    whole, scale, digits = 0.0, 0.0, 0
    for i in range(at, end):
        if data[i] == 46 and scale == 0.0 and digits > 0:
            scale = 1.0
        elif 48 <= data[i] <= 57:
            whole = 10.0 * whole + (data[i] - 48)
            scale *= 10.0
            digits += 1
        else:
            return np.nan
    return whole if scale == 0.0 else whole / scale


@_jit
def read_texts(data: Array, offsets: Array, kind: Array, day: Array, zone: Array, value: Array, stamp: Array) -> None:
    """Read each text of `offsets` (n + 1,) into the outputs (n,).

    `kind` says what it is; `day` (days since 1970-01-01 as written) and `zone` (minutes) are set for CALENDAR, `value`
    for NUMBER. `stamp` is a hash of the text, for finding equal rows.
    """
    found = np.zeros(2, np.int64)
    for i in range(kind.shape[0]):
        at, end = np.int64(offsets[i]), np.int64(offsets[i + 1])
        while at < end and data[at] == 32:
            at += 1
        while end > at and data[end - 1] == 32:
            end -= 1
        hashed = _HASH_START
        for j in range(at, end):
            hashed = (hashed ^ np.uint64(data[j])) * _HASH_PRIME
        stamp[i] = hashed
        kind[i], day[i], zone[i], value[i] = UNREADABLE, 0, NO_ZONE, np.nan
        if _calendar(data, at, end, found):
            kind[i], day[i], zone[i] = CALENDAR, found[0], found[1]
            continue
        value[i] = _decimal(data, at, end)
        if not np.isnan(value[i]):
            kind[i] = NUMBER
