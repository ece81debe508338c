"""Flags from a flagd file: what this room has a model of is understood, everything else is kept as it is."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.errors import FlagError, printable
from engine.flags.flagd_format import (
    DIGEST,
    EVALUATORS,
    FLAG_KEY,
    OF_THE_MOMENT,
    USER_ID,
    FileParts,
    expanded,
)
from engine.flags.model import LARGEST_WEIGHT_SUM, Flag, Kind, Split, flag_json, kind_of, split_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.flags.writer import FlagWriter

_LARGEST_FILE = 16 << 20
_OWN_TEXTS = ("owner", "description")
_UNDERSTOOD = frozenset({"state", "variants", "defaultVariant", "targeting", "metadata"})
_OF_THE_FILE = frozenset({"flags", "metadata", EVALUATORS, "$schema"})
_USER_IDS = (USER_ID, {"var": "targetingKey"}, {"var": ["targetingKey"]})
_FLAG_KEYS = (FLAG_KEY, {"var": ["$flagd.flagKey"]})


@dataclass(frozen=True, kw_only=True)
class ImportedFlags:
    """What a flagd file holds; `notes` say in sentences what was assumed and what is kept without being understood."""

    flags: tuple[Flag, ...]
    parts: FileParts
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """The keys of the flags that an import created, changed, and found as they are."""

    created: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    notes: tuple[str, ...]


def read_flagd(path: Path, *, safe_variants: Mapping[str, str] | None = None) -> ImportedFlags:
    """Read the flagd file `path`; see `parse_flagd`. Raises FlagError, also when it cannot be read."""
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise FlagError(f"a flag file may take {_LARGEST_FILE >> 20} MiB", found=path.name)
        data = path.read_bytes()
    except OSError as error:
        raise FlagError("the flag file must be readable", found=f"{path.name}: {error.strerror}") from error
    except ValueError as error:  # a NUL in the name
        raise FlagError("the flag file must be readable", found=ascii(str(path))) from error
    return parse_flagd(data, name=path.name, safe_variants=safe_variants)


def parse_flagd(
    data: bytes | str, *, name: str = "the flag file", safe_variants: Mapping[str, str] | None = None
) -> ImportedFlags:
    """Return the flags of a flagd file in JSON.

    A flagd file knows no safe variant. It is that of `safe_variants`, or of the flag's metadata ``safeVariant`` as an
    export from here writes it, or else the default variant; a note says where it was assumed.

    Raises
    ------
    FlagError
        When the file is no flagd file, names a variant or evaluator that is not in it, or was written while the kill
        switch was on: its rules are not in it.
    """
    document = _json_object(data, name)
    metadata = _object(document.get("metadata"), f"the metadata of {name}")
    is_export = DIGEST in metadata
    if is_export and metadata.get("isKilled"):
        raise FlagError(
            f"{name} was written while the kill switch was on, so the rules of its flags are not in it",
            hint="Export the definitions instead: dimshift flags export --definitions",
        )
    ours = OF_THE_MOMENT | {"flagSetId", "isKilled"} if is_export else frozenset()
    parts = FileParts(
        evaluators=_object(document.get(EVALUATORS), f"the evaluators of {name}"),
        metadata={key: value for key, value in metadata.items() if key not in ours},
        extra={key: value for key, value in document.items() if key not in _OF_THE_FILE},
    )
    entries = _entries(document.get("flags"), name)
    safe = dict(safe_variants or {})
    if unknown := sorted(safe.keys() - entries.keys()):
        raise FlagError(f"a safe variant is given for a flag that is not in {name}", found=", ".join(unknown))
    notes: list[str] = []
    flags = tuple(
        _flag(key, entry, parts, safe=safe.get(key), is_export=is_export, notes=notes) for key, entry in entries.items()
    )
    return ImportedFlags(flags=flags, parts=parts, notes=tuple(notes))


def import_into(
    writer: FlagWriter, imported: ImportedFlags, *, actor: str, reason: str, dry_run: bool = False
) -> ImportReport:
    """Write what an import changes into `writer`, nothing with `dry_run`, and return what that is.

    Raises FlagError, with `dry_run` too, when a flag is driven by a rollout or has another kind than the present one.
    """
    created: list[str] = []
    changed: list[str] = []
    unchanged: list[str] = []
    present_parts = writer.parts or FileParts()
    parts = _joined(present_parts, imported.parts)
    if parts != present_parts and not dry_run:
        writer.put_parts(parts, actor=actor, action="import", reason=reason)
    for flag in imported.flags:
        present = writer.find(flag.key)
        if present is not None:
            flag = replace(flag, driven_by=present.driven_by)  # noqa: PLW2901  # a file cannot say who drives a flag
        if present is not None and _text(present) == _text(flag):
            unchanged.append(flag.key)
            continue
        (created if present is None else changed).append(flag.key)
        if dry_run:
            writer.check(flag)
        else:
            version = 0 if present is None else present.version
            writer.put(flag, expected_version=version, actor=actor, action="import", reason=reason)
    return ImportReport(
        created=tuple(created), changed=tuple(changed), unchanged=tuple(unchanged), notes=imported.notes
    )


def _text(flag: Flag) -> str:
    return json.dumps(flag_json(flag))  # text: 1, 1.0 and true are not the same


def _joined(present: FileParts, imported: FileParts) -> FileParts:
    for name, rule in imported.evaluators.items():
        if name in present.evaluators and json.dumps(present.evaluators[name]) != json.dumps(rule):
            raise FlagError(
                "an imported evaluator must not change one that other flags use",
                found=name,
                hint="Rename it in the file",
            )
    return FileParts(
        evaluators={**present.evaluators, **imported.evaluators},
        metadata={**present.metadata, **imported.metadata},
        extra={**present.extra, **imported.extra},
    )


def _json_object(data: bytes | str, name: str) -> dict[str, Any]:
    try:
        document = json.loads(data, object_pairs_hook=_unique, parse_constant=_refused_constant)
    except (ValueError, RecursionError) as error:
        raise FlagError(
            f"{printable(name)} must be a flagd file in JSON", found=error, hint="Convert a YAML file to JSON first"
        ) from error
    if not isinstance(document, dict) or "flags" not in document:
        raise FlagError(f"{printable(name)} must be a JSON object with flags", found=type(document).__name__)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in names if names.count(key) > 1)} twice in one object")
    return found


def _refused_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _object(value: object, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FlagError(f"{printable(what)} must be a JSON object", found=type(value).__name__)
    return value


def _entries(flags: object, name: str) -> dict[str, dict[str, Any]]:
    """Return the flags by key; flagd also takes a list of flags that name their key themselves."""
    if isinstance(flags, list):
        keys = [entry.get("key") if isinstance(entry, dict) else None for entry in flags]
        if not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
            raise FlagError(f"every flag in the list of {printable(name)} needs a key of its own")
        flags = {
            key: {part: value for part, value in entry.items() if part != "key"}
            for key, entry in zip(keys, flags, strict=True)
        }
    return {
        key: _object(entry or 0, f"flag {key} of {name}")
        for key, entry in _object(flags, f"the flags of {name}").items()
    }


def _flag(
    key: str,
    entry: dict[str, Any],
    parts: FileParts,
    *,
    safe: str | None,
    is_export: bool,
    notes: list[str],
) -> Flag:
    if entry.get("state") not in ("ENABLED", "DISABLED"):
        raise FlagError(f"the state of flag {printable(key)} is ENABLED or DISABLED", found=entry.get("state"))
    variants = _object(entry.get("variants"), f"the variants of flag {key}")
    metadata = _object(entry.get("metadata"), f"the metadata of flag {key}")
    kind, default = _kind(key, variants), _variant_name(entry.get("defaultVariant"))
    targeting = _object(entry.get("targeting"), f"the targeting of flag {key}")
    split = _split(targeting) if targeting else None
    if targeting and split is None:
        expanded(targeting, parts.evaluators)
        notes.append(f"{printable(key)}: its rules go beyond percentages, so flagd's own evaluator reads them")
    chosen = safe if safe is not None else metadata.get("safeVariant")
    if not isinstance(chosen, str):
        chosen = _assumed_safe(key, kind, variants, default)
        notes.append(f"{printable(key)}: its safe variant is taken to be {printable(chosen)}")
    own = {name: metadata[name] for name in _OWN_TEXTS if isinstance(metadata.get(name), str)}
    dropped = {"safeVariant", *own} | ({"version"} if is_export else set())
    extra = {name: value for name, value in entry.items() if name not in _UNDERSTOOD}
    if extra:
        kept = printable(", ".join(extra))
        notes.append(f"{printable(key)}: {kept} is kept for exports, because flag clients refuse such parts")
    return Flag(
        key=key,
        kind=kind,
        variants=variants,
        default_variant=default,
        safe_variant=chosen,
        split=split,
        rules=targeting if targeting and split is None else None,
        owner=own.get("owner", ""),
        description=own.get("description", ""),
        is_enabled=entry["state"] == "ENABLED",
        metadata={name: value for name, value in metadata.items() if name not in dropped},
        extra=extra,
    )


def _kind(key: str, variants: dict[str, Any]) -> Kind:
    kinds = {kind_of(value) for value in variants.values()}
    if kinds == {"integer", "float"}:
        return "float"
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind is None:
        raise FlagError(
            f"the variants of flag {printable(key)} must be booleans, numbers, strings or objects, all of one kind",
            found=", ".join(sorted(str(kind) for kind in kinds)) or "none",
        )
    return kind


def _variant_name(name: object) -> str | None:
    if isinstance(name, bool):  # flagd takes true for "true"
        return str(name).lower()
    if name is None or name == "":
        return None
    if not isinstance(name, str):
        raise FlagError("a default variant is the name of one", found=name)
    return name


def _assumed_safe(key: str, kind: Kind, variants: dict[str, Any], default: str | None) -> str:
    if default is not None:
        return default
    off = [name for name, value in variants.items() if kind == "boolean" and value is False]
    if len(off) == 1:
        return off[0]
    raise FlagError(
        f"flag {printable(key)} has no default variant, so which of its variants is safe must be said",
        found=", ".join(variants),
        hint=f"Name it: --safe {printable(key)}=VARIANT",
    )


def _split(targeting: dict[str, Any]) -> Split | None:
    """Return the split that `targeting` is, None when it is anything else."""
    arguments = targeting.get("fractional")
    if len(targeting) != 1 or not isinstance(arguments, list) or not arguments:
        return None
    hash_key, form, shares = None, "pair", arguments
    if isinstance(arguments[0], dict):
        joined = arguments[0].get("cat")
        if len(arguments[0]) != 1 or not isinstance(joined, list) or len(joined) != 2 or joined[1] not in _USER_IDS:
            return None
        if joined[0] not in _FLAG_KEYS:
            if not isinstance(joined[0], str) or not joined[0]:
                return None
            hash_key = joined[0]
        form, shares = "joined", arguments[1:]
    pairs = [_share(share) for share in shares]
    weights = [pair[1] for pair in pairs if pair is not None]
    if len(weights) < len(pairs) or not 1 <= sum(weights) <= LARGEST_WEIGHT_SUM:
        return None
    return split_of(pairs, hash_key=hash_key, form="pair" if form == "pair" else "joined")


def _share(share: object) -> tuple[str, int] | None:
    if not isinstance(share, list) or not 1 <= len(share) <= 2 or not isinstance(share[0], str):
        return None
    weight = share[1] if len(share) == 2 else 1
    is_whole = isinstance(weight, int) and not isinstance(weight, bool) and weight >= 0
    return (share[0], weight) if is_whole else None
