"""Kubernetes manifests as text: plain values to YAML, names checked, strings quoted so that none of them is syntax."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, TypeAlias, Union

from engine.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.rollout.schedule import Schedule

# Evaluated at run time, so the recursion needs the old spelling until 3.12's `type` statement may be used.
_Scalar: TypeAlias = str | int | float | bool
Manifest: TypeAlias = Union["Mapping[str, Manifest]", "Sequence[Manifest]", _Scalar]  # | cannot join a string

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NOT_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})  # to a parser of YAML 1.1
_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")


def check_label(name: str, what: str, *, longest: int = 63) -> str:
    """Return `name` when it is a DNS label (RFC 1123), as names in Kubernetes are; raise `ParameterError` otherwise."""
    if not isinstance(name, str) or not _LABEL.fullmatch(name) or len(name) > longest:
        raise ParameterError(
            f"{what} must be a DNS label: lower-case letters, digits and hyphens, at most {longest} characters",
            found=repr(name),
            hint="Such as search-api",
        )
    return name


def whole_percents(schedule: Schedule, tool: str) -> tuple[int, ...]:
    """Return the shares of every stage, the holdback taken off, as the whole percents that `tool` can set.

    Raises
    ------
    ParameterError
        When one is not whole.
    """
    shares = [schedule.share_percent(at) for at in range(len(schedule.stages))]
    for share in shares:
        if abs(share - round(share)) > 1e-9 or round(share) < 1:
            hint = "Choose whole percents for stages and holdback, or ramp by the flag file, which goes down to 0.001 %"
            raise ParameterError(f"{tool} sets whole percents only", found=f"{share:g} %", hint=hint)
    return tuple(round(share) for share in shares)


def documents(parts: Sequence[Mapping[str, Manifest]], *, comments: Sequence[str]) -> str:
    """Return YAML of several documents, `comments` on top."""
    head = "".join(f"# {comment}\n" if comment else "#\n" for comment in comments)
    return head + "---\n".join(_mapping(part, 0) for part in parts)


def _mapping(content: Mapping[str, Manifest], indent: int) -> str:
    return "".join(f"{' ' * indent}{_key(key)}:{_value(value, indent)}" for key, value in content.items())


def _value(value: Manifest, indent: int) -> str:
    """Return what follows a colon or a hyphen, with its line end."""
    if isinstance(value, str) and "\n" in value:
        return f" |-\n{_block(value, indent + 2)}"
    if isinstance(value, str | bool | int | float):
        return f" {_scalar(value)}\n"
    if not value:
        return " {}\n" if hasattr(value, "keys") else " []\n"
    if hasattr(value, "keys"):
        return "\n" + _mapping(value, indent + 2)  # type: ignore[arg-type]  # told by its keys
    return "\n" + "".join(f"{' ' * (indent + 2)}-{_item(item, indent + 2)}" for item in value)


def _item(item: Manifest, indent: int) -> str:
    if hasattr(item, "keys") and item:
        return " " + _mapping(item, indent + 2).removeprefix(" " * (indent + 2))  # type: ignore[arg-type]  # told by its keys
    return _value(item, indent)


def _block(text: str, indent: int) -> str:
    return "".join(f"{' ' * indent}{line}".rstrip() + "\n" for line in text.split("\n"))


def _scalar(value: str | float | bool) -> str:
    # JSON is YAML, and its quotes keep "on", "1e3" or "a: b" the strings that they are.
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    is_plain = _PLAIN_KEY.fullmatch(key) and key.lower() not in _NOT_TEXT
    return key if is_plain else json.dumps(key, ensure_ascii=False)
