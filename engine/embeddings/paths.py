"""Keep what users name below the folder that they may read."""

from __future__ import annotations

from pathlib import Path

from engine.errors import PathError


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
