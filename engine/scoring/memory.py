"""How much memory this process may use: the machine's, or less where a container or a limit of the shell says so."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path("/")


def usable_memory_bytes(*, root: Path = _ROOT) -> int:
    """Return the bytes of memory that this process may use, by what is free now and by every limit set for it.

    Limits are those of its control group (version 1 or 2, as containers set them) and of its data segment. `root` is
    where the system's own folders are found.
    """
    return min([_available(root), *_group_limits(root), *_process_limit()])


def _available(root: Path) -> int:
    with suppress(OSError, ValueError, IndexError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _group_limits(root: Path) -> Iterator[int]:
    """Yield the limits of the process's control group and of those above it."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        elif not controllers:
            top, name = root / "sys/fs/cgroup", "memory.max"
        else:
            continue
        group = top / path.strip("/")
        # Inside a container the path may be the host's, which is not there: its own limit stands at the top.
        for folder in (group, *group.parents):
            with suppress(OSError, ValueError):  # "max" is no number: no limit
                yield int((folder / name).read_text())
            if folder == top:
                break


def _process_limit() -> Iterator[int]:
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if soft != resource.RLIM_INFINITY:
        yield soft
