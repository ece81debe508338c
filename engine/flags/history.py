"""Audit events of flags in words: what changed from what to what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.errors import printable

if TYPE_CHECKING:
    from engine.workspace import AuditEvent, JsonValue

_LONGEST_VALUE = 60


def change_sentence(event: AuditEvent) -> str:
    """Return what an event changed, part by part, empty when it changed nothing.

    >>> from types import SimpleNamespace
    >>> before, after = {"owner": "anna", "safe_variant": "off"}, {"owner": "bob", "safe_variant": "off"}
    >>> change_sentence(SimpleNamespace(before=before, after=after))
    'owner anna -> bob'
    """
    before, after = event.before, event.after
    if not isinstance(before, dict) or not isinstance(after, dict) or "is_on" in after:
        return ""  # nothing to compare; and of the kill switch the action says it
    names = [*after, *(name for name in before if name not in after)]
    changed = [name for name in names if before.get(name) != after.get(name)]
    return ", ".join(f"{_spelt(name)} {_shown(before.get(name))} -> {_shown(after.get(name))}" for name in changed)


def _spelt(name: str) -> str:
    return "percentage" if name == "split" else name.replace("_", " ").removeprefix("is ")


def _shown(value: JsonValue) -> str:
    if isinstance(value, dict) and "shares" in value:
        return _split_shown(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "":
        return "none"
    text = value if isinstance(value, str) else json.dumps(value)
    return printable(text, longest=_LONGEST_VALUE)


def _split_shown(split: dict[str, Any]) -> str:
    total = sum(weight for _, weight in split["shares"])
    return " / ".join(f"{printable(name)} {100 * weight / total:.6g} %" for name, weight in split["shares"])
