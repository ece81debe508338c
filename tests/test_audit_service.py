"""The audit of dependencies in CI with pip-audit itself; only the advisory service is one of ours."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.web import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_SCRIPT = Path(__file__).resolve().parents[1] / ".ci" / "audit.py"
_SERVICE = "DIMSHIFT_ADVISORIES"
PROBE = {"pip": ("PYSEC-2023-228", "23.3")}


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory):
    """Load the script that CI runs, with pip-audit installed once by the script's own hand."""
    spec = importlib.util.spec_from_file_location("audit", _SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tool = module._installed(tmp_path_factory.mktemp("tool"))
    if tool is None:
        pytest.skip("pip-audit could not be installed: a package index must be in reach")
    module._installed = lambda _: tool
    return module


@contextmanager
def advisory_service(
    advisories: dict[str, tuple[str, str | None]], *, fails_from: int | None = None
) -> Iterator[tuple[str, list[str]]]:
    """Answer in the format of OSV; yield the address and the packages that were asked about.

    `advisories` maps packages to an advisory and the version that fixes it; the answer number `fails_from` and all
    later ones are errors.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's name
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(f"{question['package']['name']}=={question['version']}")
            body = json.dumps(_answer(question, advisories)).encode()
            self.send_response(200 if fails_from is None or len(asked) < fails_from else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    with serving(Handler) as port:
        yield f"http://127.0.0.1:{port}/v1/query", asked


def _answer(question: dict[str, Any], advisories: dict[str, tuple[str, str | None]]) -> dict[str, Any]:
    name = question["package"]["name"]
    if name not in advisories or (name == "pip" and question["version"] != "23.0"):
        return {}
    advisory, fixed = advisories[name]
    events = [{"introduced": "0"}, *([{"fixed": fixed}] if fixed else [])]
    affected = {
        "package": {"name": name, "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": events}],
    }
    return {"vulns": [{"schema_version": "1.6.0", "id": advisory, "summary": "told", "affected": [affected]}]}


def _say(audit: Any, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = audit.main()
    return status, capsys.readouterr().out


def test_a_vulnerability_with_a_fix_fails_and_is_named(audit, monkeypatch, capsys):
    """Status 1, with the package, the version that is installed, the advisory, and the version that fixes it."""
    with advisory_service(PROBE | {"pytest": ("PYSEC-2026-1", "99.1")}) as (url, _):
        monkeypatch.setenv(_SERVICE, url)
        status, said = _say(audit, capsys)
    assert status == 1
    assert f"VULNERABLE, update it: pytest {metadata.version('pytest')}: PYSEC-2026-1, fixed in 99.1" in said
    assert re.search(r"audited (\d+) of \1 packages, 1 to update", said)


def test_nothing_found_passes_and_every_package_was_asked_about(audit, monkeypatch, capsys):
    """Status 0 and the number of packages; the service was asked about each that is installed, in its version."""
    with advisory_service(PROBE) as (url, asked):
        monkeypatch.setenv(_SERVICE, url)
        status, said = _say(audit, capsys)
    assert status == 0
    assert re.search(r"audited (\d+) of \1 packages, 0 to update", said)
    assert {f"{name}=={metadata.version(name)}" for name in ("numpy", "streamlit", "pytest")} <= set(asked)
    assert "VULNERABLE" not in said


def test_a_vulnerability_without_a_fix_is_named_and_passes(audit, monkeypatch, capsys):
    """Nobody here can act on it, so it fails nothing, but it is said."""
    with advisory_service(PROBE | {"numpy": ("PYSEC-2026-2", None)}) as (url, _):
        monkeypatch.setenv(_SERVICE, url)
        status, said = _say(audit, capsys)
    assert status == 0
    assert f"known, without a fix yet: numpy {metadata.version('numpy')}: PYSEC-2026-2" in said


@pytest.mark.parametrize(
    ("advisories", "fails_from", "why"),
    [
        ({}, None, r"no advisory service told of pip==23\.0, which is known to be vulnerable"),
        (PROBE, 1, r"no advisory service told of pip==23\.0, which is known to be vulnerable"),
        (PROBE, 3, "the advisory service stopped answering"),
    ],
)
def test_a_service_that_knows_nothing_or_fails_audits_nothing(audit, monkeypatch, capsys, advisories, fails_from, why):
    """An index without advisories, errors from the start, and errors midway are "NOT AUDITED", never "0 to update"."""
    with advisory_service(advisories, fails_from=fails_from) as (url, _):
        monkeypatch.setenv(_SERVICE, url)
        status, said = _say(audit, capsys)
    assert status == 0
    assert re.search(rf"NOT AUDITED: {why}; nothing is known about vulnerabilities of the \d+ installed", said)
    assert "to update" not in said


def test_the_script_as_ci_runs_it_says_that_nobody_answers():
    """Without a service the whole script, which installs pip-audit itself, passes and says what that means."""
    with advisory_service({}) as (url, _):
        pass
    environment = {**os.environ, _SERVICE: url}
    ran = subprocess.run([sys.executable, str(_SCRIPT)], capture_output=True, text=True, env=environment, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "NOT AUDITED" in ran.stdout
    assert f"name an OSV service that can be reached in {_SERVICE}" in ran.stdout
