"""What may be a flag, and what becomes of it when it is written and read again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import FlagError, ParameterError
from engine.flags import Flag, Share, Split
from engine.flags.model import LARGEST_INTEGER, LARGEST_WEIGHT_SUM, flag_json, flag_of

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=12)
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=3)
VALUES: dict[str, SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": st.integers(-LARGEST_INTEGER, LARGEST_INTEGER),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "string": st.text(max_size=8),
    "object": OBJECTS | st.lists(JSON_VALUES, max_size=2),
}


@st.composite
def flags(draw: Any) -> Flag:
    """Draw any valid flag."""
    kind = draw(st.sampled_from(sorted(VALUES)))
    variants = draw(st.dictionaries(NAMES, VALUES[kind], min_size=1, max_size=4))
    names = st.sampled_from(sorted(variants))
    shares = st.lists(st.builds(Share, variant=names, weight=st.integers(0, 10**8)), min_size=1, max_size=4)
    split = draw(
        st.none()
        | st.builds(Split, shares=shares.map(tuple), hash_key=st.none() | NAMES).filter(lambda one: one.total > 0)
        | st.builds(Split, shares=shares.map(tuple), form=st.just("pair")).filter(lambda one: one.total > 0)
    )
    return Flag(
        key=draw(NAMES),
        kind=kind,
        variants=variants,
        default_variant=draw(st.none() | names),
        safe_variant=draw(names),
        split=split,
        rules=None if split is not None else draw(st.none() | OBJECTS),
        owner=draw(st.just("") | NAMES),
        description=draw(st.just("") | NAMES),
        is_enabled=draw(st.booleans()),
        driven_by=draw(st.none() | NAMES),
        metadata=draw(OBJECTS),
        extra=draw(OBJECTS),
    )


@given(flag=flags())
@settings(max_examples=60, deadline=None)
def test_a_flag_survives_being_written(flag: Flag) -> None:
    """Through JSON text and back a flag is equal, to the type of every number and the order of its variants."""
    again = flag_of(flag.key, json.loads(json.dumps(flag_json(flag))), version=3)
    assert again == flag
    assert json.dumps(flag_json(again)) == json.dumps(flag_json(flag))
    assert again.version == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": ""}, "the key of a flag must be 1 to 200 printable"),
        ({"key": "a\nb"}, "printable"),
        ({"key": "\ud800"}, "printable"),
        ({"kind": "colour"}, "the kind of a flag is one of boolean, integer, float, string, object; found colour"),
        ({"variants": {}}, "needs 1 to 100 variants; found 0"),
        ({"variants": {"on": True, "off": 0}}, "the boolean flag ranker must be of that kind; found off = 0"),
        ({"variants": {"on": True, "off": None}}, "found off = null"),
        ({"variants": {"on": True, "off": "false"}}, 'found off = "false"'),
        ({"kind": "integer", "variants": {"on": 1, "off": True}}, "found off = true"),
        ({"kind": "integer", "variants": {"on": 1, "off": 0.5}}, "found off = 0.5"),
        ({"kind": "integer", "variants": {"on": 1, "off": 2**53}}, "must lie within ±9,007,199,254,740,991"),
        ({"kind": "float", "variants": {"on": 1.5, "off": float("nan")}}, "finite number; found nan"),
        ({"kind": "object", "variants": {"on": {"x": {1}}, "off": {}}}, "must be plain JSON"),
        ({"kind": "object", "variants": {"on": {"x": "y" * 70_000}, "off": {}}}, "may take 65,536 characters"),
        ({"default_variant": "maybe"}, "the default variant of flag ranker must be one of its variants; found maybe"),
        ({"safe_variant": None}, "the safe variant of flag ranker must be one of its variants"),
        ({"split": Split(shares=())}, "must sum to 1..2,147,483,647; found 0"),
        ({"split": Split(shares=(Share(variant="no", weight=1),))}, "a variant of the percentage"),
        ({"split": Split(shares=(Share(variant="on", weight=-1),))}, "a whole number of at least 0; found -1"),
        ({"split": Split(shares=(Share(variant="on", weight=LARGEST_WEIGHT_SUM + 1),))}, "must sum to"),
        ({"split": Split(shares=(Share(variant="on", weight=1),)), "rules": {}}, "either a percentage or rules"),
        ({"split": Split(shares=(Share(variant="on", weight=1),), hash_key="x", form="pair")}, "flag ranker itself"),
        ({"owner": "a\nb"}, "the owner of flag ranker is one line"),
        ({"description": "x" * 2001}, "at most 2,000 characters"),
        ({"rules": []}, "the rules of flag ranker must be a JSON object; found list"),
        ({"is_enabled": 1}, "is enabled or not"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_flag_is_refused(flag: Flag, changes: dict[str, Any], message: str) -> None:
    """Values of another kind, unknown variants and broken weights are refused by name."""
    with pytest.raises(FlagError) as refusal:
        replace(flag, **changes)
    assert message in str(refusal.value)


def test_a_percentage_puts_the_growing_variant_first(flag: Flag) -> None:
    """Weights are whole thousandths of a percent, the growing variant first and the rest to the default."""
    grown = flag.with_percent(37.5)
    assert grown.split == Split(shares=(Share(variant="on", weight=37_500), Share(variant="off", weight=62_500)))
    assert (grown.percent, grown.treatment) == (37.5, "on")
    assert (flag.percent, flag.treatment) == (None, None)
    assert grown.with_percent(100).percent == 100
    assert grown.with_percent(0).treatment == "on"  # who grows is not forgotten at 0


def test_a_percentage_among_several_variants_needs_a_name(dim_flag: Flag) -> None:
    """With two unsafe variants the growing one must be named; the others get the default, or the safe one."""
    with pytest.raises(FlagError, match="needs the name of the variant that grows; found variants full, half, quarter"):
        dim_flag.with_percent(5)
    shares = [dim_flag.with_percent(5, variant=name).split for name in ("quarter", "half", "full")]
    assert [[share.variant for share in split.shares] for split in shares if split] == [
        ["quarter", "half"],
        ["half", "full"],
        ["full", "half"],
    ]
    with pytest.raises(FlagError, match="the variant that grows of flag dims must be one of its variants; found third"):
        dim_flag.with_percent(5, variant="third")


def test_a_percentage_needs_somewhere_for_the_others(flag: Flag) -> None:
    """When what grows is default and safe alike, nothing is left for the other users."""
    with pytest.raises(FlagError, match="needs a second variant for the others"):
        flag.with_percent(5, variant="off")


@pytest.mark.parametrize("percent", [-0.001, 100.001, float("nan"), float("inf"), "5", True, None])
def test_percentages_out_of_range_are_refused(flag: Flag, percent: Any) -> None:
    """A percentage is a number from 0 to 100."""
    with pytest.raises(ParameterError, match="a percentage must be"):
        flag.with_percent(percent)


def test_a_percentage_keeps_its_hash_key_and_ends_rules(flag: Flag) -> None:
    """The key that users are bucketed by stays until another is given; rules make room for the percentage."""
    hashed = flag.with_percent(5, hash_key="ramp-2026")
    assert hashed.with_percent(50).split == replace(hashed, split=hashed.split).with_percent(50).split
    assert hashed.with_percent(50).split.hash_key == "ramp-2026"
    ruled = replace(flag, rules={"if": [True, "on", "off"]})
    assert ruled.with_percent(5).rules is None


@pytest.mark.parametrize("document", [{}, {"kind": "boolean"}, {"split": 5}, None])
def test_a_record_of_another_form_is_refused(document: Any) -> None:
    """A stored flag that this version does not know says so, instead of failing somewhere else."""
    with pytest.raises(FlagError, match="stored flag x must be of a form this version knows"):
        flag_of("x", document)
