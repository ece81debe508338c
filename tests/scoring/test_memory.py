"""How much memory this process may use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.scoring.memory import usable_memory_bytes

LIMIT = 1 << 29


def system(root: Path, *, groups: str, files: dict[str, str]) -> Path:
    """Write what the kernel shows a process: 8 GiB available, its control groups, and their files."""
    for name, text in {"proc/meminfo": "MemTotal: 1 kB\nMemAvailable: 8388608 kB\n", "proc/self/cgroup": groups,
                       **files}.items():  # fmt: skip
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_machine_without_limits_gives_what_is_available(tmp_path: Path) -> None:
    """Without limits the answer is what the kernel calls available."""
    root = system(tmp_path, groups="0::/app\n", files={"sys/fs/cgroup/app/memory.max": "max\n"})
    assert usable_memory_bytes(root=root) == 8 << 30


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/a/b\n", "sys/fs/cgroup/a/b/memory.max"),
        ("0::/a/b\n", "sys/fs/cgroup/a/memory.max"),
        ("0::/of/the/host\n", "sys/fs/cgroup/memory.max"),
        ("5:cpu,cpuacct:/x\n4:memory:/a\n0::/y\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes"),
    ],
)
def test_the_limit_of_any_group_above_counts(tmp_path: Path, groups: str, file: str) -> None:
    """A limit of the process's group, of one above it, or at the top of a container is the answer."""
    assert usable_memory_bytes(root=system(tmp_path, groups=groups, files={file: f"{LIMIT}\n"})) == LIMIT


def test_a_limit_of_the_shell_counts() -> None:
    """A process whose data segment is limited may use no more than that."""
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_DATA, ({LIMIT}, {LIMIT}));"
        "from engine.scoring.memory import usable_memory_bytes; print(usable_memory_bytes())"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=Path(__file__).resolve().parents[2])
    assert int(said) <= LIMIT
