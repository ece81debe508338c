"""Several machines in one: network namespaces that a bridge connects, each with an address and a link of its own."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, kw_only=True)
class Host:
    """A machine of the test: its namespace and its address."""

    name: str
    address: str

    def command(self, *words: str) -> list[str]:
        """Return the command that runs `words` on it."""
        return ["ip", "netns", "exec", self.name, *words]

    def cut(self) -> None:
        """Take its link down, as when somebody pulls the cable: nobody is told, no connection is closed."""
        _ip("-n", self.name, "link", "set", "eth0", "down")


def why_no_hosts() -> str:
    """Return what keeps this process from making machines; nothing where nothing does."""
    name = f"dimshift-{os.getpid()}-try"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False, timeout=30)
    if tried.returncode == 0:
        _ip("netns", "del", name)
    return tried.stderr.strip()


@contextmanager
def connected_hosts(n: int) -> Iterator[Sequence[Host]]:
    """Make `n` machines on a network of their own, for as long as the block; needs root."""
    prefix = f"dimshift-{os.getpid()}"
    with ExitStack() as undone:
        switch = _namespace(f"{prefix}-switch", undone)
        _ip("-n", switch, "link", "add", "br0", "type", "bridge")
        _ip("-n", switch, "link", "set", "br0", "up")
        hosts = []
        for number in range(1, n + 1):
            host = Host(name=_namespace(f"{prefix}-{number}", undone), address=f"10.77.0.{number}")
            port = f"port{number}"
            _ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.name)
            _ip("-n", switch, "link", "set", port, "master", "br0", "up")
            _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                _ip("-n", host.name, "link", "set", link, "up")
            hosts.append(host)
        yield hosts


def _namespace(name: str, undone: ExitStack) -> str:
    _ip("netns", "add", name)
    undone.callback(_ip, "netns", "del", name)
    return name


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
