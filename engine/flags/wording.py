"""What a flag serves, in a few words: the same in the shell and in the browser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.errors import printable

if TYPE_CHECKING:
    from engine.flags.model import Flag

_LONGEST_VALUE = 80


def serves(flag: Flag, *, is_killed: bool) -> str:
    """Return who gets which variant of `flag` now.

    >>> from engine.flags.standard import STANDARD_FLAGS
    >>> serves(STANDARD_FLAGS[0].with_percent(5), is_killed=False)
    '5 % on, 95 % off'
    >>> serves(STANDARD_FLAGS[1], is_killed=True)
    'everybody full = 3072 (kill switch)'
    """
    if is_killed:
        return f"everybody {named(flag, flag.safe_variant)} (kill switch)"
    if not flag.is_enabled:
        return "disabled: the caller's own default"
    if flag.split is not None:
        total = flag.split.total
        whole = next((share for share in flag.split.shares if share.weight == total), None)
        if whole is not None:
            return f"everybody {named(flag, whole.variant)}"
        return ", ".join(
            f"{100 * share.weight / total:.6g} % {named(flag, share.variant)}" for share in flag.split.shares
        )
    if flag.rules:
        return "by rules that were imported"
    if flag.default_variant is None:
        return "the caller's own default"
    return f"everybody {named(flag, flag.default_variant)}"


def named(flag: Flag, variant: str) -> str:
    """Return a variant with its value where the name does not tell it."""
    value = json.dumps(flag.variants[variant])
    if flag.kind == "boolean" or value.strip('"') == variant:
        return variant
    return f"{variant} = {printable(value, longest=_LONGEST_VALUE)}"
