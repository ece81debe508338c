"""Ask an advisory service about every installed package: PyPI's, or the OSV service at DIMSHIFT_ADVISORIES.

Fails on a known vulnerability that an update fixes. One without a fix is named only, since nobody here can act on it;
and where the service cannot be reached nothing was audited, which is said in capitals and fails nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

ADVISORIES = "DIMSHIFT_ADVISORIES"
_SECONDS = 60
_SECONDS_FOR_ALL = 600  # a package after the other
_PROBE = "pip==23.0"  # has known vulnerabilities: whoever finds none has not asked


def main() -> int:
    """Audit the environment of this interpreter; return the exit status."""
    lines = _installed_packages()
    with tempfile.TemporaryDirectory() as folder:
        tool = _installed(Path(folder))
        if tool is None:
            return _not_audited(lines, "pip-audit could not be installed")
        if judged(_audited(tool, [_PROBE], Path(folder))).fixable == ():
            return _not_audited(lines, f"no advisory service told of {_PROBE}, which is known to be vulnerable")
        found = judged(_audited(tool, lines, Path(folder), seconds=_SECONDS_FOR_ALL))
    if found.n_audited == 0:
        return _not_audited(lines, "the advisory service stopped answering")
    for text in found.unfixable:
        _say(f"known, without a fix yet: {text}")
    for text in found.fixable:
        _say(f"VULNERABLE, update it: {text}")
    _say(f"audited {found.n_audited} of {len(lines)} packages, {len(found.fixable)} to update")
    return 1 if found.fixable else 0


class Judged:
    """What an audit says: how many packages were looked up, and advisories with and without a fix."""

    def __init__(self) -> None:
        self.n_audited = 0
        self.fixable: tuple[str, ...] = ()
        self.unfixable: tuple[str, ...] = ()


def judged(report: dict[str, Any]) -> Judged:
    """Read the JSON of pip-audit; packages that it skipped, as it does without a network, were not audited."""
    found = Judged()
    for package in report.get("dependencies", []):
        if "skip_reason" in package:
            continue
        found.n_audited += 1
        for one in package.get("vulns", []):
            text = f"{package['name']} {package['version']}: {one['id']}"
            if one.get("fix_versions"):
                found.fixable += (f"{text}, fixed in {', '.join(one['fix_versions'])}",)
            else:
                found.unfixable += (text,)
    return found


def _installed(folder: Path) -> Path | None:
    """Install pip-audit into an environment of its own, so that it adds nothing to what it audits."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "pip-audit>=2.7,<3"]
    return python if _ran(install, seconds=_SECONDS_FOR_ALL) == 0 else None


def _installed_packages() -> list[str]:
    """Return what is installed as requirements, but for what is installed from a folder as ours is."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "list", "--exclude-editable", "--disable-pip-version-check", "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    return [f"{one['name']}=={one['version']}" for one in json.loads(listed.stdout)]


def _audited(python: Path, lines: list[str], folder: Path, *, seconds: int = _SECONDS) -> dict[str, Any]:
    wanted, answer = folder / "wanted.txt", folder / "answer.json"
    wanted.write_text("\n".join(lines) + "\n", encoding="utf-8")
    answer.unlink(missing_ok=True)
    command = [str(python), "-m", "pip_audit", "--requirement", str(wanted), "--no-deps", "--disable-pip"]
    if os.environ.get(ADVISORIES):
        command += ["--vulnerability-service", "osv", "--osv-url", os.environ[ADVISORIES]]
    command += ["--timeout", "10", "--progress-spinner", "off", "--format", "json", "--output", str(answer)]
    _ran(command, seconds=seconds)
    try:
        found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # it crashed or ran out of time: the service is away
        return {}
    return found


def _ran(command: list[str], *, seconds: int = _SECONDS) -> int | None:
    try:
        return subprocess.run(command, capture_output=True, timeout=seconds, check=False).returncode  # noqa: S603  # our own words
    except subprocess.TimeoutExpired:
        return None


def _not_audited(lines: list[str], why: str) -> int:
    _say(f"NOT AUDITED: {why}; nothing is known about vulnerabilities of the {len(lines)} installed packages")
    _say(f"run .ci/audit.py where PyPI is, or name an OSV service that can be reached in {ADVISORIES}")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"audit: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
