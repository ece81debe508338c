"""Exposure logs are read as they were meant, or refused in one sentence that says where and why."""

import contextlib
import gzip
import io
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import AmbiguousColumnsError, CancelledError, FormatError, InputError, ParameterError, PathError
from engine.experiment.event_files import write_events
from engine.experiment.log_columns import LogColumns, LogUnits, find_columns
from engine.experiment.logs import check_choices, log_columns, read_log
from engine.experiment.traffic import simulate
from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings
from engine.experiment.user_sums import sum_by_user

HEADER = "user_id,timestamp,experiment_id,variation_id,clicked,latency_ms"
ROWS = (
    "ada,2026-01-05T10:00:00Z,e1,control,1,40.5",
    "bo,2026-01-06T10:00:00Z,e1,treatment,0,12",
    "ada,2026-01-06T11:00:00Z,e1,control,no,",
    "cleo,2026-01-05T12:00:00Z,e1,treatment,TRUE,13",
)


def csv(*rows, header=HEADER):
    """Return a CSV file in memory."""
    return io.BytesIO("\n".join([header, *rows, ""]).encode())


def parquet(columns):
    """Return a Parquet file in memory."""
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    file.seek(0)
    return file


def test_a_log_becomes_events_in_order_of_days():
    """Users, arms, days, facts and latency are those of the rows, sorted by day with the order within kept."""
    events = read_log(csv(*ROWS))
    ids = events.user_ids.to_pylist()
    assert [ids[user] for user in events.user] == ["ada", "cleo", "bo", "ada"]
    assert events.arm.tolist() == [0, 1, 1, 0]
    assert events.day.tolist() == [0, 0, 1, 1]
    assert (events.first_day, events.time_zone) == ("2026-01-05", "UTC")
    assert events.clicked.tolist() == [True, True, False, False]
    np.testing.assert_array_equal(events.latency_ms, np.array([40.5, 13, 12, np.nan], np.float32))
    assert (events.converted, events.error, events.segment) == (None, None, None)
    assert (events.experiment_id, events.arms, events.labels) == ("e1", ("control", "treatment"), ("log",))


def test_the_same_log_is_read_from_every_container(tmp_path):
    """CSV with commas, semicolons or tabs, with a byte order mark, gzip, Parquet, path or bytes: equal events."""
    plain = csv(*ROWS).getvalue()
    (tmp_path / "log.csv").write_bytes(plain)
    columns = dict(zip(HEADER.split(","), zip(*(row.split(",") for row in ROWS), strict=True), strict=True))
    table = {
        name: pa.array(values).dictionary_encode() if name == "user_id" else values for name, values in columns.items()
    }
    sources = [
        tmp_path / "log.csv",
        io.BytesIO(plain.replace(b",", b";")),
        io.BytesIO(plain.replace(b",", b"\t")),
        io.BytesIO(b"\xef\xbb\xbf" + plain),
        io.BytesIO(plain.replace(b"\n", b"\r\n")),
        io.BytesIO(gzip.compress(plain)),
        parquet(table),
    ]
    first = read_log(csv(*ROWS))
    for source in sources:
        events = read_log(source)
        for name, column in first.columns().items():
            np.testing.assert_array_equal(column, events.columns()[name])
        assert events.user_ids.to_pylist() == first.user_ids.to_pylist()


def test_parquet_columns_of_numbers_mean_what_they_say():
    """Whole-number ids and arms, epoch milliseconds, counted clicks, results and latency in seconds are understood."""
    start = 1_767_571_200_000  # 2026-01-05 in UTC
    log = parquet(
        {
            "uid": [7, 8, 9, 7],
            "ts": [start, start + 86_400_000, start, start],
            "variant": [0, 1, 1, 0],
            "clicks": [0, 3, 1, None],
            "took": [0.04, 0.01, None, 0.05],
            "results": [10, 0, 2, 5],
        }
    )
    events = read_log(log, units=LogUnits(latency="s"), treatment="1")
    assert events.user_ids.to_pylist() == ["7", "8", "9"]
    assert events.arms == ("0", "1")
    assert events.clicked.tolist() == [False, True, False, True]
    assert events.no_results.tolist() == [False, False, False, True]
    np.testing.assert_allclose(events.latency_ms, np.array([40, np.nan, 50, 10], np.float32), rtol=1e-6)
    assert "milliseconds since 1970" in " ".join(events.assumptions)
    assert any("Counts above 1" in warning and warning.endswith(": 1.") for warning in events.warnings)
    assert any("read as “no”: 1." in warning for warning in events.warnings)


def test_rows_without_a_metric_are_exposures():
    """A row with an arm and nothing else counts where users are counted, not where queries are."""
    exposed = "dee,2026-01-05T09:00:00Z,e1,treatment,,"
    events = read_log(csv(*ROWS, exposed, "bo,2026-01-06T09:00:00Z,e1,control,,"))
    assert events.n_rows == 4
    assert events.n_users == 4
    assert events.exposures.user.shape == (2,)
    users = sum_by_user(events)
    assert users.seen_users.tolist() == [1, 2]
    assert [events.user_ids[int(user)].as_py() for user in np.flatnonzero(users.both_arms)] == ["bo"]
    only_split = read_log(csv("a,2026-01-05,control", "b,2026-01-05,treatment", header="user,date,variant"))
    assert only_split.n_rows == 2
    assert only_split.clicked is None
    assert "only the split" in only_split.warnings[0]


def test_unreadable_rows_are_skipped_up_to_a_hundredth():
    """Rows without a user or with a bad timestamp are left out and named; above 1 % the log is refused."""
    good = [f"u{row},2026-01-05T10:00:00Z,e1,{('control', 'treatment')[row % 2]},1,5" for row in range(300)]
    bad = ["ada,yesterday,e1,control,1,5", ",2026-01-05T10:00:00Z,e1,control,1,5", "bo,2026-01-05T10:00:00Z,e1,,1,5"]
    events = read_log(csv(*good[:150], *bad, *good[150:]))
    assert events.n_rows == 300
    assert {(one.reason, one.n_rows, one.first_row) for one in events.skipped} == {
        ("a timestamp that cannot be read", 1, 151),
        ("no user id", 1, 152),
        ("no variation", 1, 153),
    }
    assert events.n_skipped == 3
    assert "timestamp that cannot be read: 1 (0.33 %), first row 151." in events.warnings[0]
    with pytest.raises(
        FormatError, match=r"found 4 of 304, first a timestamp that cannot be read in row 151: 'yesterday'"
    ):
        read_log(csv(*good[:150], bad[0], bad[0], bad[1], bad[2], *good[150:]))


def test_one_of_several_experiments_is_chosen():
    """A log of two experiments asks which; the rows of the other are counted and left out."""
    other = "zoe,2026-01-01T10:00:00Z,e2,control,1,5"
    with pytest.raises(FormatError, match="needs one to be chosen; found e1, e2"):
        read_log(csv(*ROWS, other))
    events = read_log(csv(other, *ROWS), experiment_id="e1")
    assert events.n_rows == 4
    assert "zoe" not in events.user_ids.to_pylist()
    assert events.skipped[0].reason == "another experiment"
    with pytest.raises(FormatError, match="rows of two arms; found no rows of this experiment"):
        read_log(csv(*ROWS), experiment_id="e9")


def test_control_and_treatment_are_chosen_among_more_variations():
    """Three variations ask which two to compare; the rest is left out by name; wrong names are refused."""
    rows = (*ROWS, "zoe,2026-01-05T10:00:00Z,e1,holdout,1,5")
    with pytest.raises(ParameterError, match="must be chosen among the variations; found control, treatment, holdout"):
        read_log(csv(*rows))
    events = read_log(csv(*rows), control="holdout", treatment="treatment")
    assert events.arms == ("holdout", "treatment")
    assert events.skipped[0].reason == "another variation, control (2)"
    assert events.skipped[0].first_row == 1
    assert events.user_ids.to_pylist() == ["bo", "cleo", "zoe"]
    with pytest.raises(ParameterError, match="the treatment must be one of the log's variations; found blue"):
        read_log(csv(*rows), control="control", treatment="blue")
    with pytest.raises(ParameterError, match="two variations"):
        read_log(csv(*rows), control="control", treatment="control")
    with pytest.raises(ParameterError, match="must be chosen"):
        read_log(csv(*(row.replace("control", "blue").replace("treatment", "red") for row in ROWS)))


def test_a_log_of_one_arm_is_refused():
    """Nothing can be compared with nothing."""
    with pytest.raises(FormatError, match="rows of two arms; found only control"):
        read_log(csv(ROWS[0], ROWS[2]))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("ada,2026-01-05T10:00:00Z,e1,control,1,-4", "latency_ms must be finite and at least 0; found -4 in row 5"),
        ("ada,2026-01-05T10:00:00Z,e1,control,1,nan", "latency_ms must be finite and at least 0; found nan in row 5"),
        ("ada,2026-01-05T10:00:00Z,e1,control,1,inf", "found inf in row 5"),
        ("ada,2026-01-05T10:00:00Z,e1,control,1,fast", "latency_ms must hold numbers; found 'fast' in row 5"),
        ("ada,2026-01-05T10:00:00Z,e1,control,maybe,4", "clicked must be true or false, .* found 'maybe' in row 5"),
        ("ada,2026-01-05T10:00:00Z,e1,control,-1,4", "found '-1' in row 5"),
        ("ada,2026-01-05T10:00:00Z,e1,control,1", "readable as CSV"),
        ("ada,2026-01-05T10:00:00,e1,control,1,4", "either all timestamps name a zone or none does"),
        ("a" * 5000 + ",2026-01-05T10:00:00Z,e1,control,1,4", "at most 4,096 bytes"),
        ("ada,2006-01-05T10:00:00Z,e1,control,1,4", "span at most 3,650 days; found 2006-01-05 to 2026-01-06"),
    ],
)
def test_values_that_cannot_be_meant_name_their_row(row, message):
    """Negative, NaN and infinite latency, texts that are no facts, and rows of too few cells are refused."""
    with pytest.raises(FormatError, match=message):
        read_log(csv(*ROWS, row))


def test_negative_counts_in_parquet_name_their_row():
    """A negative click or a negative number of results has no meaning."""
    columns = {"user": ["a", "b"], "date": ["2026-01-05"] * 2, "variant": ["control", "x"]}
    for name in ("clicks", "results"):
        with pytest.raises(FormatError, match="found -1 in row 2"):
            read_log(parquet({**columns, name: [0, -1]}))


def test_rows_that_repeat_another_are_counted():
    """Exact repeats are kept and warned of, unless timestamps are dates, where they prove nothing."""
    again = read_log(csv(*ROWS, ROWS[0], ROWS[0]))
    assert again.n_rows == 6
    assert again.warnings[0].endswith("and were kept: 2.")
    dates = [row.replace("T10:00:00Z", "").replace("T11:00:00Z", "").replace("T12:00:00Z", "") for row in ROWS]
    assert not any("repeat" in warning for warning in read_log(csv(*dates, dates[0])).warnings)


def test_missing_columns_are_named_with_candidates():
    """The message names the role, the columns there are, and the closest ones."""
    with pytest.raises(
        FormatError, match="must hold the user_id; found columns usr_identifier, .*closest: usr_identifier"
    ):
        read_log(csv(*ROWS, header=HEADER.replace("user_id", "usr_identifier")))
    renamed = csv(*ROWS, header=HEADER.replace("user_id", "usr_identifier"))
    assert read_log(renamed, columns=LogColumns(user_id="usr_identifier")).n_users == 3


def test_choices_are_checked_before_a_row_is_read():
    """What the header alone tells is refused at once, in the words of reading; a broken row is not looked at."""
    broken = csv("a,not a time,e1,control,1,-5")
    check_choices(broken, columns=LogColumns())
    for wrong in ({"clicked": "nowhere"}, {"latency_ms": "clicked", "clicked": "clicked"}):
        told = []
        for call in (check_choices, read_log):
            with pytest.raises(ParameterError) as refused:
                call(broken, columns=LogColumns(**wrong))
            told.append(str(refused.value))
        assert told[0] == told[1]


def test_several_candidates_are_a_question():
    """Two columns that could hold clicks are asked about, an exact name wins, and a choice settles it."""
    names = ["uid", "ts", "variant", "click", "clicks"]
    assert find_columns(names).ambiguous == {"clicked": ("click", "clicks")}
    with pytest.raises(AmbiguousColumnsError) as caught:
        read_log(csv("a,2026-01-05,control,1,0", header=",".join(names)))
    assert caught.value.candidates == ("click", "clicks")
    assert find_columns(names, LogColumns(clicked="clicks")).ambiguous == {}
    assert find_columns([*names, "clicked"]).columns.clicked == "clicked"
    assert find_columns(["userId", "Event Time", "Variation-ID"]).columns == LogColumns(
        user_id="userId", timestamp="Event Time", variation_id="Variation-ID"
    )
    with pytest.raises(ParameterError, match="must be one of the log's; found nothing"):
        find_columns(names, LogColumns(user_id="nothing"))
    with pytest.raises(ParameterError, match="one thing only"):
        find_columns(names, LogColumns(user_id="uid", clicked="uid"))


def test_the_unit_of_latency_is_asked_where_no_name_tells_it():
    """`took` could be anything; a suffix or a choice says it; an unknown unit is refused."""

    def log(column):
        return csv("a,2026-01-05,control,2", "b,2026-01-05,treatment,3", header=f"user,date,variant,{column}")

    with pytest.raises(ParameterError, match="the unit of the latency must be known; found column took"):
        read_log(log("took"))
    assert read_log(log("latency_s")).latency_ms.tolist() == [2000, 3000]
    assert read_log(log("latency_us")).latency_ms.tolist() == pytest.approx([0.002, 0.003])
    assert read_log(log("took"), units=LogUnits(latency="ms")).latency_ms.tolist() == [2, 3]
    assert log_columns(log("took")).latency_unit is None
    with pytest.raises(ParameterError, match="unit of latency"):
        LogUnits(latency="h")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\xef\xbb\xbf",
        b"one column\n1\n",
        b"user_id,user_id,timestamp,variation_id\n",
        HEADER.encode(),
        HEADER.encode() + b"\n\xff\xfe,2026-01-05,e,control,1,2\n",
        b"\xff\xfe\x00",
        b"PAR1",
        b"PAR1" + bytes(100) + b"PAR1",
        b"\x1f\x8b\x08",
        gzip.compress(HEADER.encode(), mtime=0)[:-12],
        gzip.compress(csv(*ROWS).getvalue(), mtime=0)[:60],
    ],
)
def test_files_that_are_no_logs_are_refused(data):
    """Empty, truncated, binary and misencoded files are refused as such."""
    with pytest.raises(FormatError):
        read_log(io.BytesIO(data))


def test_paths_that_lead_nowhere_are_refused(tmp_path):
    """A missing file and a folder are no logs."""
    with pytest.raises(PathError):
        read_log(tmp_path / "nothing.csv")
    with pytest.raises(FormatError, match="one file"):
        read_log(tmp_path)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_logs_are_read_or_refused(data):
    """A CSV, gzip or Parquet log with some bytes changed or cut off is read or refused; nothing else happens."""
    whole = data.draw(st.sampled_from(DAMAGED))
    damaged = bytearray(whole[: data.draw(st.integers(1, len(whole)))])
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InputError):
        read_log(io.BytesIO(bytes(damaged)))


DAMAGED = [
    csv(*ROWS).getvalue(),
    gzip.compress(csv(*ROWS).getvalue(), mtime=0),
    parquet({name: [row.split(",")[at] for row in ROWS] for at, name in enumerate(HEADER.split(","))}).getvalue(),
]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused(data):
    """Whatever the bytes, also behind a good header, the answer is events or one sentence."""
    for content in (data, HEADER.encode() + b"\n" + data):
        with contextlib.suppress(InputError):
            read_log(io.BytesIO(content))


def test_reading_reports_progress_and_can_be_cancelled():
    """The share done ascends to 1; a cancelled read raises."""
    shares = []
    read_log(csv(*ROWS), progress=lambda share, _message: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    with pytest.raises(CancelledError):
        read_log(csv(*ROWS), cancelled=lambda: True)
    with pytest.raises(ParameterError, match="intended share"):
        read_log(csv(*ROWS), treatment_share=1.0)


ARM = ArmNumbers(ctr=0.3, conversion=0.1, error_rate=0.05)


@pytest.fixture(scope="module")
def simulated():
    """Simulate 6,000 queries with everything that events can hold."""
    events = simulate(TrafficSettings(control=ARM, treatment=ARM, n_users=500, queries_per_day=2_000, n_days=3))
    rng = np.random.default_rng(0)
    latency = np.where(rng.random(events.n_rows) < 0.1, np.float32(np.nan), events.latency_ms)
    return replace(
        events,
        latency_ms=latency,
        no_results=rng.random(events.n_rows) < 0.02,
        segment=rng.integers(-1, 2, events.n_rows).astype(np.int16),
        segments=("=cmd()", "plain"),
    )


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_written_events_are_read_back(simulated, form, tmp_path):
    """Every row, fact, latency and segment survives the file; in CSV formulas are defused with an apostrophe."""
    path = tmp_path / f"events.{form}"
    with path.open("wb") as file:
        write_events(simulated, file, form=form)
    events = read_log(path)
    ids, original = events.user_ids.to_pylist(), simulated.user_ids.to_pylist()
    assert [ids[user] for user in events.user] == [original[user] for user in simulated.user]
    for name in ("arm", "day", "clicked", "converted", "error", "no_results", "latency_ms"):
        np.testing.assert_array_equal(getattr(events, name), getattr(simulated, name))
    names = np.array([*events.segments, ""])[events.segment]
    first = "'=cmd()" if form == "csv" else "=cmd()"
    np.testing.assert_array_equal(names, np.array([first, "plain", ""])[simulated.segment])
    assert (events.first_day, events.arms) == (simulated.first_day, simulated.arms)


def test_exposures_survive_the_file():
    """Rows without metrics are written after the queries and read back as exposures."""
    events = read_log(csv(*ROWS, "dee,2026-01-05T09:00:00Z,e1,treatment,,"))
    file = io.BytesIO()
    write_events(events, file)
    again = read_log(io.BytesIO(file.getvalue()))
    assert again.exposures.user.shape == (1,)
    assert sum_by_user(again).seen_users.tolist() == sum_by_user(events).seen_users.tolist()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "\t=1", " =1", "\r1"])
def test_texts_that_a_spreadsheet_would_run_are_defused(text):
    """In CSV an id that begins a formula, also behind blanks, gets an apostrophe; others and Parquet stay."""
    columns = {"user": [text, "b-=+@"], "date": ["2026-01-05"] * 2, "variant": ["control", "x"], "clicked": [1, 0]}
    events = read_log(parquet(columns))
    file = io.BytesIO()
    write_events(events, file)
    assert f'"\'{text}"' in file.getvalue().decode()
    assert '"b-=+@"' in file.getvalue().decode()
    kept = io.BytesIO()
    write_events(events, kept, form="parquet")
    assert pq.read_table(kept).column("user_id").to_pylist() == [text, "b-=+@"]
    with pytest.raises(ParameterError, match="csv or parquet"):
        write_events(events, kept, form="xlsx")


def test_writing_can_be_cancelled(simulated):
    """A cancelled download raises."""
    with pytest.raises(CancelledError):
        write_events(simulated, io.BytesIO(), cancelled=lambda: True)


def test_blanks_around_names_do_not_make_other_arms():
    """``control`` and `` control `` are one variation, also where a header has blanks."""
    rows = [row.replace(",control,", ", control ,") if at % 2 else row for at, row in enumerate((*ROWS, *ROWS[:1]))]
    events = read_log(csv(*rows, header=HEADER.replace(",", " , ")))
    assert (events.arms, events.n_rows) == (("control", "treatment"), 5)


def test_texts_of_other_encodings_and_other_calendars_say_what_is_expected():
    """A UTF-16 export is asked for as UTF-8; where no timestamp is read, the forms that are read are named."""
    with pytest.raises(FormatError, match="must be UTF-8 text; found another encoding. Save it again as UTF-8"):
        read_log(io.BytesIO(csv(*ROWS).getvalue().decode().encode("utf-16")))
    with pytest.raises(FormatError, match="in row 1: '05/01/2026'. Timestamps are dates, texts such as 2026-01-05T12"):
        read_log(csv(*(row.replace("2026-01-05T10:00:00Z", "05/01/2026") for row in ROWS)))


def test_ids_that_a_file_keeps_in_a_dictionary_are_numbered_as_if_spelled_out():
    """Unused and repeated entries, empty and missing ids: the users are those of plain texts."""
    ids = ["ada", "bo", None, "cleo", "", "ada"] * 40 + [f"u{row}" for row in range(40_000)]
    columns = {
        "date": ["2026-01-05"] * len(ids),
        "variant": ["control", "x"] * (len(ids) // 2),
        "clicked": [False] * len(ids),
    }
    plain = read_log(parquet({"user": pa.array(ids), **columns}))
    encoded = pa.array(["nobody", *ids]).dictionary_encode()[1:]
    coded = read_log(parquet({"user": encoded, **columns}))
    assert coded.user_ids.to_pylist() == plain.user_ids.to_pylist()
    np.testing.assert_array_equal(coded.user, plain.user)
    assert [(one.reason, one.n_rows, one.first_row) for one in coded.skipped] == [("no user id", 80, 3)]
    twice = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 1]), pa.array(["ada", "ada", "bo"]))
    small = {name: values[:4] for name, values in columns.items()}
    assert read_log(parquet({"user": twice, **small})).user_ids.to_pylist() == ["ada", "bo"]
