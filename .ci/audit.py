"""Ask the advisory service of PyPI about every installed package.

Fails on a known vulnerability that an update fixes. One without a fix is named only, since nobody here can act on it;
and where the service cannot be reached nothing was audited, which is said in capitals and fails nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

_SECONDS = 60
_PROBE = "pip==23.0"  # has known vulnerabilities: whoever finds none has not asked


def main() -> int:
    """Audit the environment of this interpreter; return the exit status."""
    frozen = _output([sys.executable, "-m", "pip", "freeze", "--exclude-editable", "--disable-pip-version-check"])
    lines = [line for line in frozen.splitlines() if "==" in line]
    with tempfile.TemporaryDirectory() as folder:
        tool = _installed(Path(folder))
        if tool is None or judged(_audited(tool, [_PROBE], Path(folder))).fixable == ():
            return _unreachable()
        found = judged(_audited(tool, lines, Path(folder)))
    if found.n_audited == 0:
        return _unreachable()
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
    return python if _ran(install) == 0 else None


def _audited(python: Path, lines: list[str], folder: Path) -> dict[str, Any]:
    wanted, answer = folder / "wanted.txt", folder / "answer.json"
    wanted.write_text("\n".join(lines) + "\n", encoding="utf-8")
    answer.unlink(missing_ok=True)
    command = [str(python), "-m", "pip_audit", "--requirement", str(wanted), "--no-deps", "--disable-pip"]
    _ran([*command, "--timeout", "10", "--progress-spinner", "off", "--format", "json", "--output", str(answer)])
    try:
        found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # it crashed or ran out of time: the service is away
        return {}
    return found


def _ran(command: list[str]) -> int | None:
    try:
        return subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False).returncode  # noqa: S603  # our own words
    except subprocess.TimeoutExpired:
        return None


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603  # our own words


def _unreachable() -> int:
    _say("NOT AUDITED: the advisory service could not be reached; run .ci/audit.py where PyPI is")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"audit: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
