"""Twenty browser sessions at once; the measured figures are the benchmark's, see tests/benchmarks/soak.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.soak]

_SOAK = Path(__file__).resolve().parents[1] / "benchmarks" / "soak.py"
_SECONDS = "30"
_MOST_MIB = 200


@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("chromium")
def test_twenty_sessions_find_only_their_own_and_nothing_fails() -> None:
    """Tabs that upload, sweep and click at once see no error and no row of another; the app gives its memory back."""
    variables = {"DIMSHIFT_SOAK_S": _SECONDS, **os.environ}
    seen = json.loads(subprocess.check_output([sys.executable, str(_SOAK), "soak"], env=variables, text=True))
    assert (seen["errors"], seen["cross_talk"], seen["log_errors"]) == ([], [], [])
    assert seen["n_sessions"] == 20
    assert seen["least_sweeps"] >= 1
    assert seen["memory_mib_after"] - seen["memory_mib_before"] < _MOST_MIB
