"""Flags as flagd writes them: what clients are given, and the whole definitions for another flagd.

What clients are given holds nothing that one of them refuses: openfeature-provider-flagd drops a whole file, and with
it a kill switch, for one unknown property of one flag or one nested piece of metadata. References to shared evaluators
are written out, because that client replaces them in the text and fails on those with a backslash.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.errors import FlagError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.flags.model import Flag, Split
    from engine.workspace import JsonValue

SCHEMA = "https://flagd.dev/schema/v0/flags.json"
EVALUATORS = "$evaluators"
REFERENCE = "$ref"
DIGEST = "contentSha256"
FLAG_SET = "flagSetId"
OF_THE_MOMENT = frozenset({"auditSeq", "auditHash", DIGEST})
"""Metadata of a flag file that says when it was written, not what the flags are."""

# A default of "" makes a missing user id the same as an empty one in every client: they hash "null" otherwise.
USER_ID: dict[str, JsonValue] = {"var": ["targetingKey", ""]}
FLAG_KEY: dict[str, JsonValue] = {"var": "$flagd.flagKey"}

_MOST_NODES = 20_000
_STATES = {True: "ENABLED", False: "DISABLED"}


@dataclass(frozen=True, kw_only=True)
class FileParts:
    """What an imported flag file holds beside its flags: shared evaluators, metadata, and parts unknown here."""

    evaluators: Mapping[str, JsonValue] = field(default_factory=dict)
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)
    extra: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Of which workspace a flag file is, and which audit event was the newest when it was written."""

    workspace_id: str
    audit_seq: int
    audit_hash: str


def targeting_of(split: Split) -> dict[str, JsonValue]:
    """Return flagd's ``fractional`` rule for a split."""
    shares: list[JsonValue] = [[share.variant, share.weight] for share in split.shares]
    if split.form == "pair":
        return {"fractional": shares}
    key: JsonValue = FLAG_KEY if split.hash_key is None else split.hash_key
    return {"fractional": [{"cat": [key, USER_ID]}, *shares]}


def live_document(flags: Iterable[Flag], parts: FileParts, *, is_killed: bool, moment: Moment) -> dict[str, JsonValue]:
    """Return the flag file that clients read.

    While the kill switch is on every flag is enabled, has no targeting, and its default is the safe variant: a flag
    that is disabled in the file would make clients fall back on what their own code says.
    """
    metadata = _plain_metadata(parts.metadata) | {
        FLAG_SET: moment.workspace_id,
        "isKilled": is_killed,
        "auditSeq": moment.audit_seq,
        "auditHash": moment.audit_hash,
    }
    document: dict[str, JsonValue] = {
        "$schema": SCHEMA,
        "flags": {flag.key: live_flag(flag, parts, is_killed=is_killed) for flag in flags},
        "metadata": metadata,
    }
    metadata[DIGEST] = content_sha256(document)
    return document


def live_flag(flag: Flag, parts: FileParts, *, is_killed: bool) -> dict[str, JsonValue]:
    """Return one flag as clients read it."""
    live: dict[str, JsonValue] = {
        "state": "ENABLED" if is_killed else _STATES[flag.is_enabled],
        "variants": dict(flag.variants),
        "defaultVariant": flag.safe_variant if is_killed else flag.default_variant,
    }
    if flag.split is not None and not is_killed:
        live["targeting"] = targeting_of(flag.split)
    elif flag.rules and not is_killed:
        live["targeting"] = expanded(flag.rules, parts.evaluators)
    live["metadata"] = _plain_metadata(flag.metadata) | _own_metadata(flag) | {"version": str(flag.version)}
    return live


def definitions_document(flags: Iterable[Flag], parts: FileParts) -> dict[str, JsonValue]:
    """Return every flag as it is defined, whatever the kill switch says, with all that an import brought along."""
    document: dict[str, JsonValue] = {"$schema": SCHEMA, **parts.extra}
    document["flags"] = {flag.key: _definition(flag) for flag in flags}
    if parts.evaluators:
        document[EVALUATORS] = dict(parts.evaluators)
    if parts.metadata:
        document["metadata"] = dict(parts.metadata)
    return document


def _definition(flag: Flag) -> dict[str, JsonValue]:
    definition: dict[str, JsonValue] = dict(flag.extra)
    definition |= {
        "state": _STATES[flag.is_enabled],
        "variants": dict(flag.variants),
        "defaultVariant": flag.default_variant,
    }
    if flag.split is not None:
        definition["targeting"] = targeting_of(flag.split)
    elif flag.rules is not None:
        definition["targeting"] = dict(flag.rules)
    definition["metadata"] = {**flag.metadata, **_own_metadata(flag)}
    return definition


def expanded(rule: Mapping[str, JsonValue], evaluators: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return `rule` with every ``{"$ref": name}`` replaced by that evaluator.

    Raises FlagError when there is no such evaluator, one leads back to itself, or the whole grows beyond
    `_MOST_NODES` values: a few evaluators that name one another twice each would fill any memory.
    """
    written: dict[str, JsonValue] = _Expansion(evaluators).of(rule, ())
    return written


class _Expansion:
    def __init__(self, evaluators: Mapping[str, JsonValue]) -> None:
        self._evaluators = evaluators
        self._n_nodes = 0

    def of(self, rule: Any, within: tuple[str, ...]) -> Any:
        self._n_nodes += 1
        if self._n_nodes > _MOST_NODES:
            raise FlagError(f"a rule with its evaluators may hold {_MOST_NODES:,} values", found="more")
        if isinstance(rule, list):
            return [self.of(item, within) for item in rule]
        if not isinstance(rule, dict):
            return rule
        name = rule.get(REFERENCE) if len(rule) == 1 else None
        if not isinstance(name, str):
            return {key: self.of(item, within) for key, item in rule.items()}
        if name not in self._evaluators:
            raise FlagError("a rule refers to an evaluator that must be in the same file", found=name)
        if name in within:
            raise FlagError("an evaluator must not lead back to itself", found=" -> ".join((*within, name)))
        return self.of(self._evaluators[name], (*within, name))


def content_sha256(document: Mapping[str, Any]) -> str:
    """Return the digest of a flag file, but for the digest itself."""
    metadata = {key: value for key, value in document["metadata"].items() if key != DIGEST}
    text = json.dumps({**document, "metadata": metadata}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def file_text(document: Mapping[str, JsonValue]) -> str:
    """Return `document` as it is written: ASCII, because clients open the file in whatever encoding they have."""
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def _own_metadata(flag: Flag) -> dict[str, JsonValue]:
    own: dict[str, JsonValue] = {"safeVariant": flag.safe_variant}
    return own | {name: getattr(flag, name) for name in ("owner", "description") if getattr(flag, name)}


def _plain_metadata(metadata: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {key: value for key, value in metadata.items() if key and isinstance(value, str | int | float)}
