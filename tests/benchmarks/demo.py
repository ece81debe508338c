"""How long `dimshift demo` takes, and which of its stages take how much of that."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time


def demonstration() -> dict:
    """Return the seconds from the command in an empty folder to its last line, everything measured, and by stage."""
    command = [sys.executable, "-c", "from engine.cli import main; main()", "demo", "--json", "-", "--workspace"]
    with tempfile.TemporaryDirectory(prefix="dimshift-demo-") as folder:
        started = time.perf_counter()
        answer = json.loads(subprocess.check_output([*command, folder], text=True))
        seconds = time.perf_counter() - started
        return {
            "seconds": seconds,
            "stages": {stage["key"]: stage["seconds"] for stage in answer["stages"]},
            "migration": next(stage["outcome"]["sentence"] for stage in answer["stages"] if stage["key"] == "move"),
        }


if __name__ == "__main__":
    print(json.dumps({"demonstration": demonstration}[sys.argv[1]]()))  # noqa: T201
