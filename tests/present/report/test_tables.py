"""Tables as files: every column and row, intervals beside their values, and no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
from io import BytesIO, StringIO
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ParameterError
from engine.present.report.blocks import Column, Table, intervals
from engine.present.report.tables import table_bytes, tables_archive
from engine.tradeoff import Interval

if TYPE_CHECKING:
    from engine.present.report.blocks import Report

TABLE = Table(
    key="t",
    title="T",
    labels=("simulated",),
    columns=(
        Column(name="=name", values=["=cmd|' /C calc'!A0", "plain", None], form="data"),
        Column(name="n", values=[1, 2, None], form="count"),
        intervals("recall", [Interval(mean=0.5, low=0.4, high=0.6), None, Interval(mean=1, low=float("nan"), high=1)]),
        Column(name="holds", values=[True, False, None], form="yes_no"),
        Column(name="hidden", values=[0.5, 1.5, 2.5], form="number", is_shown=False),
    ),
)


def rows_of(table: Table) -> list[dict[str, str]]:
    """Read the CSV of a table."""
    return list(csv.DictReader(StringIO(table_bytes(table).decode())))


def test_csv_holds_every_column_with_intervals_and_labels() -> None:
    """Bounds, columns that the report does not show, and the label of what is simulated are in the file."""
    rows = rows_of(TABLE)
    assert list(rows[0]) == ["'=name", "n", "recall", "recall low", "recall high", "holds", "hidden", "labels"]
    assert (rows[0]["recall"], rows[0]["recall low"], rows[1]["recall"], rows[2]["recall low"]) == (
        "0.5",
        "0.4",
        "",
        "",
    )
    assert [row["labels"] for row in rows] == ["simulated"] * 3


def test_csv_defuses_formulas_and_parquet_keeps_them() -> None:
    """A text or a column's name that a spreadsheet would run gets an apostrophe, in CSV only."""
    assert rows_of(TABLE)[0]["'=name"] == "'=cmd|' /C calc'!A0"
    read = pyarrow.parquet.read_table(BytesIO(table_bytes(TABLE, form="parquet")))
    assert read.column("=name").to_pylist() == ["=cmd|' /C calc'!A0", "plain", None]
    assert read.column("n").to_pylist() == [1, 2, None]
    assert read.column("recall").to_pylist() == [0.5, None, 1.0]
    assert read.column("recall low").to_pylist() == [0.4, None, None]
    assert read.column("holds").to_pylist() == [True, False, None]


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=30) | st.text(alphabet="=+-@\t\r\n '\"", max_size=6))
def test_no_cell_begins_like_a_formula(text: str) -> None:
    """Whatever a text is, its cell in CSV begins with none of the signs that make a spreadsheet run it."""
    column = Column(name="id", values=[text, "x"], form="data")
    (cell, _) = (row["id"] for row in rows_of(Table(key="t", title="T", columns=(column,))))
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))


def test_texts_of_ten_thousand_characters_are_cut() -> None:
    """A text in a file has at most 1,000 characters, the last of which says that it was cut."""
    column = Column(name="text", values=["y" * 10_000, "\u202ex\n\ud800"], form="data")
    long, other = (row["text"] for row in rows_of(Table(key="t", title="T", columns=(column,))))
    assert (len(long), long[-1]) == (1000, "…")
    assert other == "x \ufffd"


def test_every_table_of_the_report_can_be_written(told_report: Report) -> None:
    """Each of them is read back from both files with as many rows as it has, and no name twice."""
    for table in told_report.tables:
        rows = rows_of(table)
        read = pyarrow.parquet.read_table(BytesIO(table_bytes(table, form="parquet")))
        assert len(rows) == read.num_rows == table.n_rows, table.key
        assert len(set(read.column_names)) == len(read.column_names), table.key


def test_all_tables_fit_into_one_archive(told_report: Report) -> None:
    """The archive holds both files of every table, byte for byte, and is the same when it is made again."""
    packed = tables_archive(told_report)
    with ZipFile(BytesIO(packed)) as archive:
        names = [f"{table.key}.{form}" for table in told_report.tables for form in ("csv", "parquet")]
        assert archive.namelist() == names
        assert archive.read(names[0]) == table_bytes(told_report.tables[0])
    assert tables_archive(told_report) == packed


def test_another_format_is_refused() -> None:
    """Only CSV and Parquet are written."""
    with pytest.raises(ParameterError, match="csv or parquet; found xlsx"):
        table_bytes(TABLE, form="xlsx")  # type: ignore[arg-type]  # what a script might pass
