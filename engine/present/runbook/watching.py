"""Start a flag client in another process, and wait until it sees the safe variant or another one."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from engine.errors import FlagError, printable
from engine.progress import Cancelled, never_cancelled, stop_if

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Literal

    from engine.flags import Flag

_SCRIPT = Path(__file__).with_name("flag_client.py")
_STARTS_WITHIN_S = 60.0
_ASKS_EVERY_S = 0.05
_ENDS_WITHIN_S = 5.0


class WatchingClient:
    """A client in a process of its own that reads the flag file at `path` for one user of one flag.

    Use it as a context; it is ready when the block begins, and ended when it ends. `name` says which client it is and
    `variant` what the user had at the start. Raises FlagError when the process ends before it is ready.
    """

    def __init__(
        self,
        path: Path,
        flag: Flag,
        user_id: str,
        *,
        reader: Literal["any", "own"] = "any",
        cancelled: Cancelled = never_cancelled,
    ) -> None:
        self._command = [sys.executable, "-P", str(_SCRIPT), str(path), flag.key, flag.kind, user_id, reader]
        self._safe = flag.safe_variant
        self._cancelled = cancelled
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.name = ""
        self.variant = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and script, no shell
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            ready = self._answer(_STARTS_WITHIN_S)
        except BaseException:
            self._end()
            raise
        if ready is None:
            self._end()
            raise FlagError("the client that watches the flags must start", found=f"nothing in {_STARTS_WITHIN_S:g} s")
        self.name, self.variant = str(ready["client"]), str(ready["variant"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def ask(self, *, is_safe: bool) -> None:
        """Have the client say when the user's variant is the safe one, or any other."""
        if self._process.stdin is None:
            raise FlagError("the client that watches the flags must run")
        try:
            self._process.stdin.write(json.dumps({"safe": self._safe, "is_safe": is_safe}) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise FlagError("the client that watches the flags must run", found=error.strerror) from error

    def wait(self, *, since: float, limit_s: float) -> float | None:
        """Return how many seconds after `since` (of `time.monotonic`) the client said so, None when not in time."""
        answer = self._answer(limit_s - (time.monotonic() - since))
        if answer is None:
            return None
        self.variant = str(answer["variant"])
        # By our own clock when its line was here: the way through the pipe counts as propagation, never the reverse.
        return time.monotonic() - since

    def _answer(self, within_s: float) -> dict[str, Any] | None:
        ends_at = time.monotonic() + within_s
        while True:
            stop_if(self._cancelled)
            try:
                line = self._lines.get(timeout=max(0.0, min(_ASKS_EVERY_S, ends_at - time.monotonic())))
            except queue.Empty:
                if time.monotonic() >= ends_at:
                    return None
                continue
            if not line:
                raise FlagError("the client that watches the flags must run", found="it has ended")
            try:
                answer: dict[str, Any] = json.loads(line)
            except ValueError:
                raise FlagError("the client that watches the flags answers in JSON", found=printable(line)) from None
            return answer

    def _read(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._lines.put(line)
        self._lines.put("")

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_ENDS_WITHIN_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # a question that a dead process never took
                    pipe.close()
