"""Writing a report: whole or not at all, where it was asked for, and refused before any work where it cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import InputError, ParameterError
from engine.present.report.blocks import Column, Section, Table
from engine.present.report.files import check_report_files, report_format, write_report, write_tables
from tests.present.report.empty import EMPTY

TABLE = Table(key="numbers", title="T", columns=(Column(name="n", values=[1], form="count"),))


def test_the_ending_says_the_format_unless_it_is_named() -> None:
    """`.md` is Markdown, anything else HTML; a name wins over both, and an unknown one is refused."""
    assert report_format(None, Path("a.MD")) == "markdown"
    assert report_format(None, Path("a.html")) == report_format(None, Path("a")) == "html"
    assert report_format("markdown", Path("a.html")) == "markdown"
    with pytest.raises(ParameterError, match="html or markdown; found pdf"):
        report_format("pdf", Path("a.pdf"))


def test_places_that_cannot_be_written_are_refused_beforehand(tmp_path: Path) -> None:
    """A folder, a folder that is not there, and a file where tables should go are one sentence each."""
    (tmp_path / "file").write_text("x")
    for bad in (tmp_path, tmp_path / "nowhere" / "a.html", tmp_path / "file" / "a.html"):
        with pytest.raises(InputError, match="--out must name a file in a folder that is there"):
            check_report_files(bad)
    with pytest.raises(InputError, match="--tables must name a folder"):
        check_report_files(tmp_path / "a.html", tables=tmp_path / "file")
    check_report_files(tmp_path / "a.html", tables=tmp_path / "new" / "tables")


def test_a_report_replaces_the_one_before_and_leaves_nothing_else(tmp_path: Path) -> None:
    """The file holds the new report alone, and no half-written file stands beside it."""
    file = tmp_path / "report.md"
    file.write_text("x" * 10_000)
    n_bytes = write_report(EMPTY, file, form="markdown")
    assert file.read_text().startswith("# t\n")
    assert file.stat().st_size == n_bytes
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_is_one_sentence_and_leaves_no_rubbish(tmp_path: Path) -> None:
    """A name that the disk refuses stops with the file's name and the reason, and the folder stays as it was."""
    with pytest.raises(InputError, match="the output file must be writable; found x+"):
        write_report(EMPTY, tmp_path / ("x" * 300), form="markdown")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="--tables must name a folder that can be written"):
        write_tables(EMPTY, tmp_path / "file" / "tables")


def test_tables_are_written_as_csv_and_parquet(tmp_path: Path) -> None:
    """Each table becomes two files named by its key, in a folder that is made where it is missing."""
    report = replace(EMPTY, sections=(Section(key="curves", title="C", blocks=(TABLE,)),))
    files = write_tables(report, tmp_path / "new" / "tables")
    assert [file.name for file in files] == ["numbers.csv", "numbers.parquet"]
    assert (tmp_path / "new" / "tables" / "numbers.csv").read_text() == '"n"\n1\n'
