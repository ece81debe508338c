"""The tables of a report as files: CSV that no spreadsheet can be tricked by, and Parquet."""

from __future__ import annotations

import math
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal, get_args
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from engine.errors import ParameterError
from engine.present.report.wording import LONGEST_KEPT, harmless
from engine.spreadsheets import defused

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from engine.present.report.blocks import Column, Report, Table, Value

TableFormat = Literal["csv", "parquet"]
TABLE_FORMATS: tuple[TableFormat, ...] = get_args(TableFormat)

_WHOLE = {"count"}


def table_bytes(table: Table, *, form: TableFormat = "csv") -> bytes:
    """Return `table` as a file, every column and row of it; intervals are columns of their own, ``recall@10 low``.

    Texts are cut to 1,000 characters and hold no control or bidi characters. In CSV those that a spreadsheet would run
    as a formula get an apostrophe before them.

    Raises
    ------
    ParameterError
        For an unknown format.
    """
    import pyarrow.csv
    import pyarrow.parquet

    if form not in TABLE_FORMATS:
        raise ParameterError(f"tables are written as {' or '.join(TABLE_FORMATS)}", found=form)
    rows = _arrow(table, is_csv=form == "csv")
    file = BytesIO()
    if form == "csv":
        pyarrow.csv.write_csv(rows, file)
    else:
        pyarrow.parquet.write_table(rows, file)
    return file.getvalue()


def tables_archive(report: Report) -> bytes:
    """Return every table of `report`, as CSV and as Parquet, in one ZIP file; the same report gives the same bytes."""
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        for table in report.tables:
            for form in TABLE_FORMATS:
                # A ZipInfo of its own carries no moment of packing.
                name = ZipInfo(f"{table.key}.{form}")
                archive.writestr(name, table_bytes(table, form=form), ZIP_DEFLATED)
    return packed.getvalue()


def _arrow(table: Table, *, is_csv: bool) -> pa.Table:
    import pyarrow as pa

    arrays: dict[str, pa.Array] = {}
    for column in table.columns:
        arrays[column.name] = _array(column.values, column)
        for side, bounds in (("low", column.low), ("high", column.high)):
            if bounds is not None:
                arrays[f"{column.name} {side}"] = _array(bounds, column)
    if table.labels:
        arrays["labels"] = pa.array([", ".join(table.labels)] * table.n_rows, pa.string())
    if is_csv:
        names = defused(pa.array(list(arrays), pa.string())).to_pylist()
        safe = [defused(one) if pa.types.is_string(one.type) else one for one in arrays.values()]
        return pa.table(safe, names=names)
    return pa.table(list(arrays.values()), names=list(arrays))


def _array(values: Sequence[Value], column: Column) -> Any:
    import pyarrow as pa

    if column.form == "yes_no":
        return pa.array([None if value is None else bool(value) for value in values], pa.bool_())
    if any(isinstance(value, str) for value in values) or column.form in {"text", "data", "words", "verdict"}:
        texts = [None if value is None else harmless(value, longest=LONGEST_KEPT) for value in values]
        return pa.array(texts, pa.string())
    numbers = [None if value is None or math.isnan(value) else value for value in values]  # type: ignore[arg-type]  # no texts here
    is_whole = all(number is None or isinstance(number, int) for number in numbers)
    return pa.array(numbers, pa.int64() if is_whole and column.form in _WHOLE else pa.float64())
