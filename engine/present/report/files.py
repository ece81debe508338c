"""Write a report and its tables: whole or not at all, and only where that was asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, get_args

from engine.errors import InputError, ParameterError
from engine.outputs import write_output
from engine.present.report.html import render_html
from engine.present.report.markdown import render_markdown
from engine.present.report.tables import TABLE_FORMATS, table_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from engine.present.report.blocks import Report

ReportFormat = Literal["html", "markdown"]
REPORT_FORMATS: tuple[ReportFormat, ...] = get_args(ReportFormat)

_MARKDOWN_ENDINGS = {".md", ".markdown"}


def report_format(form: str | None, file: Path) -> ReportFormat:
    """Return the format that was named, else the one that the file's ending means; HTML for any but Markdown's.

    Raises
    ------
    ParameterError
        For an unknown format.
    """
    if form is None:
        return "markdown" if file.suffix.lower() in _MARKDOWN_ENDINGS else "html"
    for known in REPORT_FORMATS:
        if form == known:
            return known
    raise ParameterError(f"a report is written as {' or '.join(REPORT_FORMATS)}", found=form)


def check_report_files(file: Path, *, tables: Path | None = None) -> None:
    """Refuse, before any work is done, a file or folder that could not be written. Raises InputError."""
    try:
        _check_places(file, tables)
    except InputError:
        raise
    except (OSError, ValueError) as error:  # a name that nothing can have: too long, or with a NUL in it
        found = getattr(error, "strerror", None) or error
        raise InputError("--out and --tables must name what a file or folder can be called", found=found) from error


def _check_places(file: Path, tables: Path | None) -> None:
    folder = file.absolute().parent
    if not file.name or file.is_dir() or not folder.is_dir():
        raise InputError("--out must name a file in a folder that is there", found=str(file))
    if not os.access(file if file.exists() else folder, os.W_OK):
        raise InputError("--out must name a file that can be written", found=str(file))
    if tables is not None and tables.exists() and not tables.is_dir():
        raise InputError("--tables must name a folder", found=f"the file {tables.name}")


def write_report(report: Report, file: Path, *, form: ReportFormat = "html") -> int:
    """Write `report` into `file` and return its size in bytes; a file that is there is replaced in one step.

    Raises
    ------
    InputError
        When the file cannot be written; what was there stays then.
    """
    document = render_html(report) if form == "html" else render_markdown(report)
    content = document.encode("utf-8")
    write_output(file, content)
    return len(content)


def write_tables(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write every table of `report` into `folder`, as CSV and as Parquet, and return the files.

    Raises
    ------
    InputError
        When the folder or a file in it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("--tables must name a folder that can be written", found=error.strerror) from error
    written = []
    for table in report.tables:
        for form in TABLE_FORMATS:
            file = folder / f"{table.key}.{form}"
            write_output(file, table_bytes(table, form=form))
            written.append(file)
    return tuple(written)
