"""Keep Streamlit from losing a page, or the end of one, when a poll comes at the wrong moment.

A poll is a fragment that asks by itself to run. Two moments are wrong; the busier the machine, the more often they
come, and of twenty sessions on two cores several met each:

- Just after the thread of the last run has ended. Streamlit starts the next run at once and from then on ignores
  whatever of the last run still waits for the event loop: the browser never gets the rest of the page, and a finished
  upload, say, never shows.
- While a run leads to another page. The poll still names the page that it was sent from, its run says so to the
  browser, and the browser clears the page that it has just drawn: the tab goes blank, and the next poll on it fails
  with "Cannot set a node at a delta path".
"""

# ruff: noqa: SLF001  # Streamlit offers no other way in

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlit.runtime.app_session import AppSession, AppSessionState
from streamlit.runtime.scriptrunner import ScriptRunner

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.runtime.scriptrunner import RerunData

_create: Callable[[AppSession, RerunData], None] = AppSession._create_scriptrunner
_run: Callable[[ScriptRunner, RerunData], None] = ScriptRunner._run_script


def mend_late_polls() -> None:
    """Run a fragment only after what the run before it has sent, and not from a page that was left; once a process."""
    AppSession._create_scriptrunner = _create_afterwards  # type: ignore[method-assign]  # no other way in
    ScriptRunner._run_script = _run_unless_left  # type: ignore[method-assign]  # no other way in


def _create_afterwards(session: AppSession, asked: RerunData) -> None:
    ended = session._scriptrunner
    if ended is None:
        _create(session, asked)
        return

    def create() -> None:
        if session._state == AppSessionState.SHUTDOWN_REQUESTED:
            return
        if asked.fragment_id and not session.has_fragment(asked.fragment_id):
            return  # the page was left in the meantime
        current = session._scriptrunner
        if current is None or current is ended:
            _create(session, asked)
        elif not current.request_rerun(asked):
            _create_afterwards(session, asked)

    # It had put everything into the loop's queue before it refused this run, and the queue keeps its order.
    session._event_loop.call_soon(create)


def _run_unless_left(runner: ScriptRunner, asked: RerunData) -> None:
    # Only whole runs lead to another page: a poll that names another one than the open page was sent before that.
    if asked.fragment_id_queue and asked.page_script_hash != runner._pages_manager.current_page_script_hash:
        return
    _run(runner, asked)
