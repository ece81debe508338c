"""Keep what users name below the folder that they may read."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from engine.errors import PathError

_STEP = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_FILE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe in its place shall not be waited for


@dataclass(frozen=True, kw_only=True)
class FileIdentity:
    """Which file stood at a path: whatever is opened there later must be the same one."""

    device: int
    inode: int

    @classmethod
    def of(cls, descriptor: int) -> FileIdentity:
        """Return the identity of an open file."""
        facts = os.fstat(descriptor)
        return cls(device=facts.st_dev, inode=facts.st_ino)


def identity_below(root: str | Path, path: Path) -> FileIdentity:
    """Return which plain file stands at `path`, as `resolve_below` gave it, without following any symlink below `root`.

    Between the check of a path and its opening somebody may put a symlink there: each folder is opened from the one
    before, so that such a race ends in an error. Systems without that way of opening compare the path once more.

    Raises
    ------
    PathError
        When a symlink, or something else than a plain file, stands there by now.
    """
    real_root = _real(root)
    try:
        parts = path.relative_to(real_root).parts
        descriptor = _opened_stepwise(real_root, parts) if os.open in os.supports_dir_fd else _opened(path)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _changed(path)
            return FileIdentity.of(descriptor)
        finally:
            os.close(descriptor)
    except PermissionError:
        raise  # said like that of any other file
    except (OSError, ValueError):
        raise _changed(path) from None


def check_identity(descriptor: int, expected: FileIdentity | None, path: Path) -> None:
    """Raise PathError unless the open file is the one that was checked; nothing is expected of files without root."""
    if expected is not None and FileIdentity.of(descriptor) != expected:
        raise _changed(path)


def _opened_stepwise(root: Path, parts: tuple[str, ...]) -> int:
    folder = os.open(root, os.O_RDONLY | _STEP)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | _STEP, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(parts[-1] if parts else ".", os.O_RDONLY | _FILE, dir_fd=folder)
    finally:
        os.close(folder)


def _opened(path: Path) -> int:
    if path.resolve() != path:
        raise _changed(path)
    return os.open(path, os.O_RDONLY)


def _changed(path: Path) -> PathError:
    return PathError(
        "a file below the data root must not be replaced while it is opened", found=path.name, hint="Open it again"
    )


def resolve_below(root: str | Path, relative: str | Path) -> Path:
    """Return the real path of `relative` below `root`, every symlink followed.

    An absolute `relative` is accepted when it lies below `root`. Whether something exists outside `root` is not told.

    Raises
    ------
    PathError
        When the path leaves `root`, also by a symlink, does not exist, or is neither a plain file nor a folder.
    """
    real_root = _real(root)
    path = _real(real_root / relative)
    if not path.is_relative_to(real_root):
        raise PathError(
            "a path must stay below the data root, symlinks followed",
            found=relative,
            hint="Copy the file below the data root and give its path from there",
        )
    return existing(path, named=relative)


def existing(path: str | Path, *, named: str | Path | None = None) -> Path:
    """Return `path` when a plain file or a folder stands there; raise `PathError` naming `named` otherwise."""
    found = path if named is None else named
    try:
        if Path(path).is_file() or Path(path).is_dir():
            return Path(path)
        there = Path(path).exists()
    except (OSError, ValueError):  # a NUL character, a name too long for the system, a folder that may not be searched
        there = False
    if there:
        raise PathError("a path must lead to a plain file or a folder", found=found)
    raise PathError("a file or folder must be at the path", found=found, hint="Check the spelling and the permissions")


def _real(path: str | Path) -> Path:
    try:
        return Path(path).resolve()
    except (OSError, ValueError, RuntimeError):  # a NUL character, a name too long, a loop of symlinks
        raise PathError("a path must be one that the system can follow", found=path) from None
