"""How long `dimshift demo` takes, and which of its stages take how much of that."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

APP = str(Path(__file__).resolve().parents[2] / "app.py")
COMMAND = (sys.executable, "-c", "from engine.cli import main; main()")


def demonstration() -> dict:
    """Return the seconds from the command in an empty folder to its last line, everything measured, and by stage."""
    with tempfile.TemporaryDirectory(prefix="dimshift-demo-") as folder:
        started = time.perf_counter()
        answer = json.loads(
            subprocess.check_output([*COMMAND, "demo", "--json", "-", "--workspace", folder], text=True)
        )
        seconds = time.perf_counter() - started
        return {
            "seconds": seconds,
            "stages": {stage["key"]: stage["seconds"] for stage in answer["stages"]},
            "migration": next(stage["outcome"]["sentence"] for stage in answer["stages"] if stage["key"] == "move"),
        }


def landing_page() -> dict:
    """Time the landing page on a workspace with a demonstration: in a new tab, and drawn again."""
    from streamlit.testing.v1 import AppTest

    with _built() as folder:
        os.environ["DIMSHIFT_WORKSPACE"] = folder
        AppTest.from_file(APP, default_timeout=60).run()  # imports, and opens the workspace
        new_tab = statistics.median(_seconds(AppTest.from_file(APP, default_timeout=60).run) for _ in range(5))
        tab = AppTest.from_file(APP, default_timeout=60).run()
        return {"new_tab_s": new_tab, "again_s": statistics.median(_seconds(tab.run) for _ in range(5))}


def report() -> dict:
    """Time `dimshift report` on a workspace with a demonstration, from the command to the file."""
    from engine.present.demonstration import find_demonstration
    from engine.workspace import Workspace

    with _built() as folder:
        with Workspace.open(folder) as workspace:
            demonstration = find_demonstration(workspace)
            assert demonstration is not None
            run = demonstration.sweep_run
        out = Path(folder) / "report.html"
        seconds = _seconds(
            lambda: subprocess.run(
                [*COMMAND, "report", str(run), "--out", str(out), "--workspace", folder],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        )
        return {"seconds": seconds, "mib": out.stat().st_size / (1 << 20)}


@contextmanager
def _built() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="dimshift-demo-") as folder:
        subprocess.run([*COMMAND, "demo", "--workspace", folder], check=True, stdout=subprocess.DEVNULL)
        yield folder


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    measurements = {work.__name__: work for work in (demonstration, landing_page, report)}
    print(json.dumps(measurements[sys.argv[1]]()))  # noqa: T201
