"""Twenty browser sessions at once against one app: how quick a rerun is, what goes wrong, and what memory stays.

``python tests/benchmarks/soak.py soak`` prints the figures. The app runs as users start it, with a clock around
Streamlit's own runs of a script: a rerun is timed from the moment when the server has the click until the page is
through, waiting for another run included. Twenty browsers on the same cores take most of them, which a server's users
do not do: they run at the lowest priority. What they take to draw a page is told apart.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.async_api import Browser, Page, Playwright

ROOT = Path(__file__).resolve().parents[2]
N_SESSIONS = 20
_CLOCKED = "DIMSHIFT_SOAK_CLOCK"
_TTL_S = 5
_STEP_MS = 180_000
_PAUSE_S = 1.0
_PAGES = ("datasets", "sweep", "queries", "nesting", "serving", "compare", "flags", "rollout", "plan", "report")
_ROW_ID = re.compile(r"\bs(\d\d)-(?:doc|query)-\d+")
_SET_NAME = re.compile(r"soak-(\d\d)")
BROWSER = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-gpu")
DRAWN = "[data-testid='stApp'][data-test-script-state='notRunning']"


@dataclass(kw_only=True)
class Seen:
    """What one session did and saw."""

    number: int
    drawn_s: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    strangers: set[str] = field(default_factory=set)
    n_sweeps: int = 0


def upload_of(number: int) -> tuple[str, bytes]:
    """Return the name and the Parquet bytes of the set of one session: its ids and texts name the session."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(number)
    rows = rng.standard_normal((400, 32), dtype=np.float32) * np.geomspace(1, 0.1, 32, dtype=np.float32)
    ids = [f"s{number:02d}-doc-{row}" for row in range(len(rows))]
    columns = {"id": ids, "text": [f"text of {name}" for name in ids], "embedding": list(rows)}
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written)
    return f"soak-{number:02d}.parquet", written.getvalue()


async def _settled(page: Page) -> None:
    await page.wait_for_selector(DRAWN, timeout=_STEP_MS)


async def _look(page: Page, seen: Seen, where: str) -> None:
    """Note errors on the page, and whatever of another session shows on it.

    Runs are stored, so that their names are everybody's; the open set and every id and text are the tab's own.
    """
    await _settled(page)
    if f"/{where}" not in page.url:
        seen.problems.append(f"{where} of {seen.number} is left for {page.url}")
    words = await page.locator("[data-testid='stMain']").inner_text()
    pattern = (_ROW_ID, _SET_NAME) if where == "datasets" else (_ROW_ID,)
    found = {match for one in pattern for match in one.findall(words)}
    seen.strangers |= {f"{where} of {seen.number} shows {other}" for other in found if int(other) != seen.number}
    for mark in ("stException", "stAlertContentError"):
        for said in await page.locator(f"[data-testid='{mark}']").all_inner_texts():
            seen.problems.append(f"{where} of {seen.number}: {said[:300]}")


async def _go(page: Page, seen: Seen, url: str) -> None:
    began = time.perf_counter()
    await page.locator(f"[data-testid='stSidebarNavLink'][href$='/{url}']").click(timeout=_STEP_MS)
    await page.wait_for_url(f"**/{url}*", timeout=_STEP_MS)
    await _settled(page)
    seen.drawn_s.append(time.perf_counter() - began)


async def _upload(page: Page, url: str, number: int) -> None:
    name, content = upload_of(number)
    await page.goto(f"{url}/datasets", timeout=_STEP_MS)
    await _settled(page)
    await page.locator(".st-key-source").get_by_text("Upload").click(timeout=_STEP_MS)
    chooser = page.locator(".st-key-upload_corpus input[type=file]")
    await chooser.set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}, timeout=_STEP_MS
    )
    await page.locator(".st-key-load_upload button:not([disabled])").click(timeout=_STEP_MS)
    await page.get_by_text("Sweep this set").wait_for(timeout=_STEP_MS)


async def _sweep(page: Page, seen: Seen) -> None:
    await _go(page, seen, "datasets")
    await _look(page, seen, "datasets")
    await page.get_by_text("Sweep this set").click(timeout=_STEP_MS)
    await page.locator(".st-key-run_sweep button").click(timeout=_STEP_MS)
    await page.get_by_text(f"soak-{seen.number:02d} · ").first.wait_for(timeout=_STEP_MS)
    await _look(page, seen, "sweep")
    await page.locator(".st-key-k").get_by_text("10", exact=True).click(timeout=_STEP_MS)
    await _look(page, seen, "sweep")
    seen.n_sweeps += 1


async def _session(browser: Browser, url: str, number: int, until: float) -> Seen:
    """Upload a set of one's own, sweep it, and click through the pages until the time has come; at least one round."""
    seen = Seen(number=number)
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(_STEP_MS)
    page = await context.new_page()
    try:
        page.on("pageerror", lambda error: seen.problems.append(f"script of {number} at {page.url}: {error}"))
        await _upload(page, url, number)
        while True:
            await _sweep(page, seen)
            for turn in range(len(_PAGES)):
                chosen = _PAGES[(turn + number) % len(_PAGES)]
                await _go(page, seen, chosen)
                await _look(page, seen, chosen)
                await asyncio.sleep(_PAUSE_S)
                if time.monotonic() > until and seen.n_sweeps:
                    return seen
    except Exception as error:  # noqa: BLE001  # one session that fails is counted, and the others go on
        words = " ".join((await page.locator("body").inner_text()).split())
        problem = f"session {number}: {type(error).__name__}: {str(error)[:300]}"
        seen.problems.append(f"{problem} at {page.url}, which shows {words[-400:]}")
        return seen
    finally:
        await context.close()


async def _sessions(url: str, numbers: range, seconds: float) -> list[Seen]:
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await _launch(playwright)
        until = time.monotonic() + seconds
        seen = await asyncio.gather(*(_session(browser, url, number, until) for number in numbers))
        await browser.close()
        return seen


async def _launch(playwright: Playwright) -> Browser:
    with tempfile.TemporaryDirectory() as folder:
        started = Path(folder) / "chromium"
        # Where Linux shares processors by session, only the session's own niceness counts.
        lowered = "echo 19 2>/dev/null > /proc/self/autogroup"
        browser = f'exec nice -n 19 {shutil.which("chromium")} "$@"'
        started.write_text(f"#!/bin/sh\n{lowered}\n{browser}\n", encoding="utf-8")
        started.chmod(0o755)
        return await playwright.chromium.launch(executable_path=started, args=list(BROWSER))


async def _visit(url: str) -> None:
    """Open one tab and close it: Streamlit lets go of sessions that are over when another one comes or goes."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await _launch(playwright)
        page = await browser.new_page()
        await page.goto(f"{url}/flags", timeout=_STEP_MS)
        await _settled(page)
        await browser.close()


@contextmanager
def running_app(folder: Path, **environment: str) -> Iterator[tuple[str, psutil.Process]]:
    """Run the app with its workspace and its log below `folder`, and yield its address and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, __file__, "serve", "--server.port", port, "--server.headless", "true"]
    command += ["--server.disconnectedSessionTTL", str(_TTL_S)]
    variables = {**os.environ, "DIMSHIFT_WORKSPACE": str(folder / "workspace"), _CLOCKED: str(folder / "reruns")}
    variables |= environment
    variables["PYTHONPATH"] = str(ROOT)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://localhost:{port}"
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).close()  # noqa: S310  # localhost
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((folder / "log").read_text()) from None
                time.sleep(0.1)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


def soak(*, seconds: float | None = None, n_sessions: int = N_SESSIONS) -> dict:
    """Return the 95th percentile of a rerun, what went wrong, and the app's memory before and after the sessions.

    `seconds` is DIMSHIFT_SOAK_S by default, else five minutes. Memory before is that of an app that one session has
    been through, with all libraries loaded.
    """
    lasts = float(os.environ.get("DIMSHIFT_SOAK_S", "300")) if seconds is None else seconds
    with tempfile.TemporaryDirectory(prefix="dimshift-soak-") as name, running_app(Path(name)) as (url, process):
        folder = Path(name)
        warm = asyncio.run(_sessions(url, range(99, 100), 0.0 if n_sessions < N_SESSIONS else 20.0))
        before = _rested(url, process)
        began = (folder / "reruns").stat().st_size
        seen = asyncio.run(_sessions(url, range(n_sessions), lasts))
        peak = process.memory_info().rss / 2**20
        after = _rested(url, process)
        reruns = [json.loads(line) for line in (folder / "reruns").read_text()[began:].splitlines()]
        log = (folder / "log").read_text(errors="replace")
    pages = [run["seconds"] for run in reruns if not run["is_fragment"]]
    polls = [run["seconds"] for run in reruns if run["is_fragment"]]
    drawn = [value for one in seen for value in one.drawn_s]
    return {
        "n_sessions": n_sessions,
        "seconds": lasts,
        "n_reruns": len(pages),
        "p50_rerun_s": _percentile(pages, 50),
        "p95_rerun_s": _percentile(pages, 95),
        "p95_poll_s": _percentile(polls, 95),
        "n_polls": len(polls),
        "p95_drawn_s": _percentile(drawn, 95),
        "n_sweeps": sum(one.n_sweeps for one in seen),
        "least_sweeps": min(one.n_sweeps for one in seen),
        "errors": [problem for one in (*warm, *seen) for problem in one.problems],
        "cross_talk": sorted(stranger for one in seen for stranger in one.strangers),
        "log_errors": [line for line in log.splitlines() if re.search(r"Traceback|Error\b|Exception", line)][:20],
        "memory_mib_before": before,
        "memory_mib_peak": peak,
        "memory_mib_after": after,
    }


def _percentile(seconds: list[float], percent: int) -> float | None:
    return float(np.percentile(seconds, percent)) if seconds else None


def _rested(url: str, process: psutil.Process) -> float:
    """Return the resident MiB of the app once every session is over and let go of."""
    time.sleep(_TTL_S + 1)
    for _ in range(2):  # the second visit lets go of the session of the first one
        asyncio.run(_visit(url))
        time.sleep(_TTL_S + 1)
    return process.memory_info().rss / 2**20


def _clocked() -> None:
    """Write down how long every run of a script takes from its request to its end."""
    import threading

    from streamlit.runtime.app_session import AppSession
    from streamlit.runtime.scriptrunner.script_runner import ScriptRunner

    asked: dict[str, float] = {}
    request, run = AppSession.request_rerun, ScriptRunner._run_script
    lock = threading.Lock()
    file = Path(os.environ[_CLOCKED]).open("a", buffering=1)  # noqa: SIM115  # for the life of the process

    def request_rerun(session, client_state):
        if not (client_state and client_state.fragment_id):
            asked.setdefault(session.id, time.perf_counter())
        request(session, client_state)

    def run_script(runner, rerun_data):
        is_fragment = bool(rerun_data.fragment_id_queue or rerun_data.fragment_id)
        now = time.perf_counter()
        began = now if is_fragment else asked.pop(runner._session_id, now)
        try:
            run(runner, rerun_data)
        finally:
            line = {"is_fragment": is_fragment, "seconds": time.perf_counter() - began}
            with lock:
                file.write(json.dumps(line) + "\n")

    AppSession.request_rerun, ScriptRunner._run_script = request_rerun, run_script


def _serve() -> None:
    import runpy

    _clocked()
    sys.argv = [sys.argv[0], *sys.argv[2:]]
    runpy.run_module("pages.shell.serve", run_name="__main__")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve()
    else:
        print(json.dumps({"soak": soak}[sys.argv[1]]()))  # noqa: T201
