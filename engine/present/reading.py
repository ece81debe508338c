"""Read what a workspace holds, one thing after the other, where one damaged thing shall not hide the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.workspace import Workspace

T = TypeVar("T")


class Reader:
    """Reads a workspace; what cannot be read counts as absent, and `problems` name it in a sentence each."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self.problems: list[str] = []

    def attempt(self, what: str, read: Callable[[], T]) -> T | None:
        """Return what `read` returns; None, and a further problem, when the engine refuses."""
        try:
            return read()
        except EngineError as error:
            self.problems.append(f"The {what} cannot be read: {error}")
            return None
