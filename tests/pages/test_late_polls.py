"""What a run of a page has sent reaches the browser before a poll begins the next run; see also tests/browser."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.runtime.app_session import AppSession, AppSessionState
from streamlit.runtime.scriptrunner import RerunData, ScriptRunner
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequests

from pages.shell import late_polls


class Runner:
    """A run whose thread has ended, or one that still takes requests."""

    def __init__(self, *, is_ended: bool) -> None:
        self._requests = ScriptRequests()
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


def asked_for(pending: RerunData | None, state: ClientState | None) -> bool:
    """Tell whether a request goes through to a session whose runner still has `pending` to begin."""
    requests = ScriptRequests()
    if pending is not None:
        requests.request_rerun(pending)
    session = SimpleNamespace(_scriptrunner=SimpleNamespace(_requests=requests))
    late_polls._ask_unless_leaving(session, state)  # type: ignore[arg-type]  # enough of one
    return hasattr(session._scriptrunner, "is_asked")


@pytest.mark.parametrize(
    ("pending", "state", "passes"),
    [
        (RerunData(page_script_hash="new"), ClientState(fragment_id="poll", page_script_hash="old"), False),
        (RerunData(page_script_hash="new"), ClientState(fragment_id="poll", page_script_hash="new"), True),
        (RerunData(page_script_hash="new"), ClientState(page_script_hash="old"), True),
        (RerunData(page_script_hash="new"), None, True),
        (RerunData(page_script_hash="new", fragment_id="other"), ClientState(fragment_id="poll"), True),
        (None, ClientState(fragment_id="poll", page_script_hash="old"), True),
    ],
)
def test_a_poll_does_not_take_the_page_of_a_click(
    monkeypatch: pytest.MonkeyPatch, pending: RerunData | None, state: ClientState | None, passes: bool
) -> None:
    """A poll of the page before is dropped while the run of another page waits to begin; all else goes through."""
    monkeypatch.setattr(late_polls, "_ask", lambda session, _state: setattr(session._scriptrunner, "is_asked", True))
    assert asked_for(pending, state) is passes


def test_streamlit_has_what_is_replaced() -> None:
    """A Streamlit that starts runs in another way is noticed here and not by readers in front of a blank page."""
    assert AppSession._create_scriptrunner.__code__.co_varnames[:2] == ("self", "initial_rerun_data")
    assert {"_scriptrunner", "_event_loop", "_state"} <= set(AppSession.__init__.__code__.co_names)
    assert ScriptRunner._run_script.__code__.co_varnames[:2] == ("self", "rerun_data")
    assert AppSession.request_rerun.__code__.co_varnames[:2] == ("self", "client_state")
    assert "_pages_manager" in ScriptRunner.__init__.__code__.co_names
    assert {"page_script_hash", "fragment_id_queue"} <= set(RerunData.__dataclass_fields__)
