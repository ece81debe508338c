"""What a run of a page has sent reaches the browser before a poll begins the next run; see also tests/browser."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.runtime.app_session import AppSession, AppSessionState
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import RerunData, ScriptRunner
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequests
from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext

from pages.shell import late_polls, late_widgets, nudges, serve


class Runner:
    """A run whose thread has ended, or one that still takes requests."""

    def __init__(self, *, is_ended: bool) -> None:
        self.is_ended = is_ended
        self.asked: list[RerunData] = []

    def request_rerun(self, asked: RerunData) -> bool:
        """Take the request unless the thread has ended."""
        if not self.is_ended:
            self.asked.append(asked)
        return not self.is_ended


class Session:
    """As much of a session as starts runs, with what happened in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, runner: Runner | None) -> None:
        self._event_loop = loop
        self._scriptrunner = runner
        self._state = AppSessionState.APP_NOT_RUNNING
        self.happened: list[str] = []
        self.fragments = {"poll"}

    def has_fragment(self, fragment_id: str) -> bool:
        """Tell whether the page still has it."""
        return fragment_id in self.fragments


@pytest.fixture(autouse=True)
def _noted(monkeypatch: pytest.MonkeyPatch) -> None:
    def create(session: Any, _asked: RerunData) -> None:
        session.happened.append("started")
        session._scriptrunner = Runner(is_ended=False)

    monkeypatch.setattr(late_polls, "_create", create)


def begin(runner: Runner | None, *, polls: int = 1, leaves: bool = False) -> Session:
    """Let polls come while the end of the run before waits in the loop, and return the session afterwards."""

    async def scene() -> Session:
        loop = asyncio.get_running_loop()
        session = Session(loop, runner)
        if runner is not None:
            loop.call_soon(session.happened.append, "rest of the page")
        for _ in range(polls):
            late_polls._create_afterwards(session, RerunData(fragment_id="poll"))  # type: ignore[arg-type]  # enough of one
        if leaves:
            session.fragments.clear()
        await asyncio.sleep(0.01)
        return session

    # In a thread of its own: a browser test before this one leaves a loop in the main one.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(scene())).result()


def test_the_rest_of_the_page_comes_before_the_poll() -> None:
    """A poll that finds an ended run waits for what that still has in the queue; a second joins the first."""
    session = begin(Runner(is_ended=True), polls=2)
    assert session.happened == ["rest of the page", "started"]
    assert session._scriptrunner is not None
    assert [asked.fragment_id for asked in session._scriptrunner.asked] == ["poll"]


def test_a_first_run_starts_at_once_and_a_page_that_was_left_not_at_all() -> None:
    """Without a run before there is nothing to wait for; a fragment that went with its page is not run."""
    assert begin(None).happened == ["started"]
    assert begin(Runner(is_ended=True), leaves=True).happened == ["rest of the page"]


@pytest.mark.parametrize(
    ("waiting", "asked", "page", "fragments"),
    [
        (RerunData(page_script_hash="new"), RerunData(fragment_id="poll", page_script_hash="old"), "new", []),
        (RerunData(page_script_hash="new"), RerunData(fragment_id_queue=["a"], page_script_hash="old"), "new", []),
        (RerunData(page_script_hash="new"), RerunData(fragment_id="poll", page_script_hash="new"), "new", []),
        (RerunData(page_script_hash="old"), RerunData(page_script_hash="new"), "new", []),
        (RerunData(fragment_id="a", page_script_hash="old"), RerunData(page_script_hash="new"), "new", []),
        (RerunData(fragment_id="a"), RerunData(fragment_id="poll", page_script_hash="old"), "old", ["a", "poll"]),
        (None, RerunData(fragment_id="poll", page_script_hash="old"), "old", ["poll"]),
    ],
)
def test_a_poll_does_not_take_the_page_of_a_click(
    waiting: RerunData | None, asked: RerunData, page: str, fragments: list[str]
) -> None:
    """A whole run that waits keeps its page when a poll of the page before comes; every other request counts."""
    requests = ScriptRequests()
    if waiting is not None:
        assert late_polls._take_unless_leaving(requests, waiting)
    assert late_polls._take_unless_leaving(requests, asked)
    found = requests.on_scriptrunner_ready().rerun_data
    assert (found.page_script_hash, found.fragment_id_queue) == (page, fragments)


def test_a_stopped_run_takes_no_request() -> None:
    """A poll that comes to a run which was told to stop is refused, so that it gets a run of its own."""
    requests = ScriptRequests()
    requests.request_stop()
    assert not late_polls._take_unless_leaving(requests, RerunData(fragment_id="poll"))


@pytest.mark.parametrize(
    ("version", "is_mended"), [("1.67.0", True), ("1.67.12", True), ("1.670.0", False), ("2.0", False)]
)
def test_another_streamlit_is_left_as_it_is_and_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], version: str, is_mended: bool
) -> None:
    """What was made for the inside of one Streamlit is not tried on another: one sentence says what is missing then."""
    mended: list[bool] = []
    monkeypatch.setattr(late_polls, "mend_late_polls", lambda: mended.append(True))
    monkeypatch.setattr(late_widgets, "mend_late_widgets", lambda: mended.append(True))
    monkeypatch.setattr(nudges, "tell_page_runs_apart", lambda: mended.append(True))
    monkeypatch.setattr("streamlit.__version__", version)
    serve.mend_streamlit()
    assert mended == ([True] * 3 if is_mended else [])
    said = capsys.readouterr().err
    assert (said == "") if is_mended else said.count("\n") == 1 and f"found Streamlit {version}," in said


def test_streamlit_has_what_is_replaced() -> None:
    """A Streamlit that starts runs in another way is noticed here and not by readers in front of a blank page."""
    assert AppSession._create_scriptrunner.__code__.co_varnames[:2] == ("self", "initial_rerun_data")
    assert {"_scriptrunner", "_event_loop", "_state"} <= set(AppSession.__init__.__code__.co_names)
    assert ScriptRunner._run_script.__code__.co_varnames[:2] == ("self", "rerun_data")
    assert ScriptRequests._request_rerun_locked.__code__.co_varnames[:2] == ("self", "new_data")
    assert {"_state", "_rerun_data"} <= set(ScriptRequests.__init__.__code__.co_names)
    assert "_pages_manager" in ScriptRunner.__init__.__code__.co_names
    assert "_pages_manager" in AppSession.__init__.__code__.co_names
    assert AppSession.request_rerun.__code__.co_varnames[:2] == ("self", "client_state")
    assert PagesManager.set_script_intent.__code__.co_varnames[:3] == ("self", "page_script_hash", "page_name")
    for name in ("page_script_hash", "query_string", "fragment_id", "widget_states", "is_history_navigation"):
        assert name in ClientState.DESCRIPTOR.fields_by_name, "what late widgets read"
    assert {"page_script_hash", "fragment_id_queue"} <= set(RerunData.__dataclass_fields__)
    for name in ("_enqueue_forward_msg", "_call_soon_on_event_loop", "has_fragment"):
        assert callable(getattr(AppSession, name)), "what nudges reach for"
    assert "fragment_ids_this_run" in inspect.signature(ScriptRunContext.reset).parameters
    assert "fragment_ids_this_run" in ScriptRunner._run_script.__code__.co_varnames
    assert "pages_manager" in ScriptRunContext.__dataclass_fields__
