"""How many flag evaluations a second one thread makes from memory, and how soon a real client follows a kill."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time

from engine.flags import FlagStore
from engine.workspace import Workspace

N_USERS = 100_000
N_KILLS = 9

_CLIENT = """
import sys, time
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.evaluation_context import EvaluationContext

provider = FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=sys.argv[1])
provider.initialize(EvaluationContext())
print("ready", flush=True)
for line in sys.stdin:
    while provider.resolve_boolean_details("use_reduced_dims", False, EvaluationContext("a")).variant != line.strip():
        time.sleep(0.001)
    print(time.time(), flush=True)
"""


def flag_evaluations() -> dict:
    """Return evaluations a second: 100,000 users of a flag at 37.5 %, hash, refresh and all; the best of three."""
    users = [f"user-{number}" for number in range(N_USERS)]
    with tempfile.TemporaryDirectory() as folder, Workspace.open(folder) as workspace:
        store = FlagStore(workspace)
        flag = store.flag("use_reduced_dims")
        store.set(flag.with_percent(37.5), expected_version=flag.version, actor="benchmark")
        return {"a_second": N_USERS / min(_seconds(store, users) for _ in range(3))}


def kill() -> dict:
    """Return how long after a kill began a flagd client in another process was safe, for several kills, in order.

    The client is openfeature-provider-flagd in FILE mode as it comes: it looks at the file every half second.
    """
    with tempfile.TemporaryDirectory() as folder, Workspace.open(folder) as workspace:
        store = FlagStore(workspace)
        flag = store.flag("use_reduced_dims")
        store.set(flag.with_percent(100), expected_version=flag.version, actor="benchmark")
        command = [sys.executable, "-c", _CLIENT, str(store.path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdout.readline()
            seconds = []
            for number in range(N_KILLS):
                _ask(client, "on")
                time.sleep(number / N_KILLS / 2)  # a kill comes at any moment between two looks
                started = time.time()
                store.kill(actor="benchmark", typed="kill")
                seconds.append(_ask(client, "off") - started)
                store.restore(actor="benchmark", typed="restore", reason="the next one")
            client.stdin.close()
        return {"kills": N_KILLS, "seconds": sorted(seconds), "slowest_s": max(seconds)}


def _ask(client: subprocess.Popen[str], variant: str) -> float:
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(f"{variant}\n")
    client.stdin.flush()
    return float(client.stdout.readline())


def _seconds(store: FlagStore, users: list[str]) -> float:
    started = time.perf_counter()
    for user_id in users:
        store.evaluate("use_reduced_dims", user_id)
    return time.perf_counter() - started


if __name__ == "__main__":
    print(json.dumps({"flag_evaluations": flag_evaluations, "kill": kill}[sys.argv[1]]()))  # noqa: T201
