"""Observations from files that users hold, and from the events of an experiment."""

from __future__ import annotations

import io
import json
import math
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import AmbiguousColumnsError, CancelledError, EngineError, FormatError, ParameterError
from engine.experiment.events import Events
from engine.rollout import observing
from engine.rollout.observation_columns import ObservationColumns, find_observation_columns
from engine.rollout.observed_days import observed_days
from engine.rollout.observing import ReadingOptions, observation_columns, read_observations

ROWS = [
    {
        "start": "2025-03-01T00:00:00+01:00",
        "end": "2025-03-02T00:00:00+01:00",
        "arm": arm,
        "percent": 5.0,
        "users": users,
        "queries": queries,
        "clicks": clicks,
        "errors": errors,
        "p99_ms": 120.5,
    }
    for arm, users, queries, clicks, errors in (("control", 190, 950, 114, 1), ("treatment", 10, 50, 6, 0))
]


def csv_of(rows, *, delimiter=","):
    """Return rows as CSV bytes."""
    lines = [delimiter.join(rows[0])]
    lines += [delimiter.join("" if value is None else str(value) for value in row.values()) for row in rows]
    return "\n".join(lines).encode()


def parquet_of(rows):
    """Return rows as Parquet bytes."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def changed(**values):
    """Return the rows with other values, None leaving a column out."""
    dropped = {name for name, value in values.items() if value is None}
    return [{name: value for name, value in {**row, **values}.items() if name not in dropped} for row in ROWS]


@pytest.mark.parametrize(
    "content",
    [
        csv_of(ROWS),
        csv_of(ROWS, delimiter=";"),
        csv_of(ROWS, delimiter="\t"),
        parquet_of(ROWS),
        json.dumps(ROWS).encode(),
        json.dumps({"observations": ROWS}, indent=2).encode(),
        "\n".join(json.dumps(row) for row in ROWS).encode(),
        b"\xef\xbb\xbf" + csv_of(ROWS),
    ],
)
def test_every_format_gives_the_same_observations(content):
    """CSV, Parquet, JSON and JSON lines of the same rows are the same observations, their time zones kept."""
    found = read_observations(content, name="week.data")
    assert [(one.arm, one.n_users, one.n_queries, one.n_clicks, one.n_errors) for one in found] == [
        ("control", 190, 950, 114, 1),
        ("treatment", 10, 50, 6, 0),
    ]
    assert {(one.start, one.percent, one.p99_ms, one.source) for one in found} == {
        ("2025-03-01T00:00:00+01:00", 5.0, 120.5, "week.data")
    }


def test_a_file_is_read_from_its_path(tmp_path):
    """A path is read like the bytes of an upload, and only its bare name is kept as the source."""
    path = tmp_path / "days.csv"
    path.write_bytes(csv_of(ROWS))
    assert read_observations(path) == read_observations(csv_of(ROWS), name="days.csv")
    with pytest.raises(EngineError):
        read_observations(tmp_path / "missing.csv")


def test_empty_cells_are_metrics_that_nobody_counts():
    """An empty cell is None, not zero."""
    found = read_observations(csv_of([{**row, "clicks": None, "p99_ms": None} for row in ROWS]))
    assert {(one.n_clicks, one.p99_ms, one.n_errors is None) for one in found} == {(None, None, False)}


@pytest.mark.parametrize("cell", ["2025-03-30", date(2025, 3, 30)])
def test_a_plain_date_is_a_whole_day_of_its_zone(cell):
    """With a zone a date is the day from midnight to midnight there: 23 hours when clocks go forward."""
    rows = changed(start=cell, end=None)
    found = read_observations(parquet_of(rows), options=ReadingOptions(time_zone="Europe/Berlin"))[0]
    assert (found.start, found.end) == ("2025-03-30T00:00:00+01:00", "2025-03-31T00:00:00+02:00")
    fixed = read_observations(parquet_of(rows), options=ReadingOptions(time_zone="-05:30"))[0]
    assert fixed.start == "2025-03-30T00:00:00-05:30"


def test_what_the_file_leaves_out_can_be_said():
    """Hours a window, share, activity, unit and names of arms are taken from the options."""
    rows = changed(start="2025-03-01T06:00:00", end=None, percent=None, users=None, p99_ms=None)
    rows = [{**row, "latency_p99": 0.25, "arm": {"control": "A", "treatment": "B"}[row["arm"]]} for row in rows]
    options = ReadingOptions(
        time_zone="UTC",
        window_hours=6,
        percent=5,
        queries_per_user=4,
        latency_unit="s",
        arms=(("a", "control"), ("b", "treatment")),
    )
    control, treatment = read_observations(csv_of(rows), options=options)
    assert (control.arm, treatment.arm, treatment.n_users, treatment.p99_ms) == ("control", "treatment", 13, 250.0)
    assert (treatment.end, treatment.percent) == ("2025-03-01T12:00:00+00:00", 5.0)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (changed(start="2025-03-01T00:00:00"), "row 1: the start of a window must name its time zone"),
        (changed(start="2025-03-01"), "row 1: the start of a window must name its time zone"),
        (changed(start="March"), "row 1: the start of a window must be an ISO"),
        (changed(start="9999-12-31T23:00:00+00:00", end=None), "row 1: the start of a window must lie in the years"),
        (changed(end="2025-03-02"), "row 1: the end of a window must be a moment"),
        (changed(end=None), "row 1: a window must have an end"),
        (changed(percent=None), "row 1: the share of users in treatment must be known"),
        (changed(users=None), "row 1: the number of users must be known"),
        (changed(clicks=60), "row 2: the number of queries with clicks cannot exceed"),
        (changed(errors=-1), "row 1: the number of queries with errors must be a whole number"),
        (changed(queries=10.5), "row 1: the count n_queries must be a whole number"),
        (changed(p99_ms="nan"), "row 1: the p99 latency must be a finite number"),
        (changed(p99_ms="fast"), "row 1: the p99 latency must be a finite number"),
        (changed(arm="C"), "row 1: an arm is control, treatment or baseline"),
        (changed(percent="110%"), "row 1: the share of users in treatment is 0 to 100"),
        (
            changed(start="2099-01-01T00:00:00+00:00", end="2099-01-02T00:00:00+00:00"),
            "row 1: an observation cannot end",
        ),
        ([{**row, "p99": 5} for row in changed(p99_ms=None)], "row 1: the unit of the p99 latency must be known"),
        (changed(queries=None), "must hold the number of queries"),
        (changed(clicks=None, errors=None, p99_ms=None), "must hold clicks, errors or the p99 latency"),
        ([{**row, "ctr": 0.1} for row in changed(clicks=None, errors=None, p99_ms=None)], "Counts are needed"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_row(rows, words):
    """Naive moments, NaN, impossible counts, unknown arms and missing columns are refused, naming row and rule."""
    with pytest.raises(FormatError, match=words):
        read_observations(csv_of(rows), now=datetime(2026, 1, 1, tzinfo=UTC))


def test_several_possible_columns_are_a_question():
    """Two columns that could hold the arm are listed; choosing one by name settles it."""
    rows = [{**row, "variant": old["arm"], "group": "x"} for row, old in zip(changed(arm=None), ROWS, strict=True)]
    with pytest.raises(AmbiguousColumnsError) as raised:
        read_observations(csv_of(rows))
    assert raised.value.candidates == ("variant", "group")
    assert observation_columns(csv_of(rows)).ambiguous == {"arm": ("variant", "group")}
    options = ReadingOptions(columns=ObservationColumns(arm="variant"))
    assert read_observations(csv_of(rows), options=options)[1].arm == "treatment"
    with pytest.raises(ParameterError, match="one of the file's"):
        find_observation_columns(["a"], ObservationColumns(arm="b"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "header and rows"),
        (b"[]", "a column must hold"),
        (csv_of(ROWS).split(b"\n")[0], "CSV"),
        (b"[1, 2]", "list of objects"),
        (b'{"start": 1', "JSON list"),
        (b'{"a": 1}\n{"a":', "line 2"),
        (b"[" * 100_000, "JSON list"),
        (parquet_of(ROWS)[:-9], "Parquet"),
        (b"\x00\x01\x02", "CSV"),
    ],
)
def test_damaged_files_are_refused(content, words):
    """Empty, cut off, deeply nested or foreign files are refused in one sentence."""
    with pytest.raises(FormatError, match=words):
        read_observations(content)


def test_files_that_are_too_large_are_refused_before_they_are_read(monkeypatch):
    """More bytes or rows than a file of observations may have are refused with a hint."""
    monkeypatch.setattr(observing, "MOST_ROWS", 1)
    with pytest.raises(FormatError, match="at most 1 observations"):
        read_observations(csv_of(ROWS))
    monkeypatch.setattr(observing, "MOST_BYTES", 10)
    with pytest.raises(FormatError, match="not a row a query"):
        read_observations(csv_of(ROWS))


@pytest.mark.parametrize("name", ["Mars/Base", "../../etc/passwd", "", "+25:00", "/etc"])
def test_unknown_time_zones_are_refused(name):
    """A zone that the system does not know is refused, and never looked for outside the zone data."""
    with pytest.raises(ParameterError, match="time zone must be known"):
        observing.zone_of(name)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_changed_file_is_read_or_refused(data):
    """Whatever bytes of a file change, the reader returns observations or refuses in one sentence."""
    content = bytearray(data.draw(st.sampled_from([csv_of(ROWS), json.dumps(ROWS).encode(), parquet_of(ROWS)])))
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    try:
        found = read_observations(bytes(content[:cut]))
    except EngineError:
        found = ()
    assert all(isinstance(one.n_queries, int) for one in found)


def events(n=3000, **options):
    """Return events of three days, the second without rows, with some latencies missing."""
    rng = np.random.default_rng(1)
    users = rng.integers(0, 40, n)
    latency = rng.lognormal(4, 0.5, n).astype(np.float32)
    latency[::50] = np.nan
    values = {
        "experiment_id": "ramp",
        "arms": ("old", "new"),
        "shares": (0.75, 0.25),
        "user_ids": pa.array([f"u{at}" for at in range(40)]),
        "user": users.astype(np.int32),
        "arm": (users % 4 == 0).astype(np.uint8),
        "day": np.sort(rng.choice([0, 2], n)).astype(np.int16),
        "first_day": "2025-03-01",
        "clicked": rng.random(n) < 0.3,
        "error": rng.random(n) < 0.1,
        "latency_ms": latency,
        "labels": ("simulated",),
    }
    return Events(**{**values, **options})


def test_events_are_counted_by_day_and_arm():
    """Users, queries, clicks, errors and p99 of each day and arm are those of a loop over the rows."""
    log = events()
    found = observed_days(log)
    assert [(one.start[:10], one.arm) for one in found] == [
        ("2025-03-01", "control"), ("2025-03-01", "treatment"), ("2025-03-03", "control"), ("2025-03-03", "treatment"),
    ]  # fmt: skip
    for one in found:
        day, arm = int(one.start[8:10]) - 1, ("control", "treatment").index(one.arm)
        rows = [row for row in range(log.n_rows) if log.day[row] == day and log.arm[row] == arm]
        assert (one.n_queries, one.n_users) == (len(rows), len({int(log.user[row]) for row in rows}))
        assert one.n_clicks == sum(bool(log.clicked[row]) for row in rows)
        assert one.n_errors == sum(bool(log.error[row]) for row in rows)
        latencies = sorted(value for value in log.latency_ms[rows].tolist() if not math.isnan(value))
        assert one.p99_ms == latencies[-(len(latencies) // 100) - 1]
        assert (one.percent, one.is_simulated, one.source) == (25.0, True, "experiment ramp")
        assert one.p99_low_ms is None or one.p99_low_ms <= one.p99_ms <= one.p99_high_ms


def test_events_without_a_metric_leave_it_uncounted():
    """Columns that a log does not have are None in its observations, not zero."""
    found = observed_days(events(clicked=None, error=None, latency_ms=None))
    assert {(one.n_clicks, one.n_errors, one.p99_ms) for one in found} == {(None, None, None)}


def test_a_ramp_has_a_share_a_day_and_days_a_zone():
    """Shares may change from day to day; days without a zone need one to be said."""
    found = observed_days(events(), percent=[5, 10, 20])
    assert [one.percent for one in found] == [5, 5, 20, 20]
    with pytest.raises(ParameterError, match="one percentage a day"):
        observed_days(events(), percent=[5, 10])
    naive = events(time_zone="naive")
    with pytest.raises(ParameterError, match="known time zone"):
        observed_days(naive)
    assert observed_days(naive, time_zone="+02:00")[0].start == "2025-03-01T00:00:00+02:00"


def test_counting_can_be_cancelled():
    """A cancelled count stops between days."""
    with pytest.raises(CancelledError):
        observed_days(events(), cancelled=lambda: True)
