"""A real flag client, openfeature-provider-flagd in FILE mode in another process, against the engine."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.flags import Flag, FlagStore, Share, Split

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

pytest.importorskip("openfeature.contrib.provider.flagd")

CLIENT = """
    import json, sys, time
    from openfeature import api
    from openfeature.contrib.provider.flagd import FlagdProvider
    from openfeature.contrib.provider.flagd.config import ResolverType
    from openfeature.evaluation_context import EvaluationContext

    users = json.load(open(sys.argv[2]))
    provider = FlagdProvider(
        resolver_type=ResolverType.FILE, offline_flag_source_path=sys.argv[1], deadline_ms=50
    )
    api.set_provider_and_wait(provider)
    client = api.get_client()
    resolve = {
        "boolean": client.get_boolean_details, "integer": client.get_integer_details,
        "string": client.get_string_details, "object": client.get_object_details,
    }
    outside = {"boolean": False, "integer": -1, "string": "", "object": {}}
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        key, kind = asked["key"], asked["kind"]
        if "until" in asked:
            started = time.monotonic()
            while True:
                found = resolve[kind](key, outside[kind], EvaluationContext("anna"))
                if [found.variant, found.reason] == asked["until"] or time.monotonic() - started > 20:
                    break
                time.sleep(0.005)
            print(json.dumps([found.variant, found.reason]), flush=True)
            continue
        found = [resolve[kind](key, outside[kind], EvaluationContext(user)) for user in users[: asked["n"]]]
        errors = {str(one.error_message) for one in found if one.error_code}
        print(json.dumps([[one.variant for one in found], found[0].value, sorted(errors)]), flush=True)
    """


class _Client:
    """The other process: one question a line, one answer a line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert self._line() == "ready\n"

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def ask(self, **asked: Any) -> Any:
        """Return the answer to one question."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return json.loads(self._line())


@pytest.fixture
def start_client(
    store: FlagStore, user_ids: list[str], tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> Callable[[], _Client]:
    """Return a function that starts the client on the flag file."""
    users = tmp_path / "users.json"
    users.write_text(json.dumps(user_ids))
    return lambda: _Client(start_python(CLIENT, store.path, users))


def _mixed_flags() -> list[Flag]:
    """Return flags of every kind, with percentages of every sort, one without, and one with rules."""
    boolean = Flag(
        key="five", kind="boolean", variants={"on": True, "off": False}, default_variant="off", safe_variant="off"
    )
    shares = (Share(variant="c", weight=1), Share(variant="a", weight=0), Share(variant="b", weight=3))
    strings: dict[str, Any] = {"a": "ä", "b": "ß", "c": ""}
    string = Flag(key="static", kind="string", variants=strings, default_variant="b", safe_variant="a")
    return [
        boolean.with_percent(5),
        replace(boolean, key="größer").with_percent(37.5),
        replace(boolean, key="all").with_percent(100),
        replace(boolean, key="shared hash").with_percent(50, hash_key="one ramp"),
        Flag(
            key="dims", kind="integer", variants={"full": 3072, "half": 1536, "quarter": 768}, default_variant="half",
            safe_variant="full",
        ).with_percent(25, variant="quarter"),
        replace(string, key="text", split=Split(shares=shares)),
        Flag(
            key="object", kind="object", variants={"new": {"k": [1, {"x": None}]}, "old": {}}, default_variant="old",
            safe_variant="old",
        ).with_percent(66.666),
        string,
        replace(string, key="ruled", rules={"if": [{"starts_with": [{"var": "targetingKey"}, "user-1"]}, "c", None]}),
    ]  # fmt: skip


def _agrees(
    store: FlagStore, user_ids: list[str], start_client: Callable[[], _Client], *, n_most: int, n_others: int
) -> None:
    """Check that client and engine name the same variant for `n_most` users of one flag, `n_others` of all others."""
    flags = _mixed_flags()
    for flag in flags:
        store.set(flag, expected_version=0, actor="anna")
    client = start_client()
    for flag in flags:
        n_users = n_most if flag.key == "größer" else n_others
        variants, value, errors = client.ask(key=flag.key, kind=flag.kind, n=n_users)
        snapshot = store.snapshot()
        mine = [snapshot.evaluate(flag.key, user_id).variant for user_id in user_ids[:n_users]]
        assert errors == []
        assert variants == mine, flag.key
        assert value == flag.variants[variants[0]]
        if flag.split is not None and flag.percent not in {0.0, 100.0}:
            assert len(set(variants)) == 2


def test_the_client_evaluates_as_the_engine_does(
    store: FlagStore, user_ids: list[str], start_client: Callable[[], _Client]
) -> None:
    """For 3,000 users, an empty id and Unicode among them, the client names the variant that the engine names."""
    _agrees(store, user_ids, start_client, n_most=3_000, n_others=600)


@pytest.mark.slow
def test_the_client_evaluates_as_the_engine_does_for_many_users(
    store: FlagStore, user_ids: list[str], start_client: Callable[[], _Client]
) -> None:
    """The same for 20,000 users of one flag and 5,000 of every other."""
    _agrees(store, user_ids, start_client, n_most=20_000, n_others=5_000)


def test_the_client_follows_a_kill_and_a_restore(store: FlagStore, start_client: Callable[[], _Client]) -> None:
    """After a kill the client gives safe variants, after the restore what it gave before; edits meanwhile wait."""
    for key, variant in (("use_reduced_dims", None), ("reduced_dim_size", "768")):
        store.set(store.flag(key).with_percent(100, variant=variant), expected_version=1, actor="anna")
    client = start_client()
    boolean = {"key": "use_reduced_dims", "kind": "boolean"}
    integer = {"key": "reduced_dim_size", "kind": "integer", "n": 50}
    assert client.ask(**boolean, until=["on", "TARGETING_MATCH"]) == ["on", "TARGETING_MATCH"]
    assert client.ask(**integer)[:2] == [["768"] * 50, 768]
    store.kill(actor="carl", typed="kill", reason="p99 doubled")
    assert client.ask(**boolean, until=["off", "STATIC"]) == ["off", "STATIC"]
    assert client.ask(**integer)[:2] == [["full"] * 50, 3072]
    store.set(store.flag("reduced_dim_size").with_percent(0), expected_version=2, actor="anna")
    store.restore(actor="carl", typed="restore", reason="it was the cache")
    assert client.ask(**boolean, until=["on", "TARGETING_MATCH"]) == ["on", "TARGETING_MATCH"]
    assert client.ask(**integer)[:2] == [["full"] * 50, 3072]
    store.set(store.flag("use_reduced_dims").with_percent(0), expected_version=2, actor="anna")
    store.kill(actor="carl", typed="kill")  # within one tick of the change before
    assert client.ask(**boolean, until=["off", "STATIC"]) == ["off", "STATIC"]
