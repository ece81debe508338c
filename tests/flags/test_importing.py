"""Flags of other flagd files: understood where they can be, kept where not, refused where they are broken."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import ConflictError, FlagError
from engine.flags import Flag, FlagSnapshot, FlagStore, Share, Split, file_text, parse_flagd, read_flagd
from engine.flags.flagd_format import (
    FLAG_KEY,
    USER_ID,
    FileParts,
    Moment,
    definitions_document,
    expanded,
    live_document,
)
from engine.flags.model import flag_json

if TYPE_CHECKING:
    from pathlib import Path

ON_OFF = {"on": True, "off": False}
WORDS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=6)
VALUES = st.integers(-9, 9) | st.text(max_size=4) | st.lists(st.booleans(), max_size=2)

# The shape of flagd's own example: every kind, a shared evaluator, a fractional rule by another attribute.
EXAMPLE: dict[str, Any] = {
    "$schema": "https://flagd.dev/schema/v0/flags.json",
    "metadata": {"team": "search", "nested": {"kept": [1]}},
    "note": "somebody's own part",
    "flags": {
        "bool": {"state": "ENABLED", "variants": ON_OFF, "defaultVariant": "on", "metadata": {"version": "v2"}},
        "text": {"state": "DISABLED", "variants": {"a": "x", "b": "y"}, "defaultVariant": "a", "source": "here"},
        "ratio": {"state": "ENABLED", "variants": {"one": 1, "more": 1.23}, "defaultVariant": "one"},
        "size": {"state": "ENABLED", "variants": {"one": 1, "two": 2}, "defaultVariant": None},
        "object": {"state": "ENABLED", "variants": {"a": {"k": [1]}, "b": {}}, "defaultVariant": "a"},
        "rule": {
            "state": "ENABLED",
            "variants": {"red": "#F00", "blue": "#00F"},
            "defaultVariant": "red",
            "targeting": {
                "if": [{"$ref": "faas"}, {"fractional": [{"var": "email"}, ["red", 25], ["blue", 75]]}, None]
            },
        },
        "short": {
            "state": "ENABLED",
            "variants": ON_OFF,
            "defaultVariant": "off",
            "targeting": {"fractional": [["on", 5], ["off"]]},
        },
    },
    "$evaluators": {"faas": {"in": ["@faas.com", {"var": ["email"]}]}, "unused": {"==": [1, 1]}},
}


def _one(**parts: Any) -> dict[str, Any]:
    entry = {"state": "ENABLED", "variants": ON_OFF, "defaultVariant": "off", **parts}
    return {"flags": {"f": entry}}


def _parsed(document: Any, **given: Any) -> Any:
    return parse_flagd(json.dumps(document), **given)


def test_every_part_of_a_file_is_understood_or_kept() -> None:
    """Kinds, states, percentages and metadata are read; rules, evaluators and unknown parts stay as they are."""
    imported = _parsed(EXAMPLE, safe_variants={"size": "two"})
    by_key = {flag.key: flag for flag in imported.flags}
    assert {key: flag.kind for key, flag in by_key.items()} == {
        "bool": "boolean",
        "text": "string",
        "ratio": "float",
        "size": "integer",
        "object": "object",
        "rule": "string",
        "short": "boolean",
    }
    assert not by_key["text"].is_enabled
    assert (by_key["size"].default_variant, by_key["size"].safe_variant) == (None, "two")
    shares = (Share(variant="on", weight=5), Share(variant="off", weight=1))
    assert by_key["short"].split == Split(shares=shares, form="pair")
    assert by_key["rule"].rules == EXAMPLE["flags"]["rule"]["targeting"]
    assert by_key["text"].extra == {"source": "here"}
    assert by_key["bool"].metadata == {"version": "v2"}
    assert imported.parts.evaluators == EXAMPLE["$evaluators"]
    assert (imported.parts.metadata, imported.parts.extra) == (EXAMPLE["metadata"], {"note": "somebody's own part"})
    notes = " | ".join(imported.notes)
    for said in ("bool: its safe variant is taken to be on", "rule: its rules go beyond", "text: source is kept"):
        assert said in notes
    assert "size: its safe" not in notes


def test_definitions_give_the_file_back() -> None:
    """What was imported is exported with nothing lost: only our own safe variant is added to the metadata."""
    imported = _parsed(EXAMPLE, safe_variants={"size": "two"})
    document: Any = definitions_document(imported.flags, imported.parts)
    for key, entry in EXAMPLE["flags"].items():
        exported = document["flags"][key]
        metadata = exported.pop("metadata")
        assert metadata.pop("safeVariant") in entry["variants"]
        assert metadata == entry.get("metadata", {})
        weighted = {**entry, "targeting": {"fractional": [["on", 5], ["off", 1]]}} if key == "short" else entry
        assert exported == {name: value for name, value in weighted.items() if name != "metadata"}
    assert {name: document[name] for name in document if name != "flags"} == {
        name: EXAMPLE[name] for name in EXAMPLE if name != "flags"
    }


@st.composite
def _flags(draw: Any) -> Flag:
    variants = draw(st.dictionaries(WORDS, st.text(max_size=4), min_size=1, max_size=3))
    names = st.sampled_from(sorted(variants))
    shares = st.lists(st.builds(Share, variant=names, weight=st.integers(0, 100_000)), min_size=1, max_size=3)
    splits = st.builds(Split, shares=shares.map(tuple), hash_key=st.none() | WORDS)
    pairs = st.builds(Split, shares=shares.map(tuple), form=st.just("pair"))
    split = draw(st.none() | (splits | pairs).filter(lambda one: one.total > 0))
    rules = st.none() | st.dictionaries(WORDS, VALUES, min_size=1, max_size=2)
    return Flag(
        key=draw(WORDS),
        kind="string",
        variants=variants,
        default_variant=draw(st.none() | names),
        safe_variant=draw(names),
        split=split,
        rules=None if split else draw(rules),
        owner=draw(st.just("") | WORDS),
        description=draw(st.just("") | WORDS),
        is_enabled=draw(st.booleans()),
        metadata=draw(st.dictionaries(WORDS.map("m-".__add__), VALUES, max_size=2)),
        extra=draw(st.dictionaries(WORDS.map("x-".__add__), VALUES, max_size=2)),
    )


@given(
    flags=st.lists(_flags(), max_size=3, unique_by=lambda one: one.key),
    metadata=st.dictionaries(WORDS, VALUES, max_size=2),
    extra=st.dictionaries(WORDS.map("x-".__add__), VALUES, max_size=2),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_export_imports_as_what_it_was(flags: list[Flag], metadata: dict[str, Any], extra: dict[str, Any]) -> None:
    """Definitions written and read again are the same flags and parts; the live file gives the same flags too."""
    parts = FileParts(metadata=metadata, extra=extra, evaluators={"e": {"==": [1, 1]}})
    again = parse_flagd(file_text(definitions_document(flags, parts)))
    assert [json.dumps(flag_json(flag)) for flag in again.flags] == [json.dumps(flag_json(flag)) for flag in flags]
    assert again.parts == parts
    moment = Moment(workspace_id="w", audit_seq=1, audit_hash="h")
    live = parse_flagd(file_text(live_document(flags, parts, is_killed=False, moment=moment)))
    plain = [replace(flag, extra={}, metadata=_scalars(flag.metadata)) for flag in flags]
    assert list(live.flags) == plain


def _scalars(metadata: Any) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if not isinstance(value, list)}


def test_clients_are_given_nothing_that_they_refuse() -> None:
    """The live file of an import holds no unknown part, no nested metadata and no reference; flagd reads it."""
    core = pytest.importorskip("openfeature.contrib.tools.flagd.core").FlagdCore()
    imported = _parsed(EXAMPLE, safe_variants={"size": "one"})
    moment = Moment(workspace_id="w", audit_seq=1, audit_hash="h")
    document: Any = live_document(imported.flags, imported.parts, is_killed=False, moment=moment)
    assert "$ref" not in json.dumps(document)
    core.set_flags(file_text(document))
    assert core.resolve_string_value("text", "mine").reason == "DISABLED"
    assert core.resolve_integer_value("size", 7).value == 7


@pytest.mark.parametrize("user_id", [USER_ID, {"var": "targetingKey"}, {"var": ["targetingKey"]}])
@pytest.mark.parametrize(
    ("key", "hash_key"), [(FLAG_KEY, None), ({"var": ["$flagd.flagKey"]}, None), ("ramp 1", "ramp 1")]
)
def test_spellings_of_a_percentage_are_understood(key: Any, hash_key: str | None, user_id: Any) -> None:
    """However the flag's key and the user's id are joined, it is a percentage with the same weights."""
    rule = {"fractional": [{"cat": [key, user_id]}, ["on", 5000], ["off", 95_000]]}
    flag = _parsed(_one(targeting=rule)).flags[0]
    assert flag.split == Split(
        shares=(Share(variant="on", weight=5000), Share(variant="off", weight=95_000)), hash_key=hash_key
    )
    assert (flag.percent, flag.rules) == (5.0, None)


@pytest.mark.parametrize(
    "rule",
    [
        {"fractional": [{"var": "email"}, ["on", 1], ["off", 1]]},
        {"fractional": [{"cat": [{"var": "targetingKey"}, FLAG_KEY]}, ["on", 1]]},
        {"fractional": [["on", -1], ["off", 1]]},
        {"fractional": [["on", 0.5], ["off", 1]]},
        {"fractional": [["on", {"var": "weight"}], ["off", 1]]},
        {"fractional": [["on", 1], [{"var": "which"}, 1]]},
        {"fractional": [["on", 0]]},
        {"fractional": ["on", "off"]},
        {"if": [True, "on", "off"]},
        {"fractional": [["on", 1]], "if": [True, "on"]},
    ],
)
def test_other_rules_are_kept_word_for_word(rule: dict[str, Any]) -> None:
    """What is not exactly a percentage by user id is no percentage, and stays as it is."""
    flag = _parsed(_one(targeting=rule)).flags[0]
    assert (flag.split, flag.rules) == (None, rule)


def test_a_list_of_flags_is_taken_too() -> None:
    """Flags that name their key in a list are the flags of a map; two of one key are refused."""
    entry = {"key": "f", **_one()["flags"]["f"]}
    assert _parsed({"flags": [entry]}).flags == _parsed(_one()).flags
    for flags in ([entry, entry], [{"state": "ENABLED"}], ["f"]):
        with pytest.raises(FlagError, match="needs a key of its own"):
            _parsed({"flags": flags})


def test_a_safe_variant_is_found_or_asked_for() -> None:
    """A choice of the caller wins over metadata, that over the default; without any, a boolean is safe when false."""
    assert _parsed(_one(defaultVariant="on")).flags[0].safe_variant == "on"
    exported = _one(defaultVariant="on", metadata={"safeVariant": "off"})
    assert _parsed(exported).flags[0].safe_variant == "off"
    assert _parsed(exported, safe_variants={"f": "on"}).flags[0].safe_variant == "on"
    assert _parsed(_one(defaultVariant=None)).flags[0].safe_variant == "off"
    with pytest.raises(FlagError, match="which of its variants is safe must be said.*Name it: --safe f=VARIANT"):
        _parsed(_one(defaultVariant="", variants={"a": 1, "b": 2}))
    with pytest.raises(FlagError, match="a flag that is not in the flag file; found g"):
        _parsed(_one(), safe_variants={"g": "on"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a flagd file in JSON"),
        ("flags:\n  f: {}\n", "Convert a YAML file to JSON first"),
        ('{"flags": ', "must be a flagd file in JSON"),
        (b"\xff\xfe", "must be a flagd file in JSON"),
        ("[" * 100_000, "must be a flagd file in JSON"),
        ("[]", "must be a JSON object with flags; found list"),
        ("{}", "must be a JSON object with flags"),
        ('{"flags": {"f": {}, "f": {}}}', "f twice in one object"),
        ('{"flags": {"f": NaN}}', "NaN is no JSON"),
        ('{"flags": 5}', "the flags of the flag file must be a JSON object; found int"),
        ('{"flags": {"f": 5}}', "flag f of the flag file must be a JSON object"),
        ('{"flags": {}, "metadata": []}', "the metadata of the flag file must be a JSON object; found list"),
        ('{"flags": {}, "$evaluators": []}', "the evaluators of the flag file"),
        (json.dumps(_one(state="OFF")), "the state of flag f is ENABLED or DISABLED; found OFF"),
        (json.dumps(_one(variants={})), "must be booleans, numbers, strings or objects, all of one kind; found none"),
        (json.dumps(_one(variants={"on": True, "off": 0})), "all of one kind; found boolean, integer"),
        (json.dumps(_one(variants={"on": True, "off": None})), "all of one kind; found None, boolean"),
        (json.dumps(_one(defaultVariant="no")), "the default variant of flag f must be one of its variants; found no"),
        (json.dumps(_one(defaultVariant=5)), "a default variant is the name of one; found 5"),
        (json.dumps(_one(targeting=[1])), "the targeting of flag f must be a JSON object"),
        (json.dumps(_one(targeting={"fractional": [["no", 1]]})), "a variant of the percentage of flag f"),
        (json.dumps(_one(targeting={"if": [{"$ref": "gone"}, "on"]})), "must be in the same file; found gone"),
        (json.dumps(_one(metadata=[1])), "the metadata of flag f must be a JSON object"),
        (json.dumps({"flags": {" f": _one()["flags"]["f"]}}), "the key of a flag must be 1 to 200 printable"),
    ],
)  # fmt: skip
def test_broken_files_are_refused(text: str | bytes, message: str) -> None:
    """What is no flagd file, or contradicts itself, is refused with the flag and the part that is wrong."""
    with pytest.raises(FlagError) as refusal:
        parse_flagd(text)
    assert message in str(refusal.value)


@given(
    entry=st.dictionaries(
        st.sampled_from(["state", "variants", "defaultVariant", "targeting", "metadata", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.sampled_from(["ENABLED", "on", "fractional", "cat"]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["on", "fractional", "cat", "$ref", "var", ""]), inner, max_size=2)
            ),
            max_leaves=8,
        ),
    )
)
@settings(max_examples=150, deadline=None)
def test_any_flag_is_read_or_refused(entry: dict[str, Any]) -> None:
    """Whatever stands in a flag, reading it gives a flag that can be written and evaluated, or a FlagError."""
    try:
        imported = _parsed(_one(**entry))
    except FlagError:
        return
    moment = Moment(workspace_id="w", audit_seq=1, audit_hash="h")
    for is_killed in (False, True):
        json.loads(file_text(live_document(imported.flags, imported.parts, is_killed=is_killed, moment=moment)))
    found = FlagSnapshot(imported.flags, imported.parts, killed=None, audit_seq=1).evaluate("f", "anna")
    assert found.variant in {*imported.flags[0].variants, None}


def test_evaluators_that_never_end_are_refused() -> None:
    """An evaluator that leads back to itself, and a few that would grow beyond any memory, are stopped."""
    ring = {"a": {"!": {"$ref": "b"}}, "b": {"!": {"$ref": "a"}}}
    with pytest.raises(FlagError, match="must not lead back to itself; found a -> b -> a"):
        expanded({"$ref": "a"}, ring)
    bomb: dict[str, Any] = {f"e{n}": {"and": [{"$ref": f"e{n + 1}"}] * 10} for n in range(12)}
    with pytest.raises(FlagError, match="may hold 20,000 values"):
        expanded({"$ref": "e0"}, {**bomb, "e12": {"==": [1, 1]}})


def test_a_file_must_be_readable(tmp_path: Path) -> None:
    """A missing file, a folder and a NUL in the name are one sentence."""
    for path in (tmp_path / "missing.json", tmp_path, tmp_path / "nul\0"):
        with pytest.raises(FlagError, match="the flag file must be readable"):
            read_flagd(path)


def test_an_import_is_all_or_nothing_and_says_what_it_did(store: FlagStore) -> None:
    """New flags are created, changed ones changed, the same ones left; a dry run only says so."""
    imported = _parsed(EXAMPLE, safe_variants={"size": "two"})
    dry = store.import_flags(imported, actor="anna", dry_run=True)
    assert len(dry.created) == 7
    assert len(store.flags()) == 3
    assert store.import_flags(imported, actor="anna", reason="from flagd") == dry
    head = store.history(limit=1)[0].seq
    again = store.import_flags(imported, actor="anna")
    assert (again.created, again.changed, len(again.unchanged)) == ((), (), 7)
    assert store.history(limit=1)[0].seq == head
    changed = _parsed({**EXAMPLE, "flags": {"bool": {**EXAMPLE["flags"]["bool"], "defaultVariant": "off"}}})
    assert store.import_flags(changed, actor="anna").changed == ("bool",)
    assert store.flag("text").extra == {"source": "here"}  # flags that are not in the file stay
    assert store.definitions()["note"] == "somebody's own part"


def test_an_import_that_fails_changes_nothing(store: FlagStore) -> None:
    """A flag of another kind, or an evaluator that others use, stops the whole import, and a dry run says so too."""
    store.import_flags(_parsed(EXAMPLE, safe_variants={"size": "two"}), actor="anna")
    before = (store.flags(), store.path.read_text())
    wrong_kind = {"a new one": EXAMPLE["flags"]["bool"], "use_reduced_dims": EXAMPLE["flags"]["text"]}
    for dry_run in (True, False):
        with pytest.raises(FlagError, match="the kind of flag use_reduced_dims stays boolean"):
            store.import_flags(_parsed({"flags": wrong_kind}), actor="anna", dry_run=dry_run)
    with pytest.raises(FlagError, match="must not change one that other flags use; found faas"):
        store.import_flags(_parsed({"flags": {}, "$evaluators": {"faas": {"==": [1, 2]}}}), actor="anna")
    assert (store.flags(), store.path.read_text()) == before


def test_a_file_written_while_killed_is_refused(store: FlagStore) -> None:
    """The live file of a killed workspace has lost its rules: importing it would make the kill permanent."""
    store.kill(actor="carl", typed="kill")
    with pytest.raises(FlagError, match="was written while the kill switch was on.*export --definitions"):
        read_flagd(store.path)
    assert len(parse_flagd(file_text(store.definitions())).flags) == 3


def test_an_import_keeps_who_drives_a_flag(store: FlagStore, flag: Flag) -> None:
    """A file says nothing about rollouts: a driven flag keeps its rollout, and its percentage is not the file's."""
    created = store.set(flag, expected_version=0, actor="anna")
    workspace = store._workspace
    with workspace.recording() as ledger:
        driven = replace(created.with_percent(5), driven_by="ramp")
        store.in_ledger(ledger).put(driven, expected_version=1, actor="ramp", rollout="ramp")
    same = parse_flagd(file_text(store.definitions()))
    assert "ranker" in store.import_flags(same, actor="anna").unchanged
    grown = parse_flagd(file_text(store.definitions()).replace("5000", "6000").replace("95000", "94000"))
    for dry_run in (True, False):
        with pytest.raises(FlagError, match="a rollout drives flag ranker"):
            store.import_flags(grown, actor="anna", dry_run=dry_run)
    with pytest.raises(ConflictError):
        store.remove("use_reduced_dims", expected_version=9, actor="anna")
