"""Sentences that several stores share."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.errors import StoreError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DISK_FULL = ("no space left", "disk full", "enospc", "quota exceeded", "not enough space")
_READ_ONLY = ("permission denied", "read-only file system", "eacces", "erofs", "operation not permitted")


def missing_extra(extra: str) -> StoreError:
    """Return the error for a driver that is not installed."""
    return StoreError(f"the driver for this store is not installed; run pip install 'dimshift[{extra}]'")


def missing_table(kind: str, table: str, *, there: Iterable[str] = ()) -> StoreError:
    """Return the error for a table (collection) that does not exist; `there` lists some that do."""
    names = [printable(name, longest=60) for name in there][:8]
    return StoreError(
        f"the {kind} must exist",
        found=f"no {printable(table)}",
        hint=f"There are {', '.join(names)}" if names else None,
    )


def existing_table(kind: str, table: str) -> StoreError:
    """Return the error for a table that must not exist yet."""
    return StoreError(
        f"the {kind} to create must not exist yet",
        found=table,
        hint="Give the target another name, or confirm that it may be replaced",
    )


def no_moments() -> StoreError:
    """Return the error for asking what changed where rows have no moment of change."""
    return StoreError(
        "rows changed since a moment can only be told by an updated-at column",
        hint="Name it in the URL as ?updated_at=column, or compare the stores as a whole",
    )


def of_disk(error: BaseException, *, where: str) -> StoreError | None:
    """Return the sentence for a full or read-only disk, told from the error or from its text; None for others."""
    code = error.errno if isinstance(error, OSError) else None
    text = str(error).lower()
    if code in {errno.ENOSPC, errno.EDQUOT} or any(word in text for word in _DISK_FULL):
        return StoreError("the disk of the store is full", found=where, hint="Make room and resume")
    if code in {errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR} or any(word in text for word in _READ_ONLY):
        return StoreError("the store must be writable", found=where, hint="Check the permissions of its folder")
    return None


@contextmanager
def disk_reported(where: str) -> Iterator[None]:
    """Turn an OSError of file access into a StoreError that names `where`."""
    try:
        yield
    except OSError as error:
        raise of_disk(error, where=where) or StoreError(
            "the store's files must be readable and writable", found=f"{where}: {error.strerror or error}"
        ) from error
