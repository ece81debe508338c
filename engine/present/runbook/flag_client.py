"""A flag client in a process of its own; `engine.present.runbook.watching` starts this file as a script.

It answers one question a line with one line, JSON both: the question is whether a user's variant shall be the safe one,
the answer comes when it is. The flags are read by openfeature-provider-flagd as it comes, where that is installed, else
by a few lines of our own: it says which.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PROVIDER = "openfeature-provider-flagd"
OWN_READER = "dimshift's own reader"

_POLL_S = 0.002
_FILE_POLL_S = 0.05
_BY_RULE = "(by percentage or rules)"


def main() -> None:
    """Answer until the questions end."""
    path, key, kind, user_id, how = sys.argv[1:]
    name, variant_now = _own_reader(path, key) if how == "own" else _client(path, key, kind, user_id)
    _say({"client": name, "variant": variant_now()})
    for line in sys.stdin:
        asked = json.loads(line)
        while (found := variant_now()) is None or (found == asked["safe"]) != asked["is_safe"]:
            time.sleep(_POLL_S)
        _say({"variant": found})


def _client(path: str, key: str, kind: str, user_id: str) -> tuple[str, Callable[[], str | None]]:
    try:
        from openfeature.contrib.provider.flagd import FlagdProvider
        from openfeature.contrib.provider.flagd.config import ResolverType
        from openfeature.evaluation_context import EvaluationContext
        from openfeature.exception import OpenFeatureError

        name = f"{PROVIDER} {version(PROVIDER)}"
    except (ImportError, PackageNotFoundError):
        return _own_reader(path, key)
    provider = FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=path)
    provider.initialize(EvaluationContext())
    resolve = getattr(provider, f"resolve_{kind}_details")
    outside: dict[str, Any] = {"boolean": False, "integer": -1, "float": -1.0, "string": "", "object": {}}
    context = EvaluationContext(user_id)

    def variant_now() -> str | None:
        try:
            found: str | None = resolve(key, outside[kind], context).variant
        except OpenFeatureError:
            return None  # a file that has no such flag yet
        return found

    return name, variant_now


def _own_reader(path: str, key: str) -> tuple[str, Callable[[], str | None]]:
    known: dict[str, Any] = {"read_at": -1.0, "variant": None}

    def variant_now() -> str | None:
        if time.monotonic() - known["read_at"] >= _FILE_POLL_S:
            known.update(read_at=time.monotonic(), variant=_variant_in(path, key) or known["variant"])
        variant: str | None = known["variant"]
        return variant

    return OWN_READER, variant_now


def _variant_in(path: str, key: str) -> str | None:
    try:
        flag = json.loads(Path(path).read_text(encoding="ascii"))["flags"][key]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there at this moment
    variant: str | None = _BY_RULE if flag.get("targeting") else flag.get("defaultVariant")
    return variant


def _say(answer: dict[str, str | None]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
