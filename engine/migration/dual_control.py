"""The settings of a dual search in the workspace: a change is audited and applies at once, in every process."""

from __future__ import annotations

import copy
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from engine.errors import WorkspaceError
from engine.migration.dual_settings import DualSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.workspace import Identity, Workspace

_KIND = "dual search"
_REFRESH_S = 0.2


@dataclass(frozen=True, kw_only=True)
class StoredSettings:
    """Settings with the version that a change must name; 0 before the first change."""

    settings: DualSettings
    version: int


@dataclass(eq=False, kw_only=True)
class _Memory:
    """The settings as one process knows them, whoever asks."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    current: DualSettings
    looked_at: float


class DualControl:
    """Reads and changes the settings of the dual search named `key`; call it for the settings that hold now.

    Calls answer from memory and look at the workspace at most every `refresh_s`, so it can be asked at every request.
    While the workspace cannot be read the last settings hold.
    """

    def __init__(
        self,
        workspace: Workspace,
        key: str = "default",
        *,
        refresh_s: float = _REFRESH_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspace, self._key = workspace, key
        self._refresh_s, self._clock = refresh_s, clock
        self._memory = _Memory(current=self.stored().settings, looked_at=clock())

    def acting_as(self, identity: Identity) -> DualControl:
        """Return a control on the same memory that changes what `identity` may change. Raises AccessError."""
        bound = copy.copy(self)
        bound._workspace = self._workspace.acting_as(identity)  # noqa: SLF001  # a copy of this very object
        return bound

    def __call__(self) -> DualSettings:
        """Return the settings that hold now."""
        memory = self._memory
        with memory.lock:
            if self._clock() - memory.looked_at >= self._refresh_s:
                with suppress(WorkspaceError):  # a search must not fail because the workspace is locked or away
                    memory.current = self.stored().settings
                memory.looked_at = self._clock()
            return memory.current

    def stored(self) -> StoredSettings:
        """Return the settings as the workspace has them, with their version; the defaults before the first change."""
        with self._workspace.records() as ledger:
            record = ledger.get(_KIND, self._key)
        if record is None:
            return StoredSettings(settings=DualSettings(), version=0)
        body: dict[str, Any] = record.body
        return StoredSettings(settings=DualSettings(**body), version=record.version)

    def change(self, settings: DualSettings, *, expected_version: int, actor: str, reason: str = "") -> StoredSettings:
        """Keep `settings` and return them with their new version.

        Raises ConflictError when somebody else changed them since `expected_version` was read.
        """
        with self._workspace.recording() as ledger:
            record = ledger.put(
                _KIND,
                self._key,
                asdict(settings),
                expected_version=expected_version,
                actor=actor,
                action="change dual search",
                reason=reason,
            )
        with self._memory.lock:
            self._memory.current, self._memory.looked_at = settings, self._clock()
        return StoredSettings(settings=settings, version=record.version)
