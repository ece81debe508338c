"""Where a run was made: what a figure may depend on beside its data and parameters."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from engine import __version__

_PACKAGES = ("numpy", "scipy", "pandas", "scikit-learn", "streamlit", "numba", "pyarrow", "wordllama")


@dataclass(frozen=True, kw_only=True)
class Blas:
    """A linear algebra or OpenMP library of the process with the number of threads it would use now."""

    name: str
    version: str | None
    threads: int


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Versions and machine. `cores` are those this process may use; `memory_bytes` is None where it is not known."""

    dimshift: str
    python: str
    platform: str
    packages: dict[str, str]
    cpu: str
    cores: int
    memory_bytes: int | None
    blas: tuple[Blas, ...] = ()


def environment() -> Environment:
    """Describe this process: the machine is asked once, the thread counts every time."""
    from threadpoolctl import threadpool_info  # walks all loaded libraries on import

    # The libraries' paths stay out: they say where somebody's home is.
    blas = (
        Blas(name=info["internal_api"], version=info["version"], threads=int(info["num_threads"]))
        for info in threadpool_info()
    )
    facts = _machine()
    return replace(facts, packages=dict(facts.packages), blas=tuple(dict.fromkeys(blas)))


@functools.cache
def _machine() -> Environment:
    return Environment(
        dimshift=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        packages=_versions(),
        cpu=_cpu_model(),
        cores=_cores(),
        memory_bytes=_memory_bytes(),
    )


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _cpu_model() -> str:
    for line in _lines_of_cpuinfo():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return value.strip()
    if sys.platform == "darwin":
        answer = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        if answer.stdout.strip():
            return answer.stdout.strip()
    return platform.processor() or platform.machine() or "unknown"


def _lines_of_cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return []


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None
