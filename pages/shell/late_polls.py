"""Keep Streamlit from losing a page, or the end of one, when a poll comes at the wrong moment.

A poll is a fragment that asks by itself to run. Some moments are wrong; the busier the machine, the more often they
come, and of twenty sessions on two cores some met each:

- Just after the thread of the last run has ended. Streamlit starts the next run at once and from then on ignores
  whatever of the last run still waits for the event loop: the browser never gets the rest of the page, and a finished
  upload, say, never shows.
- While a run leads to another page. The poll still names the page that it was sent from, its run says so to the
  browser, and the browser clears the page that it has just drawn: the tab goes blank, and the next poll on it fails
  with "Cannot set a node at a delta path".
- While the run of another page waits to begin. Streamlit makes one request of both and takes the page of the later one:
  the reader stays where they were, and the click on the other page is lost.
- While the run of another page begins. The poll is told to stop, but before it notices it says that its own page is the
  one to draw, and the run of the other page draws that.
"""

# ruff: noqa: SLF001  # Streamlit offers no other way in

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlit.runtime.app_session import AppSession, AppSessionState
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import ScriptRunner, get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequests, ScriptRequestType

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.runtime.scriptrunner import RerunData

_create: Callable[[AppSession, RerunData], None] = AppSession._create_scriptrunner
_take: Callable[[ScriptRequests, RerunData], bool] = ScriptRequests._request_rerun_locked
_run: Callable[[ScriptRunner, RerunData], None] = ScriptRunner._run_script


def mend_late_polls() -> None:
    """Run a fragment only after what the run before it has sent, and not from a page that was left; once a process."""
    AppSession._create_scriptrunner = _create_afterwards  # type: ignore[method-assign]  # no other way in
    ScriptRequests._request_rerun_locked = _take_unless_leaving  # type: ignore[method-assign]  # no other way in
    ScriptRunner._run_script = _run_unless_left  # type: ignore[method-assign]  # no other way in
    PagesManager.set_script_intent = _unless_stopped(PagesManager.set_script_intent)  # type: ignore[method-assign]
    PagesManager.set_current_page_script_hash = _unless_stopped(  # type: ignore[method-assign]
        PagesManager.set_current_page_script_hash
    )


def _create_afterwards(session: AppSession, asked: RerunData) -> None:
    ended, fragment_id = session._scriptrunner, asked.fragment_id
    if ended is None or not fragment_id:
        _create(session, asked)
        return

    def create() -> None:
        if session._state == AppSessionState.SHUTDOWN_REQUESTED or not session.has_fragment(fragment_id):
            return  # the tab was closed, or the page left, in the meantime
        current = session._scriptrunner
        if current is None or current is ended:
            _create(session, asked)
        elif not current.request_rerun(asked):
            _create_afterwards(session, asked)

    # It had put everything into the loop's queue before it refused this run, and the queue keeps its order.
    session._event_loop.call_soon(create)


def _take_unless_leaving(requests: ScriptRequests, asked: RerunData) -> bool:
    is_of_fragment = bool(asked.fragment_id or asked.fragment_id_queue)
    if is_of_fragment and requests._state == ScriptRequestType.RERUN:
        waiting = requests._rerun_data
        if not waiting.fragment_id_queue and waiting.page_script_hash != asked.page_script_hash:
            return True  # as good as taken: the fragment's page is about to be left
    return _take(requests, asked)


def _run_unless_left(runner: ScriptRunner, asked: RerunData) -> None:
    # Only whole runs lead to another page: a poll that names another one than the open page was sent before that.
    if asked.fragment_id_queue and asked.page_script_hash != runner._pages_manager.current_page_script_hash:
        return
    _run(runner, asked)


def _unless_stopped(say: Callable[..., None]) -> Callable[..., None]:
    """Return `say`, which says what page is open or to be opened, for runs that have not been told to stop."""

    def say_unless_stopped(pages: PagesManager, *page: str) -> None:
        context = get_script_run_ctx(suppress_warning=True)
        requests = None if context is None else context.script_requests
        if requests is None or requests._state != ScriptRequestType.STOP:
            say(pages, *page)

    return say_unless_stopped
