"""The environment that a run remembers."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from engine import __version__
from engine.workspace import environment, plain_json


def test_environment_names_versions_and_machine() -> None:
    """Versions are those installed, and the machine has a processor, cores and memory."""
    found = environment()
    assert (found.dimshift, found.python) == (__version__, platform.python_version())
    assert {"numpy", "scipy", "pandas", "scikit-learn", "streamlit"} <= set(found.packages)
    assert found.packages["numpy"] == np.__version__ == metadata.version("numpy")
    assert found.cpu
    assert 1 <= found.cores <= (os.cpu_count() or 1)
    assert found.memory_bytes is None or found.memory_bytes > 1 << 28


def test_threads_are_those_of_this_moment() -> None:
    """The thread count of BLAS follows its present limit although the machine's facts are remembered."""
    assert np.ones((2, 2)).dot(np.ones((2, 2))).sum() == 8  # BLAS is loaded
    before = environment()
    with threadpool_limits(1, user_api="blas"):
        limited = environment()
    assert {blas.threads for blas in limited.blas if blas.name in {"openblas", "mkl", "blis"}} == {1}
    assert environment() == before


def test_no_path_of_this_machine_is_kept() -> None:
    """A run tells the libraries' names and versions, not where they are installed."""
    paths = [info["filepath"] for info in threadpool_info()]
    assert paths
    assert not [path for path in paths if os.path.dirname(path) in str(plain_json(environment()))]  # noqa: PTH120  # text only


def test_environment_cannot_be_spoiled_for_others() -> None:
    """Changing a returned mapping does not reach the next run's environment."""
    environment().packages["numpy"] = "0"
    assert environment().packages["numpy"] == np.__version__
