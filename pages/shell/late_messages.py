"""Keep Streamlit from losing the end of a page when a poll comes at the wrong moment.

When a fragment asks to run just after the thread of the last run has ended, Streamlit starts the next one at once and
from then on ignores whatever of the last run still waits for the event loop: the browser never gets the rest of the
page, and a finished upload, say, never shows. The busier the machine, the longer things wait there: of twenty sessions
on two cores several met it.
"""

# ruff: noqa: SLF001  # Streamlit offers no other way in

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlit.runtime.app_session import AppSession, AppSessionState

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.runtime.scriptrunner import RerunData

_create: Callable[[AppSession, RerunData], None] = AppSession._create_scriptrunner


def keep_late_messages() -> None:
    """Start the run of a fragment only after what the run before it has sent; once for the process."""
    AppSession._create_scriptrunner = _create_afterwards  # type: ignore[method-assign]  # no other way in


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
