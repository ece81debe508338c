"""The real app in a real browser: Debian's chromium against a server on a free port with a new workspace."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from engine.embeddings.samples import load_sample
from engine.tradeoff import save_sweep, sweep
from engine.workspace import Workspace
from tests.browser.profiles import Profiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from playwright.sync_api import Browser, ConsoleMessage, Page, Response

ROOT = Path(__file__).resolve().parents[2]
ARGUMENTS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
    "--process-per-site",  # a second tab runs in the process of the first, which has compiled the scripts already
    "--js-flags=--no-opt --no-maglev",  # pages live for seconds: optimised scripts do not pay
)
_STARTS_WITHIN_S = 30.0
_ports_left: list[int] = []
_NOT_FOR_APPS = {"DIMSHIFT_DATABASE_URL", "DIMSHIFT_DATA_ROOT", "DIMSHIFT_ADMINS", "DIMSHIFT_WITHOUT_LOGIN"}


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running app."""

    url: str
    workspace: Path


@dataclass(eq=False, kw_only=True)
class Tab:
    """A page on the app, with what it said and asked for."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    _heard: list[tuple[Any, Callable[..., Any]]] = field(default_factory=list)

    def on(self, event: Any, handler: Callable[..., Any]) -> None:
        """Have `handler` called with every event of a kind until the end of the test."""
        self.page.on(event, handler)
        self._heard.append((event, handler))

    def watch(self) -> Tab:
        """Note complaints, requests that were refused, and whom the page asks."""
        self.on("console", lambda said: _note_complaint(self, said))
        self.on("response", lambda answer: _note_refusal(self, answer))
        self.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.on("request", lambda request: self.hosts.add(urlsplit(request.url).hostname or ""))
        self.on("websocket", lambda socket: self.hosts.add(urlsplit(socket.url).hostname or ""))
        return self

    def unwatch(self) -> None:
        """Hear nothing of the page any more: another test may go on with it."""
        for event, handler in () if self.page.is_closed() else self._heard:
            self.page.remove_listener(event, handler)
        self._heard.clear()

    def open(self, path: str = "/") -> Tab:
        """Open an address of the app and wait until it is drawn."""
        self.page.goto(self.url + path)
        return self.settled()

    def settled(self) -> Tab:
        """Wait until the script has run to its end."""
        self.page.wait_for_selector("[data-testid='stApp'][data-test-script-state='notRunning']")
        return self

    def curve(self) -> Tab:
        """Wait until the target chart has painted its line."""
        self.page.wait_for_selector(".st-key-target_chart .scatterlayer .js-line", state="attached")
        return self.settled()

    def key(self, name: str) -> Any:
        """Return the element of the widget with this key."""
        return self.page.locator(f".st-key-{name}")

    def says(self, text: str) -> Tab:
        """Wait until the page shows `text`."""
        self.page.get_by_text(text).first.wait_for()
        return self

    def upload(self, name: str, content: bytes) -> Tab:
        """Upload a corpus on the Datasets page and press Load."""
        self.open("/datasets")
        self.key("source").get_by_text("Upload").click()
        chooser = self.key("upload_corpus").locator("input[type=file]")
        chooser.set_input_files({"name": name, "mimeType": "application/octet-stream", "buffer": content})
        self.page.locator(".st-key-load_upload button:not([disabled])").click()
        return self


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return Debian's chromium; skip without one, or fail where DIMSHIFT_REQUIRE_BROWSER=1 asks for it."""
    path = shutil.which("chromium")
    if path is None:
        reason = "no chromium on the PATH: apt-get install chromium runs the browser tests"
        if os.environ.get("DIMSHIFT_REQUIRE_BROWSER") == "1":
            pytest.fail(f"DIMSHIFT_REQUIRE_BROWSER=1, but {reason}")
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """Start the browser once a worker."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield browser
        browser.close()


@contextmanager
def running_app(
    folder: Path,
    *,
    secrets: Callable[[str], str] | None = None,
    environment: dict[str, str] | None = None,
    start: Sequence[str] = ("-m", "pages.shell.serve"),
) -> Iterator[Server]:
    """Run the app on a free port with its workspace below `folder`; `secrets` writes secrets.toml for its address.

    `start` are the arguments of Python that start it.
    """
    port = _take_port()
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_APPS}
    variables = {**kept, "DIMSHIFT_WORKSPACE": str(folder / "workspace"), **(environment or {})}
    command = [sys.executable, *start, "--server.port", str(port), "--server.headless", "true"]
    server = Server(url=f"http://localhost:{port}", workspace=folder / "workspace")
    if secrets is not None:
        (folder / "secrets.toml").write_text(secrets(server.url), encoding="utf-8")
        command += ["--secrets.files", str(folder / "secrets.toml")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait_for(server, process, folder / "log")
        yield server
    finally:
        process.terminate()
        process.wait(10)
        _ports_left.append(port)


def _take_port() -> int:
    # Where an app ran before another one is put next: the browser has the scripts of that address.
    for port in (*_ports_left, *(random.randint(20_000, 32_000) for _ in range(100))):
        with socket.socket() as tried, suppress(OSError):
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(("127.0.0.1", port))
            if port in _ports_left:
                _ports_left.remove(port)
            return port
    pytest.fail("no port is free between 20,000 and 32,000")


def _wait_for(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{server.url}/_stcore/health", timeout=1) as answer:  # noqa: S310  # localhost
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"the app did not start: {log.read_text()}")


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Server]]:
    """Return what starts the app with an empty workspace; every server ends with the module."""
    with ExitStack() as running:
        yield lambda: running.enter_context(running_app(tmp_path_factory.mktemp("app")))


@pytest.fixture(scope="session")
def app_below() -> Callable[..., AbstractContextManager[Server]]:
    """Return what runs the app with an empty workspace below a folder, for as long as its block."""
    return running_app


@pytest.fixture
def script_app(tmp_path: Path) -> Callable[..., AbstractContextManager[Server]]:
    """Return what runs a Streamlit script of a test's own; `start` is the code that starts Streamlit."""
    path = tmp_path / "script.py"

    def run(script: str, *, start: str) -> AbstractContextManager[Server]:
        path.write_text(script, encoding="utf-8")
        return running_app(tmp_path, start=("-c", start, "run", str(path)))

    return run


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run one app for all tests of a worker, with one sweep of the bundled set in its workspace."""
    with running_app(tmp_path_factory.mktemp("app")) as started:
        with Workspace.open(started.workspace) as workspace:
            save_sweep(workspace, sweep(load_sample("api-reference"), n_queries=200))
        yield started


@pytest.fixture(scope="session")
def profiles(browser: Browser) -> Iterator[Profiles]:
    """Return the browser profiles of a worker, in which every page but the first finds the scripts of the app."""
    made = Profiles(browser)
    yield made
    made.close()


@pytest.fixture
def new_tab(profiles: Profiles) -> Iterator[Callable[..., Tab]]:
    """Return what opens a tab; `apart` as in another browser. None may complain or ask a stranger for anything."""
    tabs: list[Tab] = []
    n_apart = 0

    def open_tab(
        server: Server, *, width: int = 1280, height: int = 900, scheme: Any = "light", apart: bool = False
    ) -> Tab:
        nonlocal n_apart
        profile = profiles.apart(n_apart) if apart else profiles.shared
        n_apart += apart
        tab = Tab(page=profile.page(), url=server.url)
        tabs.append(tab)
        tab.page.set_viewport_size({"width": width, "height": height})
        tab.page.emulate_media(color_scheme=scheme)
        return tab.watch()

    yield open_tab
    for tab in tabs:
        tab.unwatch()
    profiles.leave()
    for tab in tabs:
        assert not tab.complaints
        assert tab.hosts <= {"localhost", ""}, "the app asked another machine"


def _note_complaint(tab: Tab, said: ConsoleMessage) -> None:
    # Refused requests say nothing about which; _note_refusal does.
    if said.type == "error" and "Failed to load resource" not in said.text:
        tab.complaints.append(said.text)


def _note_refusal(tab: Tab, answer: Response) -> None:
    # Streamlit looks for its server below the page's address first, then at the root.
    looking = "/_stcore/" in urlsplit(answer.url).path
    if answer.status >= 400 and not looking:
        tab.complaints.append(f"{answer.status} {answer.url}")


@pytest.fixture
def tab(new_tab: Callable[..., Tab], server: Server) -> Tab:
    """Return a tab at 1280 px in light colours."""
    return new_tab(server)
