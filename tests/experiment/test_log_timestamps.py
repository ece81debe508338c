"""The day of a timestamp is the one written in it, or that of UTC for epoch numbers."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import FormatError
from engine.experiment.log_timestamps import DayReader

EPOCH = date(1970, 1, 1)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 30))  # noqa: DTZ001 -- hypothesis wants naive bounds


def days_of(values, kind=None):
    """Return the reader and the ISO day of each value, None where it cannot be read."""
    reader = DayReader("log.csv")
    read = reader.read(pa.array(values, kind), first_row=1)
    pairs = zip(read.day.tolist(), read.is_read.tolist(), strict=True)
    return reader, [(EPOCH + timedelta(days=day)).isoformat() if is_read else None for day, is_read in pairs]


@settings(deadline=None)  # the first example compiles the kernel
@given(MOMENTS, st.integers(-14 * 60, 14 * 60), st.sampled_from(["seconds", "milliseconds", "minutes"]))
def test_every_iso_moment_counts_for_the_day_written_in_it(moment, minutes, precision):
    """Python's own ISO texts, of any offset and precision, have the day that stands in them."""
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    reader, days = days_of([aware.isoformat(timespec=precision)])
    assert days == [moment.date().isoformat()]
    hours, rest = divmod(abs(minutes), 60)
    assert reader.time_zone == ("UTC" if minutes == 0 else f"{'+' if minutes > 0 else '-'}{hours:02d}:{rest:02d}")
    naive_reader, naive_days = days_of([moment.isoformat(sep=" ", timespec=precision)])
    assert naive_days == [moment.date().isoformat()]
    assert naive_reader.time_zone == "naive"


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-01-05", "2026-01-05"),
        ("2026/01/05 23:59", "2026-01-05"),
        (" 2026-01-05T12:00:00Z ", "2026-01-05"),
        ("2026-01-05T12:00:00.123456789z", "2026-01-05"),
        ("2026-01-05 12:00:00 +0100", "2026-01-05"),
        ("2026-01-05T12:00:00+01", "2026-01-05"),
        ("2026-01-05 12:00:00.5 UTC", "2026-01-05"),
        ("2026-01-05T23:59:60Z", "2026-01-05"),
        ("2024-02-29", "2024-02-29"),
        ("2026-02-29", None),
        ("2026-13-01", None),
        ("2026-1-5", None),
        ("05.01.2026", None),
        ("2026-01-05T24:00:00", None),
        ("2026-01-05T12:60:00", None),
        ("2026-01-05T12:00:00+25:00", None),
        ("2026-01-05T12:00:00 CET", None),
        ("2026-01-05 noon", None),
        ("1969-12-31", None),
        ("", None),
        ("soon", None),
    ],
)
def test_texts_are_dates_or_cannot_be_read(text, day):
    """What is no calendar date, or one outside 1990 to 2100, cannot be read; beside it a good one can."""
    assert days_of(["2026-01-01" if day is None or len(text.strip()) < 17 else "2026-01-01T00:00Z", text])[1][1] == day


@settings(deadline=None)
@given(MOMENTS, st.sampled_from([(1, "seconds"), (1000, "milliseconds"), (10**6, "microseconds")]), st.booleans())
def test_epoch_numbers_tell_their_unit_by_their_size(moment, unit, as_text):
    """Seconds, milliseconds and microseconds since 1970, as numbers or texts, are days of UTC, and the unit is said."""
    moment = max(moment, datetime(2001, 9, 10))  # noqa: DTZ001 -- before, milliseconds are as small as later seconds
    value = int(moment.replace(tzinfo=UTC).timestamp()) * unit[0]
    reader, days = days_of([str(value)] if as_text else [value])
    assert days == [moment.date().isoformat()]
    assert reader.time_zone == "UTC"
    assert unit[1] in " ".join(reader.sentences())


@given(st.lists(st.text(max_size=30), max_size=8))
@settings(deadline=None, max_examples=50)
def test_no_text_breaks_the_reader(texts):
    """Arbitrary texts are read, not read, or refused for mixing zones; nothing else happens."""
    try:
        _, days = days_of(texts, pa.string())
    except FormatError:
        return
    assert len(days) == len(texts)


def test_columns_of_moments_are_days_of_their_own_zone():
    """A Parquet moment counts for the day of the column's zone; without a zone, for the day in it."""
    moments = [datetime(2026, 1, 5, 23, 30, tzinfo=UTC), datetime(2026, 7, 5, 22, 30, tzinfo=UTC), None]
    zoned = pa.array(moments, pa.timestamp("us", "Europe/Berlin"))
    reader, days = days_of(zoned)
    assert days == ["2026-01-06", "2026-07-06", None]
    assert reader.time_zone == "Europe/Berlin"
    reader, days = days_of(pa.array([moment and moment.replace(tzinfo=None) for moment in moments], pa.timestamp("ns")))
    assert days == ["2026-01-05", "2026-07-05", None]
    assert reader.time_zone == "naive"
    assert days_of(pa.array([date(2026, 1, 5), None]))[1] == ["2026-01-05", None]


def test_several_offsets_keep_the_written_days_and_are_said():
    """Local time over a change of the clocks keeps its days; the offsets are named."""
    reader, days = days_of(["2026-03-28T23:30:00+01:00", "2026-03-29T23:30:00+02:00"])
    assert days == ["2026-03-28", "2026-03-29"]
    assert reader.time_zone == "mixed (+01:00, +02:00)"
    assert "each counts for the day written in it" in reader.sentences()[0]


def test_some_with_a_zone_and_some_without_are_refused():
    """Such a log could mean anything; the rows are named."""
    with pytest.raises(FormatError, match="one in row 2, none in row 1"):
        days_of(["2026-01-05T12:00", "2026-01-05T12:00Z"])


def test_columns_without_timestamps_are_refused():
    """Bools and lists are no timestamps."""
    with pytest.raises(FormatError, match="timestamps must be dates"):
        days_of([True])


def test_equal_texts_have_equal_stamps():
    """The stamp tells equal moments from others, to find repeated rows."""
    reader = DayReader("log.csv")
    stamp = reader.read(pa.array(["2026-01-05T12:00", "2026-01-05T12:01", "2026-01-05T12:00"]), first_row=1).stamp
    assert stamp[0] == stamp[2] != stamp[1]
    assert stamp.dtype == np.uint64
