"""How long work reports its progress and learns that it was cancelled."""

from __future__ import annotations

from collections.abc import Callable

from engine.errors import CancelledError

Progress = Callable[[float, str], None]
"""Called with the finished share (0..1) and a short present-tense sentence."""

Cancelled = Callable[[], bool]
"""Asked between blocks of work; true stops it."""


def ignore_progress(_share: float, _message: str) -> None:
    """Report to nobody."""


def never_cancelled() -> bool:
    """Go on to the end."""
    return False


def stop_if(cancelled: Cancelled) -> None:
    """Raise `CancelledError` when the work was cancelled."""
    if cancelled():
        raise CancelledError
