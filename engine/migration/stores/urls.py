"""Addresses of stores: parse them, show them without their secrets, and find the secrets that go with them.

::

    postgresql://user@host:5432/database#table        postgresql://user@/database?host=/run/postgresql#schema.table
    lancedb:///absolute/folder#table                  file:///absolute/vectors.npy
    qdrant://host:6333#collection                     qdrant:///absolute/folder#collection
    lancedb+s3://bucket/folder#table

Columns are found by themselves; where several could be meant they are named: ``?id=doc_id&vector=emb&payload=meta&
updated_at=changed``. Parts that hold ``/ ? # @ %`` are percent-encoded.
"""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from engine.errors import ParameterError
from engine.migration.stores.buckets import parse_bucket

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

    from engine.migration.stores.buckets import Bucket
    from engine.migration.stores.protocol import StoreKind

Role = Literal["source", "target"]

LONGEST_URL = 4096

_KINDS: dict[str, StoreKind] = {
    "postgresql": "pgvector",
    "postgres": "pgvector",
    "lancedb": "lancedb",
    "lancedb+s3": "lancedb",
    "qdrant": "qdrant",
    "file": "files",
}
_COLUMNS = ("id", "vector", "payload", "updated_at")
_OPTIONS: dict[StoreKind, tuple[str, ...]] = {
    "pgvector": ("host", "port", "sslmode", "sslrootcert", *_COLUMNS),
    "lancedb": _COLUMNS,
    "qdrant": ("tls", "vector"),
    "files": ("id", "vector", "payload", "updated_at"),
}
_EXAMPLES: dict[StoreKind, str] = {
    "pgvector": "postgresql://user@host/database#table",
    "lancedb": "lancedb:///absolute/folder#table or lancedb+s3://bucket/folder#table",
    "qdrant": "qdrant://host:6333#collection or qdrant:///absolute/folder#collection",
    "files": "file:///absolute/vectors.npy",
}
_SCHEME = re.compile(r"([a-z]+(?:\+s3)?)://", re.IGNORECASE)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, kw_only=True)
class StoreUrl:
    """The parts of a store's URL. `password` came with it and is never shown.

    `path` is set for stores on disk, `bucket` for those in object storage; all others have a host.
    """

    kind: StoreKind
    table: str
    path: Path | None = None
    bucket: Bucket | None = None
    host: str | None = None
    port: int | None = None
    user: str | None = None
    database: str | None = None
    options: tuple[tuple[str, str], ...] = ()
    password: str | None = field(default=None, repr=False)

    def option(self, name: str) -> str | None:
        """Return an option of the URL; None when it was not given."""
        return dict(self.options).get(name)

    def __str__(self) -> str:
        """Return the URL without the password; parsing it gives the same store."""
        scheme = {"pgvector": "postgresql", "files": "file"}.get(self.kind, self.kind)
        authority = ""
        if self.bucket is not None:
            scheme, authority = "lancedb+s3", self.bucket.quoted()
        elif self.path is None:
            host = f"[{self.host}]" if _is_ipv6(self.host) else quote(self.host or "", safe="")
            authority = (f"{quote(self.user, safe='')}@" if self.user else "") + host
            authority += f":{self.port}" if self.port is not None else ""
        path = quote(str(self.path)) if self.path is not None else ""
        path += f"/{quote(self.database, safe='')}" if self.database else ""
        query = f"?{urlencode(self.options, quote_via=quote)}" if self.options else ""
        table = f"#{quote(self.table, safe='')}" if self.kind != "files" else ""
        return f"{scheme}://{authority}{path}{query}{table}"


@dataclass(frozen=True, kw_only=True)
class StoreSecrets:
    """What opens a store and is never shown, stored or quoted."""

    password: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, role: Role | None = None, *, environ: Mapping[str, str] = os.environ) -> StoreSecrets:
        """Read ``DIMSHIFT_SOURCE_PASSWORD`` (or ``TARGET``, by `role`), else ``DIMSHIFT_STORE_PASSWORD``; keys alike.

        API keys are called ``..._API_KEY``, and ``QDRANT_API_KEY`` is read last. PostgreSQL's own ``PGPASSWORD`` and
        password file work as everywhere.
        """
        prefixes = [f"DIMSHIFT_{role.upper()}", "DIMSHIFT_STORE"] if role else ["DIMSHIFT_STORE"]

        def first(*names: str) -> str | None:
            return next((environ[name] for name in names if environ.get(name)), None)

        return cls(
            password=first(*(f"{prefix}_PASSWORD" for prefix in prefixes)),
            api_key=first(*(f"{prefix}_API_KEY" for prefix in prefixes), "QDRANT_API_KEY"),
        )


KIND_NAMES: Mapping[StoreKind, str] = {
    "pgvector": "PostgreSQL",
    "lancedb": "LanceDB",
    "qdrant": "Qdrant",
    "files": "a file",
}
"""What people call the databases."""


def parse_url(url: str) -> StoreUrl:
    """Return the parts of a store's URL.

    Raises
    ------
    ParameterError
        When it names no store. The URL itself is never quoted: it may hold a password.
    """
    scheme = _SCHEME.match(url)
    kind = _KINDS.get(scheme[1].lower()) if scheme else None
    if kind is None or len(url) > LONGEST_URL:
        raise ParameterError(
            "a store's URL must begin with postgresql://, lancedb://, qdrant:// or file://",
            found=scheme[1] if scheme and kind is None else None,
            hint=f"Write it as {', '.join(_EXAMPLES.values())}",
        )
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in unquote(url)):
        raise _bad(kind, "must hold no control characters and nothing that is no text")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad(kind, "must have a host and a port number") from None
    options = _options(kind, parts)
    table = unquote(parts.fragment)
    if kind == "files":
        if parts.fragment:
            raise _bad(kind, "ends with the file's path, without #")
        return StoreUrl(kind=kind, table=Path(unquote(parts.path)).name, path=_path(kind, parts), options=options)
    if not table:
        raise _bad(kind, "must end with # and the name of the table")
    if scheme and scheme[1].lower() == "lancedb+s3":
        return StoreUrl(kind=kind, table=_plain_name(kind, table), bucket=parse_bucket(parts), options=options)
    if kind == "lancedb" or (kind == "qdrant" and not parts.netloc):
        return StoreUrl(kind=kind, table=_plain_name(kind, table), path=_path(kind, parts), options=options)
    return _network_url(kind, parts, port, table, options)


def shown(url: str) -> str:
    """Return the URL without its password, or a few words where it is none, for messages and records."""
    try:
        return str(parse_url(url))
    except ParameterError:
        return "(not a store's URL)"


def store_name(url: str) -> str:
    """Return the table that a URL names and the kind of its database, for people."""
    try:
        parsed = parse_url(url)
    except ParameterError:
        return "a table of an unknown kind"
    return f"{parsed.table} in {KIND_NAMES[parsed.kind]}"


def _network_url(
    kind: StoreKind, parts: SplitResult, port: int | None, table: str, options: tuple[tuple[str, str], ...]
) -> StoreUrl:
    database = unquote(parts.path.removeprefix("/"))
    # An unencoded / or ? in a password ends the host: what follows it would be shown as the database.
    if "@" in parts.path or "@" in parts.query:
        raise _bad(kind, "must have special characters of its parts percent-encoded")
    if kind == "qdrant" and database:
        raise _bad(kind, "has no path beside the host")
    if kind == "pgvector" and not database:
        raise _bad(kind, "must name a database after the host")
    if kind == "qdrant" and (parts.username or parts.password):
        raise ParameterError(
            "a Qdrant server takes an API key, not a user", hint="Set DIMSHIFT_STORE_API_KEY, outside of the URL"
        )
    return StoreUrl(
        kind=kind,
        table=_plain_name(kind, table) if kind == "qdrant" else table,
        host=_host(parts.netloc),
        port=port,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        database=database or None,
        options=options,
    )


def _is_ipv6(host: str | None) -> bool:
    try:
        IPv6Address(host or "")
    except ValueError:
        return False
    return True


def _host(netloc: str) -> str | None:
    # urlsplit's own hostname is lower-cased, which spoils the path of a socket.
    place = netloc.rpartition("@")[2]
    host = place[1:].partition("]")[0] if place.startswith("[") else place.partition(":")[0]
    return unquote(host) or None


def _options(kind: StoreKind, parts: SplitResult) -> tuple[tuple[str, str], ...]:
    given = parse_qsl(parts.query, keep_blank_values=True)
    unknown = [name for name, _ in given if name not in _OPTIONS[kind]]
    if unknown or len(dict(given)) != len(given):
        raise ParameterError(
            f"options of a {kind} URL are {', '.join(_OPTIONS[kind])}, each once",
            # What is not a plain word may be the rest of a password.
            found=unknown[0] if unknown and unknown[0].isidentifier() and "@" not in parts.query else None,
        )
    return tuple((name, value) for name, value in given if value)


def _path(kind: StoreKind, parts: SplitResult) -> Path:
    path = Path(unquote(parts.path))
    if parts.netloc not in {"", "localhost"} or not path.is_absolute() or len(path.parts) < 2:
        raise _bad(kind, "must hold an absolute path")
    return path


def _plain_name(kind: StoreKind, table: str) -> str:
    # These names become folders, or part of an address.
    if not _PLAIN_NAME.fullmatch(table) or len(table) > 255:
        raise ParameterError(
            f"the table in a {kind} URL must be of letters, digits, _, - and .", found=table, hint="Rename it"
        )
    return table


def _bad(kind: StoreKind, rule: str) -> ParameterError:
    return ParameterError(f"a {kind} URL {rule}", hint=f"Write it as {_EXAMPLES[kind]}")
