"""The app behind a real nginx that is configured by the very block of the README."""

from __future__ import annotations

import io
import re
import secrets
import shutil
import socket
import ssl
import subprocess
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pages.shell.frame import PAGES
from tests.browser.conftest import ARGUMENTS, ROOT, Tab
from tests.browser.nginx import documented_block, documented_host, running_nginx, write_configuration
from tests.browser.oidc_provider import CLIENT_ID, running_provider
from tests.web import free_port, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from playwright.sync_api import Browser, ConsoleMessage, Response

    from tests.browser.conftest import Server
    from tests.browser.nginx import Proxy

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

MEBIBYTES_OF_THE_APP = 200


@pytest.fixture(scope="module")
def nginx(program: Callable[..., str]) -> str:
    """Return the program."""
    return program("nginx", package="nginx-light", runs="the tests of the app behind a proxy")


@pytest.fixture(scope="module")
def front(
    nginx: str,
    told_workspace: Path,
    app_below: Callable[..., AbstractContextManager[Server]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    """Run an app on a workspace that holds everything, behind nginx."""
    folder = tmp_path_factory.mktemp("front")
    shutil.copytree(told_workspace, folder / "workspace")
    with app_below(folder) as server, running_nginx(nginx, folder, app_url=server.url, port=free_port()) as proxy:
        yield proxy


class Visitor:
    """A tab that came through a proxy, what it and its frames complained of, and every answer to it."""

    def __init__(self, tab: Tab) -> None:
        self.tab = tab
        self.answers: list[Response] = []
        self.sockets: list[str] = []
        self.failures: list[str] = []
        tab.page.on("console", self._note)
        tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
        tab.page.on("requestfailed", lambda request: self.failures.append(f"{request.failure} {request.url}"))
        tab.page.on("response", lambda answer: self.answers.append(answer))  # noqa: PLW0108  # playwright marks what it is given
        tab.page.on("websocket", lambda socket: self.sockets.append(socket.url))

    def refused(self) -> list[str]:
        """Return what was not there, but for Streamlit's server, which looks for itself below a page first."""
        return [f"{one.status} {one.url}" for one in self.answers if one.status >= 400 and "/_stcore/" not in one.url]

    def _note(self, said: ConsoleMessage) -> None:
        # Of what was refused `refused` says more.
        if said.type == "error" and "Failed to load resource" not in said.text:
            self.tab.complaints.append(said.text)


@contextmanager
def visiting(browser: Browser, chromium: str, proxy: Proxy) -> Iterator[Visitor]:
    """Open a tab in a browser that finds the host of the proxy; nothing in it may have complained in the end."""
    started = browser.browser_type.launch(executable_path=chromium, args=[*ARGUMENTS, proxy.resolver_rule])
    try:
        page = started.new_context(ignore_https_errors=True).new_page()
        page.set_viewport_size({"width": 1280, "height": 900})
        visitor = Visitor(Tab(page=page, url=proxy.url))
        yield visitor
    finally:
        started.close()
    assert visitor.tab.complaints == []


@pytest.fixture
def visitor(browser: Browser, chromium: str, front: Proxy) -> Iterator[Visitor]:
    """Return a tab that comes through the proxy."""
    with visiting(browser, chromium, front) as one:
        yield one


def documented_headers() -> dict[str, str]:
    found = re.findall(r'add_header (\S+) (?:"([^"]*)"|(\S+)) always;', documented_block())
    return {name.lower(): quoted or plain for name, quoted, plain in found}


def test_nginx_takes_the_block_as_it_stands(nginx: str, tmp_path: Path) -> None:
    """`nginx -t` accepts the block of the README, given a certificate where it says there is one."""
    file = write_configuration(tmp_path, app_port=8501, port=free_port())
    command = [nginx, "-t", "-p", str(tmp_path), "-e", str(tmp_path / "error.log"), "-c", str(file)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr


def test_every_page_works_through_the_proxy(visitor: Visitor) -> None:
    """Every page is drawn over TLS with its WebSocket, asks nobody else, and breaks no rule of the security headers."""
    tab = visitor.tab
    for spec in PAGES:
        if not spec.needs_login:
            tab.open(f"/{spec.url}")
            assert tab.page.get_by_text("Page not found").count() == 0, spec.title
    assert len(visitor.sockets) >= len(PAGES) - 1
    host = documented_host()
    assert all(one.startswith(f"wss://{host}/") for one in visitor.sockets)
    # Blobs and data are of the page itself.
    elsewhere = {one.url for one in visitor.answers if not one.url.startswith((f"https://{host}/", "blob:", "data:"))}
    assert elsewhere == set()
    assert visitor.refused() == []


def test_every_answer_has_the_documented_headers(visitor: Visitor) -> None:
    """The page, its scripts, fonts, and what is not there: each answer has every security header, as documented."""
    expected = documented_headers()
    assert {"strict-transport-security", "x-content-type-options", "content-security-policy"} <= set(expected)
    visitor.tab.open("/sweep").curve()
    kinds = {re.sub(r".*\.", ".", one.url.partition("?")[0])[-6:] for one in visitor.answers}
    assert {".js", ".css", ".woff2"} <= kinds
    visitor.tab.page.evaluate("fetch('/media/nothing.csv').then(answer => answer.text())")
    for answer in visitor.answers:
        if answer.url.startswith("https:"):
            got = answer.all_headers()
            assert {name: got.get(name) for name in expected} == expected, answer.url
    assert 404 in {one.status for one in visitor.answers}


def test_report_and_slides_are_drawn_and_given(visitor: Visitor) -> None:
    """Charts of the report and the slides, which bring scripts of their own, are drawn; the file is downloaded."""
    tab = visitor.tab.open("/report")
    tab.key("report_show_curves").locator("summary").click()
    tab.page.wait_for_selector(".st-key-report_show_curves .scatterlayer path", state="attached")
    with tab.page.expect_download() as given:
        tab.key("report_html").locator("button").first.click()
    assert given.value.path().read_bytes().startswith(b"<!DOCTYPE html>")
    tab.open("/present").key("slide_stage").locator("h1").wait_for()
    tab.page.keyboard.press("ArrowRight")
    tab.page.wait_for_selector(".st-key-slide_kept .scatterlayer path", state="attached")


def test_a_set_is_uploaded_and_swept(visitor: Visitor) -> None:
    """An upload larger than nginx keeps in memory goes through, and its set is swept."""
    buffer = io.BytesIO()
    np.save(buffer, np.random.default_rng(0).standard_normal((20_000, 64)).astype(np.float32))
    assert buffer.tell() > 5_000_000
    tab = visitor.tab.upload("mine.npy", buffer.getvalue()).says("Sweep this set")
    tab.page.get_by_text("Sweep this set").click()
    tab.key("run_sweep").locator("button").click()
    tab.says("mine · ").curve()


@pytest.mark.parametrize(("extra", "status"), [(4_096, b"100"), (4 << 20, b"413")])
def test_uploads_are_limited_where_the_app_limits_them(front: Proxy, extra: int, status: bytes) -> None:
    """The form around a file of exactly the app's limit is let through, one far above it is not: no byte was sent."""
    assert f"maxUploadSize = {MEBIBYTES_OF_THE_APP}\n" in (ROOT / ".streamlit" / "config.toml").read_text()
    size = (MEBIBYTES_OF_THE_APP << 20) + extra
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    head = (
        f"PUT /_stcore/upload_file/a/b HTTP/1.1\r\nHost: {front.host}\r\nContent-Length: {size}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nExpect: 100-continue\r\n\r\n"
    )
    with (
        socket.create_connection(("127.0.0.1", front.port), timeout=10) as plain,
        trusting.wrap_socket(plain, server_hostname=front.host) as connection,
    ):
        connection.sendall(head.encode())
        assert connection.recv(64).split(b" ")[1] == status


def test_nobody_puts_the_app_into_a_frame_of_theirs(visitor: Visitor) -> None:
    """A page of somebody else that frames the app gets nothing of it."""
    page = visitor.tab.page
    with _somebody_elses(
        f"<!doctype html><title>x</title><iframe src='{visitor.tab.url}/sweep'></iframe>"
    ) as elsewhere:
        with page.expect_event("requestfailed") as refused:
            page.goto(elsewhere)
        assert refused.value.url == f"{visitor.tab.url}/sweep"
        assert "BLOCKED_BY_RESPONSE" in refused.value.failure
        assert page.frame_locator("iframe").locator("[data-testid=stApp]").count() == 0
    assert all("frame" in said for said in visitor.tab.complaints)
    visitor.tab.complaints.clear()  # the browser says that it refused this one


def test_people_sign_in_through_the_proxy(
    browser: Browser,
    chromium: str,
    nginx: str,
    app_below: Callable[..., AbstractContextManager[Server]],
    tmp_path: Path,
) -> None:
    """A sign-in comes back to the proxy's address, and its cookies are sent over TLS only and hidden from scripts."""
    port = free_port()
    ada = {"ada": {"name": "Ada", "email": "ada@example.com", "email_verified": True}}
    with running_provider(ada) as provider:

        def written(_: str) -> str:
            return (
                f'[auth]\nredirect_uri = "https://{documented_host()}/oauth2callback"\n'
                f'cookie_secret = "{secrets.token_urlsafe(32)}"\nclient_id = "{CLIENT_ID}"\n'
                f'client_secret = "{provider.client_secret}"\n'
                f'server_metadata_url = "{provider.url}/.well-known/openid-configuration"\n'
            )

        with (
            app_below(tmp_path, secrets=written, environment={"DIMSHIFT_ADMINS": "ada@example.com"}) as server,
            running_nginx(nginx, tmp_path, app_url=server.url, port=port) as proxy,
            visiting(browser, chromium, proxy) as visitor,
        ):
            tab = visitor.tab
            tab.open().key("log_in_").locator("button").click()
            tab.page.get_by_role("link", name="ada").click()
            tab.key("who").get_by_text("Ada · Admin").wait_for()
            assert tab.page.url.startswith(proxy.url)
            cookies = {one["name"]: one for one in tab.page.context.cookies(proxy.url)}
            signed_in = [one for name, one in cookies.items() if "user" in name]
            assert signed_in
            assert all(one["httpOnly"] for one in signed_in)
            assert all(one["secure"] for one in cookies.values()), cookies
            tab.open("/people").says("What each role may do")


@contextmanager
def _somebody_elses(page: str) -> Iterator[str]:
    """Serve one page on an address of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with serving(Handler) as port:
        yield f"http://127.0.0.1:{port}/"
