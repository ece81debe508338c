"""Files that a user asked for: whole or as they were before, never half of one."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from engine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_RULE = "the output file must be writable"


def write_output(file: Path, content: str | bytes, *, rule: str = _RULE) -> None:
    """Put `content`, text as UTF-8, into `file` in one step. Raises InputError as `output` does."""
    with output(file, rule=rule) as opened:
        opened.write(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def output(file: Path, *, rule: str = _RULE) -> Iterator[BinaryIO]:
    """Open what takes the place of `file` in one step when the block ends; without a trace when an exception leaves it.

    Where `file` is a link, what it leads to is replaced; a device or a pipe is written to as it is.

    Raises
    ------
    InputError
        With `rule` when the disk refuses; what was there stays then.
    """
    try:
        path = file.resolve()
    except (OSError, ValueError) as error:  # a loop of links; a NUL in the name
        raise InputError(rule, found=f"{file.name}: {getattr(error, 'strerror', None) or error}") from error
    try:
        with path.open("wb") if path.exists() and not path.is_file() else _beside(path) as opened:
            yield opened
    except OSError as error:
        raise InputError(rule, found=f"{file.name or file}: {error.strerror or error}") from error


@contextmanager
def _beside(path: Path) -> Iterator[BinaryIO]:
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    unfinished = path.parent / f".dimshift-{secrets.token_hex(8)}"
    try:
        with unfinished.open("xb") as opened:
            yield opened
        if path.exists():
            shutil.copymode(path, unfinished)
        unfinished.replace(path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
