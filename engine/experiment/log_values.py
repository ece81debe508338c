"""Turn the columns of a log's record batch into arrays; a value that cannot be meant names its row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import FormatError

if TYPE_CHECKING:
    import numpy.typing as npt

    Bools = npt.NDArray[np.bool_]

_TRUE = frozenset({"1", "1.0", "true", "t", "yes", "y"})
_FALSE = frozenset({"0", "0.0", "false", "f", "no", "n"})
_MOST_NAMES = 1000


@dataclass(frozen=True, eq=False, kw_only=True)
class Flags:
    """Facts of n rows: `value` where it is given, false where `is_given` is not; `n_counts` were counts above 1."""

    value: Bools
    is_given: Bools
    n_counts: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Numbers:
    """Numbers of n rows, NaN where `is_given` is false."""

    value: npt.NDArray[np.float64]
    is_given: Bools


def read_flags(name: str, column: str, values: Any, *, first_row: int) -> Flags:
    """Read true or false from bools, counts, or texts such as yes and 0.

    Raises
    ------
    FormatError
        For anything else, with its row.
    """
    import pyarrow as pa

    if pa.types.is_boolean(values.type):
        known = values.fill_null(False) if values.null_count else values
        return Flags(value=_plain(known), is_given=_given(values), n_counts=0)
    if not _is_number(values.type):
        return _flags_of_texts(name, column, values, first_row)
    number = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    is_given = _given(values) & ~np.isnan(number)
    _refuse(name, f"{column} must be true, false or a count", number, is_given & ~(number >= 0), first_row)
    return Flags(value=is_given & (number > 0), is_given=is_given, n_counts=int((is_given & (number > 1)).sum()))


def _flags_of_texts(name: str, column: str, values: Any, first_row: int) -> Flags:
    codes, texts = coded(name, column, values)
    meanings = np.zeros(len(texts) + 1, np.int8)  # the last is that of a missing value, code -1
    meanings[-1] = -1
    for code, text in enumerate(texts):
        plain = text.strip().lower()
        if plain not in _TRUE and plain not in _FALSE:
            row = first_row + int(np.argmax(codes == code))
            raise FormatError.in_file(
                name, f"{column} must be true or false, 1 or 0, yes or no", found=f"{text[:40]!r} in row {row:,}"
            )
        meanings[code] = plain in _TRUE
    meaning = meanings[codes]
    return Flags(value=meaning == 1, is_given=meaning >= 0, n_counts=0)


def read_latency(name: str, column: str, values: Any, *, per_unit: float, first_row: int) -> Numbers:
    """Read latency in ms from numbers in units of `per_unit` ms.

    Raises
    ------
    FormatError
        For a negative, infinite or NaN value, or a text that is no number, with its row.
    """
    numbers = _numbers(name, column, values, first_row)
    wrong = numbers.is_given & ~((numbers.value >= 0) & (numbers.value < np.inf))
    _refuse(name, f"{column} must be finite and at least 0", numbers.value, wrong, first_row)
    return Numbers(value=numbers.value * per_unit, is_given=numbers.is_given)


def read_no_results(name: str, column: str, values: Any, *, first_row: int) -> Flags:
    """Read from numbers of results whether there were none.

    Raises
    ------
    FormatError
        For a negative number or a text that is none, with its row.
    """
    numbers = _numbers(name, column, values, first_row)
    is_given = numbers.is_given & ~np.isnan(numbers.value)
    _refuse(name, f"{column} must be at least 0", numbers.value, is_given & ~(numbers.value >= 0), first_row)
    return Flags(value=is_given & (numbers.value == 0), is_given=is_given, n_counts=0)


def read_ids(name: str, column: str, values: Any) -> Any:
    """Return user ids as a pyarrow array of texts, or a dictionary of such; whole numbers are spelled out.

    Raises
    ------
    FormatError
        When the column holds neither.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(values.type):
        if pa.types.is_string(values.type.value_type):
            return values
        values = values.dictionary_decode()
    if pa.types.is_integer(values.type) or pa.types.is_large_string(values.type) or pa.types.is_null(values.type):
        values = values.cast(pa.string())
    if not pa.types.is_string(values.type):
        raise FormatError.in_file(
            name,
            f"{column} must hold texts or whole numbers",
            found=str(values.type),
            hint="Write the ids as text",
        )
    return values


def coded(name: str, column: str, values: Any) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Return the code of each value, -1 where it is missing or blank, and the texts that the codes stand for.

    Raises
    ------
    FormatError
        When the column holds no texts, numbers or bools, or more than 1,000 different ones.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (pa.types.is_dictionary(values.type) or pa.types.is_string(values.type)):
        try:
            values = values.cast(pa.string())
        except pa.ArrowException:
            raise FormatError.in_file(name, f"{column} must hold texts", found=str(values.type)) from None
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    texts = encoded.dictionary
    indices = encoded.indices.fill_null(-1) if encoded.indices.null_count else encoded.indices
    codes = indices.to_numpy(zero_copy_only=False).astype(np.int32)
    used = np.flatnonzero(np.bincount(codes + 1, minlength=1)[1:])
    if len(used) > _MOST_NAMES:
        raise FormatError.in_file(
            name, f"{column} may hold at most {_MOST_NAMES:,} different values", found=f"{len(used):,} and more"
        )
    spelled = ["" if text is None else str(text) for text in pc.take(texts, pa.array(used, pa.int64())).to_pylist()]
    place = np.full(len(texts) + 1, -1, np.int32)  # the last is that of a missing value, code -1
    named = [text for text in spelled if text.strip()]
    place[used[[bool(text.strip()) for text in spelled]]] = np.arange(len(named))
    return place[codes], named


def _numbers(name: str, column: str, values: Any, first_row: int) -> Numbers:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string(values.type):
        trimmed = pc.utf8_trim_whitespace(values)
        values = pc.if_else(pc.equal(trimmed, ""), None, trimmed)
    is_given = _given(values)
    if pa.types.is_string(values.type):
        try:
            values = values.cast(pa.float64())
        except pa.ArrowInvalid:
            raise _no_number(name, column, values, first_row) from None
    elif not (_is_number(values.type) or pa.types.is_null(values.type)):
        raise FormatError.in_file(name, f"{column} must hold numbers", found=str(values.type))
    number = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return Numbers(value=number, is_given=is_given)


def _no_number(name: str, column: str, values: Any, first_row: int) -> FormatError:
    import pyarrow as pa

    for row, text in enumerate(values.to_pylist()):
        try:
            pa.scalar(text, pa.string()).cast(pa.float64())
        except pa.ArrowInvalid:
            return FormatError.in_file(
                name, f"{column} must hold numbers", found=f"{text[:40]!r} in row {first_row + row:,}"
            )
    return FormatError.in_file(name, f"{column} must hold numbers", found="something else")


def _refuse(name: str, rule: str, number: npt.NDArray[np.float64], wrong: Bools, first_row: int) -> None:
    if wrong.any():
        row = int(np.argmax(wrong))
        raise FormatError.in_file(name, rule, found=f"{number[row]:g} in row {first_row + row:,}")


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _given(values: Any) -> Bools:
    return _plain(values.is_valid()) if values.null_count else np.ones(len(values), np.bool_)


def _plain(values: Any) -> Bools:
    plain: Bools = values.to_numpy(zero_copy_only=False)
    return plain
