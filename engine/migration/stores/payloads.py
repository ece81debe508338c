"""Payloads: JSON that must survive the move through databases that hold less than JSON allows."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from engine.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

RESERVED = "__dimshift"
"""The one key that payloads in a target may have beside the user's own: what the store could not hold natively."""

# Escapes of ASCII may spell NUL, or the reserved key.
_SUSPICIOUS = re.compile(rb"\\u00[0-7]|\\u[dD][89a-fA-F]|" + RESERVED.encode())
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LARGE_NUMBER = re.compile(rb"[0-9]{16}|[eE][+]?[0-9]{3}")


def _no_constant(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def parsed(payload: bytes | None) -> Any:
    """Return the value of a payload; None when there is none. Raises FormatError when it is no JSON."""
    if payload is None:
        return None
    try:
        return _DECODER.decode(str(payload, "utf-8"))
    except (ValueError, RecursionError):
        raise FormatError("a payload must be JSON", found=payload[:60]) from None


def dumped(value: Any) -> bytes:
    """Return `value` as JSON bytes, UTF-8 unless it holds half of a surrogate pair. Raises ValueError for NaN."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def same_payload(one: bytes | None, other: bytes | None) -> bool:
    """Tell whether two payloads mean the same.

    The order of keys and the spelling of numbers do not count (``1.0`` is 1, ``1e2`` is 100); true is not 1. No
    payload, ``null`` and an empty object are the same, because Qdrant does not tell them apart.
    """
    if one == other:
        return True
    first, second = parsed(one), parsed(other)
    if first in (None, {}) and second in (None, {}):
        return True
    return _same(first, second)


def as_object(payload: bytes | None) -> dict[str, Any] | None:
    """Return the payload as an object of a store that holds nothing but objects, with 64-bit numbers in them.

    Anything else goes, as text, under `RESERVED`; `from_object` brings it back.
    """
    value = parsed(payload)
    if payload is None or value is None:
        return None
    is_plain = isinstance(value, dict) and RESERVED not in value
    if not is_plain or (_LARGE_NUMBER.search(payload) and not _fits_64_bits(value)) or _has_half_pair(payload, value):
        return {RESERVED: {"json": payload.decode("utf-8")}}
    plain: dict[str, Any] = value
    return plain


def from_object(value: Mapping[str, Any] | None) -> bytes | None:
    """Return the payload that `as_object` made `value` of; None for no payload and an empty one."""
    if not value:
        return None
    held = value.get(RESERVED)
    if isinstance(held, dict) and isinstance(held.get("json"), str):
        text: str = held["json"]
        return text.encode("utf-8")
    rest = {key: item for key, item in value.items() if key != RESERVED}
    return dumped(rest) if rest else None


def all_for_jsonb(payloads: Sequence[bytes | None]) -> Sequence[bytes | None]:
    """Return `for_jsonb` of every payload; most batches hold nothing to change, which one look tells."""
    together = b"".join(one for one in payloads if one is not None)
    if _SUSPICIOUS.search(together) is None:
        return payloads
    return [None if one is None else for_jsonb(one) for one in payloads]


def all_from_jsonb(payloads: Sequence[bytes | None]) -> Sequence[bytes | None]:
    """Return `from_jsonb` of every payload."""
    if RESERVED.encode() not in b"".join(one for one in payloads if one is not None):
        return payloads
    return [None if one is None else from_jsonb(one) for one in payloads]


def for_jsonb(payload: bytes) -> bytes:
    r"""Return `payload` as PostgreSQL's ``jsonb`` can hold it: ``\u0000`` and half surrogate pairs go as text."""
    if not _SUSPICIOUS.search(payload):
        return payload
    try:
        value = parsed(payload)
    except FormatError:
        return payload  # PostgreSQL will say so itself
    holds_nul = any("\0" in text for text in _texts(value))
    if not holds_nul and not _has_half_pair(payload, value) and not (isinstance(value, dict) and RESERVED in value):
        return payload
    return dumped({RESERVED: {"json": payload.decode("utf-8")}})


def from_jsonb(payload: bytes) -> bytes:
    """Return the payload that `for_jsonb` made `payload` of."""
    if RESERVED.encode() not in payload:
        return payload
    value = parsed(payload)
    if isinstance(value, dict) and set(value) == {RESERVED}:
        return from_object(value) or payload
    return payload


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return _same_number(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and bool(one == other)


def _same_number(one: float, other: float) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        try:
            return float(one) == float(other)
        except OverflowError:
            return False
    return one == other


def _fits_64_bits(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_fits_64_bits, value.values()))
    if isinstance(value, list):
        return all(map(_fits_64_bits, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or -(1 << 63) <= value < 1 << 64


def _has_half_pair(payload: bytes, value: Any) -> bool:
    """Tell whether a text within `value` holds half of a surrogate pair, which only an escape in `payload` can do."""
    return _SURROGATE.search(payload) is not None and not all(map(_is_unicode, _texts(value)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
