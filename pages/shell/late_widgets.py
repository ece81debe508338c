"""Keep a click that leads to another page from being undone by a widget of the page that is left.

A click on another page also folds an open popover: the browser asks for the other page, and a moment later, since the
popover tells the script, for the page that it still shows. Streamlit answers the later one, and the reader stays where
they were. Here whatever a widget says after such a click is answered on the page that the click leads to.
"""

# ruff: noqa: SLF001  # Streamlit offers no other way in

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from streamlit.runtime.app_session import AppSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.proto.ClientState_pb2 import ClientState
    from streamlit.runtime.pages_manager import PagesManager


class _Heading(NamedTuple):
    """The page that a reader was led to last, by a click or by the history of their browser."""

    page: str
    query_string: str


_headings: WeakKeyDictionary[PagesManager, _Heading] = WeakKeyDictionary()
_ask: Callable[[AppSession, ClientState | None], None] = AppSession.request_rerun


def mend_late_widgets() -> None:
    """Answer widgets on the page that their reader is on the way to; once a process."""
    AppSession.request_rerun = _ask_on_the_way  # type: ignore[method-assign]  # no other way in


def _ask_on_the_way(session: AppSession, asked: ClientState | None) -> None:
    if asked is not None and not asked.fragment_id and asked.page_script_hash:
        pages = session._pages_manager
        if not _is_of_a_widget(asked, pages):
            _headings[pages] = _Heading(asked.page_script_hash, asked.query_string)
            # Its run says so too, but begins later; a script that then leads elsewhere says that.
            pages.set_script_intent(asked.page_script_hash, "")
        else:
            heading = _headings.get(pages)
            if heading is not None and _is_on_the_way(pages, heading) and asked.page_script_hash != heading.page:
                asked.page_script_hash, asked.query_string = heading
    _ask(session, asked)


def _is_on_the_way(pages: PagesManager, heading: _Heading) -> bool:
    """Tell whether that is still the page to be open: the script has not led elsewhere since, and the app has it."""
    return pages.intended_page_script_hash == heading.page and heading.page in pages.get_pages()


def _is_of_a_widget(asked: ClientState, pages: PagesManager) -> bool:
    """Tell whether a widget asks: the page that it names is the one in the address, where a click names another one."""
    if asked.is_history_navigation or not asked.widget_states.widgets or not asked.HasField("context_info"):
        return False
    page = pages.get_pages().get(asked.page_script_hash)
    return page is not None and page.get("url_pathname") == urlsplit(asked.context_info.url).path.rpartition("/")[2]
