"""Which variant a user gets: the same answer as flagd's clients read from the flag file, from memory.

Every outcome of a flag is built once, so an evaluation is one hash and a few comparisons.
"""

from __future__ import annotations

import copy
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from engine.errors import ParameterError
from engine.experiment.assignment import hash_of
from engine.flags.flagd_rules import FlagdRules, RulesError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from engine.flags.flagd_format import FileParts
    from engine.flags.model import Flag, Split
    from engine.workspace import JsonValue

Reason = Literal["STATIC", "DEFAULT", "TARGETING_MATCH", "SPLIT", "DISABLED", "ERROR"]
"""OpenFeature's: without rules; no rule applied; a rule applied; by percentage; switched off; see the error code."""

ErrorCode = Literal[
    "FLAG_NOT_FOUND", "TYPE_MISMATCH", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "PARSE_ERROR", "GENERAL"
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What one user gets of one flag.

    `variant` is None where the caller's own default applies: on an error, for a disabled flag, and for one without a
    default variant. `value` is that default then. `version` is the flag's, 0 where there is none.
    """

    flag_key: str
    value: JsonValue
    variant: str | None
    reason: Reason
    version: int
    error_code: ErrorCode | None = None
    error_message: str | None = None
    is_killed: bool = False


@dataclass(frozen=True, kw_only=True)
class KillState:
    """Who switched everything to safe, when and why; `version` is the switch's, for whoever restores."""

    at: datetime
    actor: str
    reason: str
    version: int


@dataclass(frozen=True, kw_only=True)
class PastKill:
    """Who switched everything to safe from when to when; `restored_at` is None while it still is."""

    at: datetime
    restored_at: datetime | None
    actor: str
    reason: str


class FlagSnapshot:
    """Every flag at one moment, ready to evaluate; safe to share between threads."""

    def __init__(self, flags: Iterable[Flag], parts: FileParts, *, killed: KillState | None, audit_seq: int) -> None:
        self.flags = {flag.key: flag for flag in flags}
        self.killed = killed
        self.audit_seq = audit_seq
        rules = FlagdRules([flag for flag in self.flags.values() if flag.rules and flag.is_enabled], parts)
        self._compiled = {
            key: _Compiled(flag, rules=rules, is_killed=killed is not None) for key, flag in self.flags.items()
        }

    def evaluate(
        self,
        key: str,
        user_id: str | None = None,
        *,
        attributes: Mapping[str, JsonValue] | None = None,
        default: JsonValue = None,
    ) -> Evaluation:
        """Return what `user_id` gets of the flag `key`; never raises, an error is in the answer.

        `attributes` are what rules of imported flags may ask about. `default` becomes the value where the flag has
        none to give.
        """
        compiled = self._compiled.get(key)
        if compiled is None:
            return _failure(key, 0, default, "FLAG_NOT_FOUND", f"there is no flag {key}")
        return compiled.evaluate(user_id, attributes, default)


class _Compiled:
    """One flag with its outcomes."""

    __slots__ = ("_ends", "_fixed", "_flag", "_hash_key", "_is_object", "_outcomes", "_rules", "_split", "_total")

    def __init__(self, flag: Flag, *, rules: FlagdRules, is_killed: bool) -> None:
        self._flag = flag
        self._is_object = flag.kind == "object"
        self._rules = rules
        self._split: Split | None = None
        self._fixed: Evaluation | None = None
        if is_killed:
            self._fixed = replace(self._outcome(flag.safe_variant, "STATIC"), is_killed=True)
        elif not flag.is_enabled:
            self._fixed = self._outcome(None, "DISABLED")
        elif flag.split is not None:
            self._split = flag.split
            self._hash_key = flag.key if flag.split.hash_key is None else flag.split.hash_key
            self._total = flag.split.total
            self._ends = list(accumulate(share.weight for share in flag.split.shares))
            self._outcomes = [self._outcome(share.variant, "SPLIT") for share in flag.split.shares]
        elif not flag.rules:
            reason: Reason = "DEFAULT" if flag.default_variant is None else "STATIC"
            self._fixed = self._outcome(flag.default_variant, reason)

    def evaluate(
        self, user_id: str | None, attributes: Mapping[str, JsonValue] | None, default: JsonValue
    ) -> Evaluation:
        found = self._fixed
        if found is None:
            found = self._by_rules(user_id, attributes) if self._split is None else self._by_hash(user_id)
        if found.variant is None:
            return found if default is None else replace(found, value=default)
        # What a caller does to its answer must not reach the next one's.
        return replace(found, value=copy.deepcopy(found.value)) if self._is_object else found

    def _by_hash(self, user_id: str | None) -> Evaluation:
        split = self._split
        if split is None or user_id is None:
            return self._failed("TARGETING_KEY_MISSING", "a percentage needs a user id")
        if split.form == "pair" and user_id == "":
            return self._outcome(self._flag.default_variant, "DEFAULT")
        try:
            hashed = hash_of(self._hash_key, user_id, form=split.form)
        except ParameterError:
            return self._failed("INVALID_CONTEXT", "a percentage needs a user id that is a text of whole characters")
        return self._outcomes[bisect_right(self._ends, (hashed * self._total) >> 32)]

    def _by_rules(self, user_id: str | None, attributes: Mapping[str, JsonValue] | None) -> Evaluation:
        try:
            variant = self._rules.variant(self._flag, user_id, attributes or {})
        except RulesError as error:
            return self._failed(error.code, str(error))
        if variant is None:
            return self._outcome(self._flag.default_variant, "DEFAULT")
        return self._outcome(variant, "TARGETING_MATCH")

    def _outcome(self, variant: str | None, reason: Reason) -> Evaluation:
        flag = self._flag
        value = None if variant is None else flag.variants[variant]
        return Evaluation(flag_key=flag.key, value=value, variant=variant, reason=reason, version=flag.version)

    def _failed(self, code: ErrorCode, message: str) -> Evaluation:
        return _failure(self._flag.key, self._flag.version, None, code, message)


def _failure(key: str, version: int, default: JsonValue, code: ErrorCode, message: str) -> Evaluation:
    return Evaluation(
        flag_key=key,
        value=default,
        variant=None,
        reason="ERROR",
        version=version,
        error_code=code,
        error_message=message,
    )
