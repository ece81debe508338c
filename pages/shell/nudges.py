"""Have open tabs ask at once when something has changed that they would only notice at their next poll.

A tab that polls quickly costs the server and the browser far more than one that polls every few seconds; what must be
seen within a second, a kill above all, is looked for once in the process, and the tabs concerned are told to poll now.
A nudge that gets lost costs nothing but the wait for the poll.
"""

# ruff: noqa: SLF001  # Streamlit offers no other way to send something to a tab outside a run

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import Runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.shell import streamlit_inside

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.runtime.app_session import AppSession

_LOOK_S = 0.1
_POLL_NOW_S = 0.05
_BACK_TO_USUAL_S = 0.5
_AGAIN_S = 3.0

_log = logging.getLogger(__name__)


@dataclass(eq=False, kw_only=True)
class _Listener:
    drawn: object
    current: Callable[[], object]
    poll_s: float
    nudged_at: float


class Nudges:
    """Looks for what has changed, in a thread of its own that begins with the first listener."""

    def __init__(self, *, look_s: float = _LOOK_S) -> None:
        self._look_s = look_s
        self._listeners: dict[tuple[str, str], _Listener] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def listen(self, drawn: object, current: Callable[[], object], *, poll_s: float) -> None:
        """Have the fragment that calls this poll at once when `current` returns something else than what is `drawn`.

        It polls every `poll_s` seconds in any case. `current` is called in another thread, again and again: it must be
        quick and not touch the state of a session.
        """
        context, fragment_id = get_script_run_ctx(suppress_warning=True), _fragment_id()
        if context is None or fragment_id is None:
            return
        key = (context.session_id, fragment_id)
        with self._lock:
            before = self._listeners.get(key)
            # A tab that has not followed, as somebody types into a dialog, is not told again with every poll.
            nudged_at = before.nudged_at if before is not None and before.drawn == drawn else float("-inf")
            self._listeners[key] = _Listener(drawn=drawn, current=current, poll_s=poll_s, nudged_at=nudged_at)
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._watch, name="nudges", daemon=True)
                self._thread.start()

    def close(self, *, timeout_s: float) -> None:
        """End the thread."""
        self._closing.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)

    def _watch(self) -> None:
        while not self._closing.wait(self._look_s):
            if Runtime.exists():
                self._look(Runtime.instance())

    def _look(self, runtime: Runtime) -> None:
        with self._lock:
            listeners = list(self._listeners.items())
        now = time.monotonic()
        for key, listener in listeners:
            session_id, fragment_id = key
            session = runtime.get_app_session(session_id)
            if session is None or not session.has_fragment(fragment_id):
                with self._lock:
                    if self._listeners.get(key) is listener:
                        del self._listeners[key]
            elif now - listener.nudged_at > _AGAIN_S and _has_changed(listener):
                listener.nudged_at = now
                _nudge(session, fragment_id, listener.poll_s)


def _fragment_id() -> str | None:
    """Return the fragment that runs in this thread; None outside of one, and in a Streamlit that is not known."""
    if not streamlit_inside.is_known():
        return None
    from streamlit.runtime.scriptrunner_utils.script_run_context import ThreadState

    found: str | None = ThreadState.get().fragment_id
    return found


def _has_changed(listener: _Listener) -> bool:
    try:
        return listener.current() != listener.drawn
    except Exception:  # noqa: BLE001  # whatever it is, other tabs shall hear of a kill; the poll tells of it on the page
        _log.debug("a listener failed", exc_info=True)
        return False


def _nudge(session: AppSession, fragment_id: str, poll_s: float) -> None:
    def poll_every(seconds: float) -> None:
        if session.has_fragment(fragment_id):
            message = ForwardMsg()
            message.auto_rerun.interval = seconds
            message.auto_rerun.fragment_id = fragment_id
            session._enqueue_forward_msg(message)

    def poll_now() -> None:
        poll_every(_POLL_NOW_S)
        session._event_loop.call_later(_BACK_TO_USUAL_S, poll_every, poll_s)

    session._call_soon_on_event_loop(poll_now)
