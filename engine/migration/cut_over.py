"""Send the searches of all users to the target store, and back, through the flag that every search asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import FlagError

if TYPE_CHECKING:
    from engine.flags import Flag, FlagStore

FLAG = "enable_new_index"
CUT_OVER_WORD = "cut over"
CUT_BACK_WORD = "cut back"


def serves_new(flags: FlagStore, user_id: str) -> bool:
    """Tell whether the target store may answer `user_id`; not while the flag is away, off or at its safe variant."""
    return flags.evaluate(FLAG, user_id, default=False).value is True


def cut_over(flags: FlagStore, *, expected_version: int, typed: str, actor: str, reason: str) -> Flag:
    """Let the target store answer every user; `typed` must be the words "cut over".

    Raises
    ------
    FlagError
        For other words, without a reason, while the kill switch is on or a rollout drives the flag.
    ConflictError
        When somebody changed the flag since `expected_version`.
    """
    _check_words(typed, CUT_OVER_WORD, reason)
    if flags.is_killed is not None:
        raise FlagError(
            "searches cannot be cut over while the kill switch is on",
            hint="Restore the flags first, on the page Feature flags",
        )
    return _set(flags, 100.0, expected_version=expected_version, actor=actor, reason=reason, action=CUT_OVER_WORD)


def cut_back(flags: FlagStore, *, expected_version: int, typed: str, actor: str, reason: str) -> Flag:
    """Let the source store answer every user again; `typed` must be the words "cut back".

    While the kill switch is on everybody has the source store already, and what is set here counts once it is off.
    Raises as `cut_over` does.
    """
    _check_words(typed, CUT_BACK_WORD, reason)
    return _set(flags, 0.0, expected_version=expected_version, actor=actor, reason=reason, action=CUT_BACK_WORD)


def _check_words(typed: str, word: str, reason: str) -> None:
    if typed.strip() != word:
        raise FlagError(f'this takes the typed words "{word}"', found=typed or "nothing")
    if not reason.strip():
        raise FlagError(f"to {word} takes a reason", hint="Say why; it goes into the audit log")


def _set(flags: FlagStore, percent: float, *, expected_version: int, actor: str, reason: str, action: str) -> Flag:
    flag = flags.flag(FLAG).with_percent(percent)
    return flags.set(flag, expected_version=expected_version, actor=actor, reason=reason, action=action)
