"""Ids of rows: whole numbers, UUIDs and texts, in one order over all stores and held losslessly by each of them.

The *canonical order* is numbers by value, then UUIDs by their bytes, then texts by their UTF-8 bytes. Two stores that
list their ids in it can be merged without holding either list in memory.
"""

from __future__ import annotations

import operator
import re
import uuid
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from engine.errors import VectorError

if TYPE_CHECKING:
    from collections.abc import Iterable

Id: TypeAlias = int | str | uuid.UUID
"""How a row is told from another; ``1`` and ``"1"`` are two ids."""

IdKind = Literal["int", "uint", "uuid", "text", "mixed"]
"""What a store's ids are: ``int`` fits 64 bits with sign, ``uint`` 64 bits without; ``mixed`` is any of them together,
and whole numbers of any size."""

ID_KINDS: tuple[IdKind, ...] = get_args(IdKind)

INT64 = range(-(1 << 63), 1 << 63)
UINT64 = range(1 << 64)

_LONGEST_BYTES = 0x7F
_NUMBER, _UUID, _TEXT = b"\x10", b"\x20", b"\x30"
_NAMESPACE = uuid.UUID("b5f7a3c8-6b1d-5c0e-9a54-6f1f7c1d2e90")
_TO_ESCAPE = re.compile("[\0\1]")
_ESCAPED = re.compile("\1([\1\2])")


def as_id(value: object) -> Id:
    """Return `value` as an id: a plain int (also of a NumPy integer), a str or a UUID.

    Raises
    ------
    VectorError
        For anything else, a text that is no Unicode (half of a surrogate pair), and a number above 1,016 bits.

    >>> as_id("a"), as_id(7)
    ('a', 7)
    """
    if isinstance(value, str):
        if not value.isascii():
            _utf8(value)
        return value
    if isinstance(value, uuid.UUID):
        return value
    if not isinstance(value, bool):
        try:
            number = operator.index(value)  # type: ignore[arg-type]  # asks whether it is a whole number
        except TypeError:
            pass
        else:
            _magnitude(number)
            return number
    raise VectorError("an id must be a whole number, a UUID or a text", found=type(value).__name__)


def kind_of(ids: Iterable[Id]) -> IdKind:
    """Return the narrowest kind that holds every one of `ids`; ``int`` when there are none.

    >>> kind_of([1, -2]), kind_of([1 << 63]), kind_of([1, "a"])
    ('int', 'uint', 'mixed')
    """
    kinds: set[str] = set()
    least, most = 0, 0
    for one in ids:
        if isinstance(one, int):
            kinds.add("int")
            least, most = min(least, one), max(most, one)
        else:
            kinds.add("text" if isinstance(one, str) else "uuid")
    if len(kinds) > 1:
        return "mixed"
    if kinds == {"uuid"}:
        return "uuid"
    if kinds == {"text"}:
        return "text"
    if least in INT64 and most in INT64:
        return "int"
    return "uint" if least >= 0 and most in UINT64 else "mixed"


def fits(one: Id, kind: IdKind) -> bool:
    """Tell whether a store whose ids are of `kind` can hold `one` as it is."""
    match kind:
        case "int":
            return isinstance(one, int) and one in INT64
        case "uint":
            return isinstance(one, int) and one in UINT64
        case "uuid":
            return isinstance(one, uuid.UUID)
        case "text":
            return isinstance(one, str)
        case "mixed":
            return True


def order_key(one: Id) -> bytes:
    """Return the bytes whose order is the canonical order of ids; `from_order_key` reads them back.

    >>> sorted([2, -1, "b", "a", 10], key=order_key)
    [-1, 2, 10, 'a', 'b']
    """
    if isinstance(one, str):
        return _TEXT + _utf8(one)
    if isinstance(one, uuid.UUID):
        return _UUID + one.bytes
    return _NUMBER + _number_bytes(one)


def from_order_key(key: bytes) -> Id:
    """Return the id that `order_key` made `key` of."""
    kind, rest = key[:1], key[1:]
    if kind == _TEXT:
        return rest.decode("utf-8")
    if kind == _UUID:
        return uuid.UUID(bytes=rest)
    return _from_number_bytes(rest)


def coded_text(one: Id) -> str:
    """Return any id as a text without NUL: ``i`` and hex digits, ``u`` and the UUID, or ``x`` and the escaped text.

    The byte order of these texts is the canonical order, and `from_coded_text` reads them back: cursors, quarantine
    records and text columns that hold ids of several kinds use them.

    >>> coded_text("a"), coded_text(258)
    ('xa', 'i820102')
    """
    if isinstance(one, str):
        return "x" + escaped(one)
    if isinstance(one, uuid.UUID):
        return f"u{one}"
    return "i" + _number_bytes(one).hex()


def from_coded_text(text: str) -> Id:
    """Return the id that `coded_text` made `text` of.

    Raises VectorError when it made no such text.
    """
    try:
        if text[:1] == "x":
            return unescaped(text[1:])
        if text[:1] == "u":
            return uuid.UUID(text[1:])
        if text[:1] == "i":
            return _from_number_bytes(bytes.fromhex(text[1:]))
    except ValueError:
        pass
    raise VectorError("a coded id must begin with i, u or x and hold an id", found=repr(text))


def escaped(text: str) -> str:
    r"""Return `text` without NUL, which PostgreSQL cannot hold: ``\0`` and ``\1`` become ``\1\1`` and ``\1\2``.

    Every other text stays as it is, the order of texts stays the same, and `unescaped` undoes it.
    """
    if "\0" not in text and "\1" not in text:
        return text
    return _TO_ESCAPE.sub(lambda found: "\1\1" if found[0] == "\0" else "\1\2", text)


def unescaped(text: str) -> str:
    """Return the text that `escaped` made `text` of."""
    if "\1" not in text:
        return text
    return _ESCAPED.sub(lambda found: "\0" if found[1] == "\1" else "\1", text)


def as_uuid5(one: Id) -> uuid.UUID:
    """Return a UUID (version 5) that stands for any id in a store that only holds UUIDs; the same one every time."""
    return uuid.uuid5(_NAMESPACE, coded_text(one))


def shown_id(one: Id) -> str:
    """Return the id for a sentence: texts in quotation marks, so that ``"1"`` is told from 1."""
    return repr(one) if isinstance(one, str) else str(one)


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise VectorError(
            "a text id must be Unicode", found="half of a surrogate pair", hint="Give the row another id"
        ) from None


def _magnitude(number: int) -> bytes:
    size = (abs(number).bit_length() + 7) // 8
    if size > _LONGEST_BYTES:
        raise VectorError("a whole number as id must have at most 1,016 bits", found=f"{8 * size:,} bits")
    return abs(number).to_bytes(size, "big")


def _number_bytes(number: int) -> bytes:
    # The first byte holds sign and length, so that longer numbers follow; a negative's bytes run the other way.
    magnitude = _magnitude(number)
    if number >= 0:
        return bytes((0x80 + len(magnitude),)) + magnitude
    return bytes((0x80 - len(magnitude), *(0xFF - byte for byte in magnitude)))


def _from_number_bytes(data: bytes) -> int:
    if not data or abs(data[0] - 0x80) != len(data) - 1:
        raise ValueError("the length does not fit")
    if data[0] >= 0x80:
        return int.from_bytes(data[1:], "big")
    return -int.from_bytes(bytes(0xFF - byte for byte in data[1:]), "big")
