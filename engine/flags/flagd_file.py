"""The flag file that clients read: written whole or not at all, never by an older state, and checked before."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import WorkspaceError
from engine.flags.flagd_format import DIGEST, FLAG_SET, OF_THE_MOMENT, content_sha256, file_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from engine.workspace import JsonValue

FILE_NAME = "flags.flagd.json"

_MOST_KEPT = 99
_LARGEST_FILE = 64 << 20
# Clients reload when the file's time has grown. Two writes within one tick of the disk's clock would leave them with
# the first, and so would a clock that was set back.
_TICK_NS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class FoundFile:
    """What stands where the flag file belongs; `problem` says what is wrong with it, empty when nothing is.

    `document` is None when it is missing or cannot be read as a flag file of this workspace.
    """

    document: dict[str, Any] | None = None
    problem: str = ""
    sha256: str = ""


class FlagFile:
    """The flag file in `folder`. Its writers hold the lock of the workspace's database while they write."""

    def __init__(self, folder: Path, *, workspace_id: str) -> None:
        self.path = folder / FILE_NAME
        self._workspace_id = workspace_id

    def found(self) -> FoundFile:
        """Read and check the file. Raises WorkspaceError when the disk refuses."""
        try:
            if self.path.stat().st_size > _LARGEST_FILE:
                return FoundFile(problem="it is larger than any that was written", sha256="too large")
            data = self.path.read_bytes()
        except FileNotFoundError:
            return FoundFile()
        except OSError as error:
            raise _disk_refuses(error) from error
        return self._checked(data)

    def _checked(self, data: bytes) -> FoundFile:
        import hashlib

        sha256 = hashlib.sha256(data).hexdigest()
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            return FoundFile(problem="it is cut off or no JSON", sha256=sha256)
        try:
            metadata = document["metadata"]
            is_ours = metadata[FLAG_SET] == self._workspace_id
            is_intact = metadata[DIGEST] == content_sha256(document) and data == file_text(document).encode("ascii")
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
            is_ours, is_intact = True, False
        if not is_ours:
            return FoundFile(problem="it is of another workspace", sha256=sha256)
        if not is_intact:
            return FoundFile(problem="it was edited by hand", sha256=sha256)
        return FoundFile(document=document, sha256=sha256)

    def write(self, document: Mapping[str, JsonValue]) -> None:
        """Put `document` in the place of the file, in one step. Raises WorkspaceError when the disk refuses."""
        partial = self.path.with_name(f"{FILE_NAME}.partial")
        try:
            with suppress(FileNotFoundError):
                partial.unlink()  # of a writer that died; nobody else writes now
            with partial.open("x", encoding="ascii", newline="\n") as file:
                file.write(file_text(document))
                file.flush()
                moment = self._next_moment()
                os.utime(file.fileno() if os.utime in os.supports_fd else partial, ns=(moment, moment))
                os.fsync(file.fileno())
            partial.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            raise _disk_refuses(error) from error

    def _next_moment(self) -> int:
        moment = time.time_ns()
        with suppress(OSError):
            moment = max(moment, self.path.stat().st_mtime_ns + _TICK_NS)
        return moment

    def keep_aside(self) -> str:
        """Give the file a second name, ``flags.flagd.json.damaged-<n>``, and return it.

        The file stays in place until it is replaced, so that no client sees it missing.
        """
        names = [self.path.with_name(f"{FILE_NAME}.damaged-{n}") for n in range(1, _MOST_KEPT + 1)]
        aside = next((name for name in names if not name.exists() and not name.is_symlink()), names[-1])
        try:
            with suppress(FileNotFoundError):
                aside.unlink()
            try:
                os.link(self.path, aside)
            except OSError:  # a file system without second names
                shutil.copy2(self.path, aside)
        except OSError as error:
            raise _disk_refuses(error) from error
        return aside.name


def is_same_content(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two flag files say the same about every flag, whenever they were written."""
    return _lasting(one) == _lasting(other)


def _lasting(document: Mapping[str, Any]) -> str:
    metadata = {key: value for key, value in document["metadata"].items() if key not in OF_THE_MOMENT}
    return json.dumps({**document, "metadata": metadata})  # text: 1, 1.0 and true are not the same


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # where folders cannot be opened, the rename is as durable as it gets
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _disk_refuses(error: OSError) -> WorkspaceError:
    return WorkspaceError(
        f"{FILE_NAME} must be readable and writable: the database holds every change, flag clients do not see it yet",
        found=error.strerror,
        hint="Make room or mend the permissions in the workspace folder, then run dimshift flags check",
    )
