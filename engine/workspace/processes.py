"""Which process works on something, and whether it still lives: other processes ask, also from other containers."""

from __future__ import annotations

import os
import platform
import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where only processes of the same machine can be told
    fcntl = None  # type: ignore[assignment]  # a module or nothing

_FOLDER = "processes"
_tokens_here: set[str] = set()
# Of this process: another one before it may have had its number, as the first of a container always has.
_held: dict[Path, int] = {}  # descriptors whose locks last as long as this process
_holding = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Owner:
    """The process that does some work: only the one whose token a record holds may go on."""

    host: str
    pid: int
    token: str

    @classmethod
    def this_process(cls) -> Owner:
        """Return an owner with a new token."""
        owner = cls(host=platform.node(), pid=os.getpid(), token=secrets.token_hex(8))
        _tokens_here.add(owner.token)
        return owner

    def is_gone(self) -> bool | None:
        """Tell whether the process has ended; None when it is on another machine."""
        if self.host != platform.node():
            return None
        if self.pid == os.getpid():
            return self.token not in _tokens_here
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


def hold_sign(owner: Owner, folder: Path) -> None:
    """Lock a file of `owner`, this process, below the workspace's `folder` until the process ends, however it ends.

    The lock tells processes of other containers, whose numbers and host names mean nothing here. Where the file system
    has no locks there is none.
    """
    path = _sign(owner, folder)
    with _holding, suppress(OSError):
        if fcntl is None or path in _held:
            return
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        _held[path] = descriptor


def drop_sign(owner: Owner, folder: Path) -> None:
    """Take the file of `owner` away: of this process when it is done, or of one that is gone."""
    path = _sign(owner, folder)
    with _holding, suppress(OSError):
        descriptor = _held.pop(path, None)
        if descriptor is not None:
            os.close(descriptor)
        path.unlink(missing_ok=True)


def is_gone(owner: Owner, folder: Path) -> bool | None:
    """Tell whether the process of `owner` has ended, also on another machine that shares `folder`; None if unknown."""
    gone = owner.is_gone()
    if gone is not None or fcntl is None:
        return gone
    try:
        descriptor = os.open(_sign(owner, folder), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return True


def _sign(owner: Owner, folder: Path) -> Path:
    # The token comes out of a database, and must stay in this folder.
    token = "".join(letter for letter in owner.token if letter in "0123456789abcdef")
    return folder / _FOLDER / f"{token}.lock"
