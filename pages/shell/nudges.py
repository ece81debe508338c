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
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import Runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.shell import streamlit_inside

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.runtime.app_session import AppSession
    from streamlit.runtime.pages_manager import PagesManager
    from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext

_LOOK_S = 0.1
_POLL_NOW_S = 0.05
_BACK_TO_USUAL_S = 0.5
_AGAIN_S = 3.0

_log = logging.getLogger(__name__)
_page_runs: WeakKeyDictionary[PagesManager, object] = WeakKeyDictionary()
"""Of every session what stands for the last run of a whole page."""


def tell_page_runs_apart() -> None:
    """Have nobody nudged who was drawn by an earlier run of the page than the last; once a process.

    Streamlit keeps the fragments of a page after one that ended by ``st.stop``: what such a fragment draws, the browser
    has no place for, and the tab goes blank.
    """
    from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext

    reset = ScriptRunContext.reset

    def reset_and_tell(context: ScriptRunContext, **options: Any) -> None:
        if not options["fragment_ids_this_run"]:
            _page_runs[context.pages_manager] = object()
        reset(context, **options)

    ScriptRunContext.reset = reset_and_tell  # type: ignore[assignment,method-assign]  # no other way in


@dataclass(eq=False, kw_only=True)
class _Listener:
    drawn: object
    current: Callable[[], object]
    poll_s: float
    page_run: object
    nudged_at: float

    def is_of(self, session: AppSession, fragment_id: str) -> bool:
        """Tell whether the session shows the fragment, as the last run of its page has drawn it."""
        return session.has_fragment(fragment_id) and _page_runs.get(session._pages_manager) is self.page_run


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
            self._listeners[key] = _Listener(
                drawn=drawn,
                current=current,
                poll_s=poll_s,
                page_run=_page_runs.get(context.pages_manager),
                nudged_at=nudged_at,
            )
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
            if session is None or not listener.is_of(session, fragment_id):
                with self._lock:
                    if self._listeners.get(key) is listener:
                        del self._listeners[key]
            elif now - listener.nudged_at > _AGAIN_S and _has_changed(listener):
                listener.nudged_at = now
                _nudge(session, fragment_id, listener)


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


def _nudge(session: AppSession, fragment_id: str, listener: _Listener) -> None:
    def poll_every(seconds: float) -> None:
        if listener.is_of(session, fragment_id):
            message = ForwardMsg()
            message.auto_rerun.interval = seconds
            message.auto_rerun.fragment_id = fragment_id
            session._enqueue_forward_msg(message)

    def poll_now() -> None:
        poll_every(_POLL_NOW_S)
        session._event_loop.call_later(_BACK_TO_USUAL_S, poll_every, listener.poll_s)

    session._call_soon_on_event_loop(poll_now)
