"""Which stores a shared server opens: hosts and buckets that its configuration lists, and folders; nothing else.

Hosts are compared by name, before any name is looked up: whoever controls the DNS of a listed name decides where it
leads. Drivers follow no redirects, so a listed host cannot send the connection elsewhere.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import AccessError, ParameterError, printable
from engine.migration.stores.buckets import BUCKET_SCHEME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from ipaddress import IPv4Network, IPv6Network

    from engine.migration.stores.urls import StoreUrl

STORE_HOSTS = "DIMSHIFT_STORE_HOSTS"
_LONGEST_LIST = 10_000
_LOCAL = "localhost"  # also what a URL without a host means to a driver
_PORTS = {"pgvector": "5432", "qdrant": "6333"}
_SYSTEM = "system"  # the certificates of the operating system, for sslrootcert


@dataclass(frozen=True, kw_only=True)
class StoreLimits:
    """What may be opened: `hosts` are patterns such as ``db.example.com``, ``*.example.com:5432`` or ``10.0.0.0/8``.

    Buckets, which are opened with the server's own credentials, are listed as ``s3://bucket`` or ``s3://team-*``.
    Stores on disk, sockets in the file system and certificates must lie below one of `folders`.
    """

    hosts: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()

    @classmethod
    def from_environment(
        cls, *, is_shared: bool, folders: Iterable[Path] = (), environ: Mapping[str, str] = os.environ
    ) -> StoreLimits | None:
        """Read ``DIMSHIFT_STORE_HOSTS``; None, which opens everything, where it is not set and nobody else comes.

        On a shared server (`is_shared`) a variable that is not set lists no host. Raises ParameterError.
        """
        listed = environ.get(STORE_HOSTS)
        if listed is None and not is_shared:
            return None
        return cls(hosts=_patterns(listed or ""), folders=tuple(folders))

    def with_folders(self, folders: Iterable[Path]) -> StoreLimits:
        """Return the same limits with further folders."""
        return replace(self, folders=(*self.folders, *folders))

    def check(self, url: StoreUrl) -> None:
        """Raise AccessError unless every place that a driver would go to for `url` is allowed."""
        if url.path is not None:
            self._check_path(url.path, "a store on disk")
            return
        if url.bucket is not None:
            self._check_bucket(url.bucket.name)
            return
        certificate = url.option("sslrootcert")
        if certificate and certificate != _SYSTEM:
            self._check_path(Path(certificate), "a certificate")
        # PostgreSQL's driver takes several hosts with commas between, tries each, and goes by the option first.
        hosts = (url.option("host") or url.host or "").split(",")
        ports = (url.option("port") or str(url.port or "")).split(",")
        for place, host in enumerate(hosts):
            port = ports[place] if place < len(ports) and len(ports) > 1 else ports[0]
            self._check_host(host.strip(), port.strip() or _PORTS.get(url.kind, ""))

    def _check_bucket(self, name: str) -> None:
        if not any(fnmatchcase(BUCKET_SCHEME + name, one) for one in self.hosts if one.startswith(BUCKET_SCHEME)):
            raise AccessError(
                "this server opens only buckets that its configuration lists",
                found=BUCKET_SCHEME + name,
                hint=f"Whoever runs it adds it to {STORE_HOSTS}",
            )

    def _check_host(self, host: str, port: str) -> None:
        if host.startswith(("/", "@")):
            self._check_path(Path(host), "a socket")
            return
        name = (host or _LOCAL).lower().rstrip(".")
        if not any(_matches(one, name, port) for one in self.hosts if not one.startswith(BUCKET_SCHEME)):
            raise AccessError(
                "this server opens stores only on hosts that its configuration lists",
                found=name,
                hint=f"Whoever runs it adds a host to {STORE_HOSTS}",
            )

    def _check_path(self, path: Path, what: str) -> None:
        try:
            real = path.resolve()
            is_inside = any(real.is_relative_to(folder.resolve()) for folder in self.folders)
        except (OSError, RuntimeError, ValueError):  # a loop of symlinks, a name that is too long
            is_inside = False
        if not is_inside or not path.is_absolute():
            raise AccessError(
                f"on this server {what} must lie below the data root, symlinks followed",
                found=path,
                hint="Whoever runs it sets DIMSHIFT_DATA_ROOT to the folder that may be read",
            )


def _patterns(listed: str) -> tuple[str, ...]:
    patterns = tuple(one.strip().lower().rstrip(".") for one in listed.split(",") if one.strip())
    for pattern in patterns:
        name = pattern.removeprefix(BUCKET_SCHEME)
        is_other = any(character in name for character in "/@ ") and _network(pattern) is None
        if is_other or len(listed) > _LONGEST_LIST:
            raise ParameterError(
                f"{STORE_HOSTS} lists hosts and buckets with commas between",
                found=printable(pattern, longest=60),
                hint="Write db.example.com, *.example.com:5432, 10.0.0.0/8 or s3://bucket",
            )
    return patterns


def _matches(pattern: str, host: str, port: str) -> bool:
    network = _network(pattern)
    if network is not None:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        return address.version == network.version and address in network
    name, colon, only = pattern.rpartition(":")
    if not colon or not only.isdigit() or (":" in name and not name.endswith("]")):  # no port, or a bare IPv6 address
        name, only = pattern, ""
    return (not only or only == port) and fnmatchcase(host, name.removeprefix("[").removesuffix("]"))


def _network(pattern: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(pattern, strict=False)
    except ValueError:
        return None
