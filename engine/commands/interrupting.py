"""Ctrl-C as a wish that long work carries out at a safe place, so that its record says what happened."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.progress import Cancelled


@contextmanager
def interruptible() -> Iterator[Cancelled]:
    """Yield what tells whether somebody has pressed Ctrl-C; inside the block it does nothing else."""
    wished = threading.Event()
    before = signal.signal(signal.SIGINT, lambda _number, _frame: wished.set())
    try:
        yield wished.is_set
    finally:
        signal.signal(signal.SIGINT, before)
