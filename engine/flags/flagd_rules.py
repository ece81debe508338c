"""Targeting rules of imported flags beyond percentages, evaluated by flagd's own evaluator where it is installed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import FlagError
from engine.flags.flagd_format import FileParts, live_flag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.flags.model import Flag
    from engine.workspace import JsonValue

_EVALUATOR = "openfeature-flagd-core"


class RulesError(Exception):
    """Rules give no answer; `code` is OpenFeature's error code."""

    def __init__(self, code: Literal["PARSE_ERROR", "GENERAL"], message: str) -> None:
        self.code = code
        super().__init__(message)


class FlagdRules:
    """The rules of `flags`, all of them with rules, handed to the evaluator when the first one is asked for."""

    def __init__(self, flags: Sequence[Flag], parts: FileParts) -> None:
        self._flags = flags
        self._parts = parts
        self._core: Any = None

    def variant(self, flag: Flag, user_id: str | None, attributes: Mapping[str, JsonValue]) -> str | None:
        """Return the variant that the rules of `flag` name, None where its default applies.

        Raises RulesError when they name none of its variants, cannot be read, or the evaluator is not installed.
        """
        try:
            from openfeature.evaluation_context import EvaluationContext
            from openfeature.exception import OpenFeatureError, ParseError
        except ImportError as error:
            raise _not_installed(flag) from error
        known: Any = dict(attributes)
        context = EvaluationContext(targeting_key=user_id, attributes=known)
        try:
            resolve = getattr(self._evaluator(flag), f"resolve_{flag.kind}_value")
            details = resolve(flag.key, None, context)
        except (ParseError, FlagError) as error:
            raise RulesError("PARSE_ERROR", f"the rules of flag {flag.key} cannot be read") from error
        except OpenFeatureError as error:
            raise RulesError("GENERAL", error.error_message or "the rules name no variant") from error
        except (TypeError, ValueError, KeyError, AttributeError, IndexError, ArithmeticError, RecursionError) as error:
            # The evaluator checks no argument of its operators: rules meet attributes of any type.
            raise RulesError("GENERAL", f"the rules of flag {flag.key} fail on these attributes") from error
        return None if details.reason == "DEFAULT" else str(details.variant)

    def _evaluator(self, flag: Flag) -> Any:
        if self._core is None:
            try:
                from openfeature.contrib.tools.flagd.core import FlagdCore
            except ImportError as error:
                raise _not_installed(flag) from error
            core = FlagdCore()
            flags = {flag.key: live_flag(flag, self._parts, is_killed=False) for flag in self._flags}
            core.set_flags(json.dumps({"flags": flags}))
            self._core = core
        return self._core


def _not_installed(flag: Flag) -> RulesError:
    return RulesError("GENERAL", f"flag {flag.key} has rules beyond percentages; install {_EVALUATOR} to evaluate them")
