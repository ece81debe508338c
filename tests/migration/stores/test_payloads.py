"""Payloads through stores that hold less than JSON allows."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import FormatError
from engine.migration.stores.payloads import (
    RESERVED,
    as_object,
    dumped,
    for_jsonb,
    from_jsonb,
    from_object,
    parsed,
    same_payload,
)

TEXTS = st.text(st.one_of(st.characters(), st.sampled_from(["\0", "\ud800", "\udc00", "\\", '"'])))
NUMBERS = st.one_of(st.integers(), st.integers(-(1 << 70), 1 << 70), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(TEXTS, st.just(RESERVED)), inner, max_size=3)
    ),
    max_leaves=8,
)


def spelt(value: object, *, ascii_only: bool) -> bytes:
    """Return JSON as either kind of writer spells it."""
    return json.dumps(value).encode() if ascii_only else dumped(value)


def without_escapes(value: object) -> bool:
    """Tell whether no text within `value` holds NUL or half of a surrogate pair."""
    if isinstance(value, str):
        return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        return all(map(without_escapes, (*value, *value.values())))
    return not isinstance(value, list) or all(map(without_escapes, value))


@given(VALUES, st.booleans())
def test_objects_come_back(value, ascii_only):
    """What Qdrant is given is an object of plain values, and what comes back means the same."""
    payload = spelt(value, ascii_only=ascii_only)
    held = as_object(payload)
    assert held is None or isinstance(held, dict)
    json.dumps(held, ensure_ascii=False).encode()
    assert same_payload(from_object(held), payload)


@given(VALUES, st.booleans())
def test_jsonb_gets_what_it_can_hold(value, ascii_only):
    r"""Nothing with ``\u0000`` or half a surrogate pair reaches PostgreSQL, and what comes back means the same."""
    payload = spelt(value, ascii_only=ascii_only)
    held = for_jsonb(payload)
    assert without_escapes(json.loads(held))
    assert same_payload(from_jsonb(held), payload)
    if without_escapes(value) and RESERVED not in str(value):
        assert held == payload


@given(VALUES, VALUES)
def test_only_equal_payloads_are_the_same(one, other):
    """Comparing agrees with comparing the JSON that both mean, keys sorted."""
    plain = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    if plain:
        assert same_payload(dumped(one), dumped(other))
    elif not any(isinstance(value, int | float | dict | list | None) for value in (one, other)):
        assert not same_payload(dumped(one), dumped(other))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b'{"a":1,"b":2}', b'{"b": 2, "a": 1.0}', True),
        (b"100", b"1e2", True),
        (b"100000000000000000000000", b"1e23", True),
        (b'{"a":true}', b'{"a":1}', False),
        (b'{"a":null}', b"{}", False),
        (b"{}", None, True),
        (b"null", b"{}", True),
        (b"[]", None, False),
        (b"[1,2]", b"[2,1]", False),
        (b"[1]", b"[1,1]", False),
        (b'"1"', b"1", False),
        (b'{"a":{"b":[1]}}', b'{"a":{"b":[2]}}', False),
        (b"0.1", b"0.10000000000000000001", True),
    ],
)
def test_sameness_is_of_meaning(one, other, same):
    """Order of keys and spelling of numbers do not count; types, order of lists and missing keys do."""
    assert same_payload(one, other) is same
    assert same_payload(other, one) is same


@pytest.mark.parametrize("payload", [b"", b"{", b"NaN", b'{"a":Infinity}', b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(payload):
    """NaN, broken text and endless nesting are no payloads."""
    with pytest.raises(FormatError, match="a payload must be JSON"):
        parsed(payload)
