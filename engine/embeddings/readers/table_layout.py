"""Find out how a CSV or TSV file is laid out: delimiter, header, and what each column holds."""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from engine.embeddings.readers.naming import (
    ID_NAMES,
    SEGMENT_NAMES,
    TEXT_NAMES,
    TITLE_NAMES,
    choose_named,
    choose_vectors,
)
from engine.errors import AmbiguousColumnsError, FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.embeddings.readers.options import Columns
    from engine.embeddings.readers.source import Source

_SAMPLE_ROWS = 50
_LONGEST_CELL = 1 << 26  # set for the whole process, and so always the same: a long vector is one cell
_SPACES = " "
_NUMBERED = re.compile(r"(.*?)([0-9]{1,6})", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class TableLayout:
    """Columns by position: one of JSON vectors, or one a component, or only texts; and what stands beside them."""

    delimiter: str
    has_header: bool
    names: tuple[str, ...]
    json_vector: int | None
    components: tuple[int, ...]
    id: int | None
    texts: tuple[int, ...]
    segment: int | None
    warnings: tuple[str, ...] = ()


def table_rows(source: Source, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield `(line number from 1, cells)` of every row that is not blank."""
    if delimiter == _SPACES:
        for number, line in enumerate(source.lines(), 1):
            if line.strip():
                yield number, line.split()
        return
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(source.lines(), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise FormatError.in_file(
            source.name, "quotes must be closed and doubled within", found=f"{error} in line {reader.line_num}"
        ) from None


def find_layout(source: Source, columns: Columns) -> TableLayout:
    """Return the layout of `source`, told from its first 50 rows and the names in its header."""
    delimiter = sniff_delimiter(source)
    sample = [cells for _, cells in islice(table_rows(source, delimiter), _SAMPLE_ROWS)]
    if not sample:
        raise FormatError.in_file(source.name, "the file must hold at least one row", found="none")
    has_header = _is_header(sample)
    names = tuple(cell.strip() for cell in sample[0]) if has_header else tuple(map(str, range(len(sample[0]))))
    rows = sample[1:] if has_header else sample
    if not rows:
        raise FormatError.in_file(source.name, "the file must hold at least one row", found="only a header")
    if len(set(names)) != len(names):
        raise FormatError.in_file(source.name, "every column must have a name of its own", found=", ".join(names))
    return _Columns(source.name, names, rows, has_header=has_header).layout(columns, delimiter)


def sniff_delimiter(source: Source) -> str:
    """Return tab, comma, semicolon or a space (for any white space), whichever cuts the first rows alike."""
    lines = [line for line in islice(source.lines(), _SAMPLE_ROWS) if line.strip()]
    if source.suffix == ".tsv":
        return "\t"
    csv.field_size_limit(_LONGEST_CELL)
    for delimiter in ",;\t" if source.suffix == ".csv" else "\t,;":
        try:
            rows = [cells for cells in csv.reader(lines, delimiter=delimiter) if cells]
        except csv.Error:
            continue
        widths = {len(cells) for cells in (rows[:-1] if len(rows) > 2 else rows)}  # the last may be cut within quotes
        if widths and min(widths) > 1 and (len(widths) == 1 or source.suffix == ".csv"):
            return delimiter
    cells = [line.split() for line in lines]
    if cells and len(cells[0]) > 1 and all(is_number(cell) for cell in cells[-1]):
        return _SPACES
    return ","


def is_table_of_numbers(source: Source) -> bool:
    """Tell whether text of unknown extension is a table: one of its first two rows is two or more numbers."""
    lines = list(islice((line for line in source.lines() if line.strip()), 2))
    rows = [re.split(r"[,;\t ]+", line.strip()) for line in lines]
    return any(len(cells) > 1 and all(is_number(cell) for cell in cells) for cells in rows)


def is_number(cell: str) -> bool:
    """Tell whether a cell holds a decimal number, nan and inf included."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def _is_header(sample: Sequence[Sequence[str]]) -> bool:
    first = [cell.strip() for cell in sample[0]]
    if len(sample) > 1 and _counts_columns(first):
        return True
    return not any(is_number(cell) or _is_json_list(cell) for cell in first) and (len(sample) > 1 or len(first) > 1)


def _counts_columns(cells: Sequence[str]) -> bool:
    """Tell whether a row is the column numbers that pandas writes: 0, 1, 2 ... with perhaps an empty cell in front."""
    numbers = list(cells[1:]) if cells and not cells[0] else list(cells)
    return len(numbers) > 2 and numbers == [str(number) for number in range(len(numbers))]


def _is_json_list(cell: str) -> bool:
    return cell.lstrip().startswith("[")


class _Columns:
    """The columns of a table, judged by a sample of rows."""

    def __init__(self, name: str, names: tuple[str, ...], rows: Sequence[Sequence[str]], *, has_header: bool) -> None:
        self._name = name
        self._names = names
        self._has_header = has_header
        self._cells = [[row[at] for row in rows if at < len(row)] for at in range(len(names))]

    def layout(self, columns: Columns, delimiter: str) -> TableLayout:
        json_like = [name for name in self._names if self._is_json(name)]
        vector = choose_vectors(self._name, json_like, chosen=columns.vector, available=self._names)
        ids = self._id(columns)
        segment = choose_named(
            self._name, self._names, SEGMENT_NAMES if self._has_header else (), chosen=columns.segment
        )
        taken = {name for name in (vector, ids, segment, columns.text) if name is not None}
        free = [name for name in self._names if name not in taken]
        components = () if vector else self._series(free)
        texts = self._texts(columns, [name for name in free if name not in components])
        if vector is None and not components:
            components = self._numbers(free, texts, columns)
        if vector is None and not components and not texts:
            texts = self._only_text(free)
        at = self._names.index
        return TableLayout(
            delimiter=delimiter,
            has_header=self._has_header,
            names=self._names,
            json_vector=None if vector is None else at(vector),
            components=tuple(map(at, components)),
            id=None if ids is None else at(ids),
            texts=tuple(map(at, texts)),
            segment=None if segment is None else at(segment),
        )

    def _of(self, name: str) -> list[str]:
        return self._cells[self._names.index(name)]

    def _is_json(self, name: str) -> bool:
        return self._are_mostly(name, _is_json_list)

    def _is_numeric(self, name: str) -> bool:
        return self._are_mostly(name, is_number)

    def _are_mostly(self, name: str, is_kind: Callable[[str], bool]) -> bool:
        hits = sum(map(is_kind, self._of(name)))
        return hits > 0 and 2 * hits >= len(self._of(name))

    def _id(self, columns: Columns) -> str | None:
        if not self._has_header and columns.id is None:
            text = [name for name in self._names if not self._is_numeric(name) and not self._is_json(name)]
            # Without a header, one short text in front of numbers can only be an id.
            return text[0] if text == [self._names[0]] and len(self._names) > 1 else None
        known = choose_named(self._name, self._names, ID_NAMES, chosen=columns.id)
        unnamed = self._names[0] in ("", "Unnamed: 0") and len(self._names) > 1  # the index that pandas writes
        return self._names[0] if known is None and unnamed else known

    def _series(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the columns of a numbered series (d0, d1, ...): the vector, even where a cell of it is text."""
        series: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for name in names if self._has_header else ():
            if match := _NUMBERED.fullmatch(name):
                series[match[1]].append((int(match[2]), name))
        longest: list[tuple[int, str]] = max(series.values(), key=len, default=[])
        longest.sort()
        numbers = [number for number, _ in longest]
        is_whole = len(longest) > 1 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        return tuple(name for _, name in longest) if is_whole and any(self._is_numeric(n) for _, n in longest) else ()

    def _numbers(self, names: Sequence[str], texts: Sequence[str], columns: Columns) -> tuple[str, ...]:
        numeric = tuple(name for name in names if self._is_numeric(name))
        if not texts or not numeric:
            return numeric
        if columns.text is None:  # id, text, year: is the year a vector? Nobody can tell but the user
            raise AmbiguousColumnsError(
                self._name, wanted="texts to encode, or else the vectors", candidates=(*texts, *numeric)
            )
        return ()

    def _texts(self, columns: Columns, names: Sequence[str]) -> tuple[str, ...]:
        if columns.text is not None:
            choose_named(self._name, self._names, (), chosen=columns.text)
            return (columns.text,)
        if not self._has_header:
            return ()
        text = choose_named(self._name, names, TEXT_NAMES, chosen=None)
        title = choose_named(self._name, names, TITLE_NAMES, chosen=None)
        return tuple(name for name in dict.fromkeys((title, text)) if name is not None)

    def _only_text(self, names: Sequence[str]) -> tuple[str, ...]:
        if len(names) == 1:
            return tuple(names)
        if not names:
            raise FormatError.in_file(self._name, "one column must hold vectors or texts", found=", ".join(self._names))
        raise AmbiguousColumnsError(self._name, wanted="texts", candidates=names)


def parse_json_list(cell: str) -> list[object] | None:
    """Return the JSON list in `cell`; None when it is something else."""
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) else None
