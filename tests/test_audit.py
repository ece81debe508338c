"""The audit of dependencies in CI: what fails it, and what it says where nobody answers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).resolve().parents[1] / ".ci" / "audit.py"


@pytest.fixture(scope="module")
def audit():
    """Load the script that CI runs."""
    spec = importlib.util.spec_from_file_location("audit", _SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _package(name, *vulnerabilities):
    return {"name": name, "version": "1.0", "vulns": list(vulnerabilities)}


def test_only_what_an_update_fixes_counts_as_fixable(audit):
    """An advisory with a fixed version fails the audit, one without is named, skipped packages were not audited."""
    found = audit.judged(
        {
            "dependencies": [
                _package("a", {"id": "PYSEC-1", "fix_versions": ["1.1", "2.0"]}),
                _package("b", {"id": "PYSEC-2", "fix_versions": []}),
                _package("c"),
                {"name": "d", "skip_reason": "Dependency not found on PyPI"},
            ]
        }
    )
    assert found.n_audited == 3
    assert found.fixable == ("a 1.0: PYSEC-1, fixed in 1.1, 2.0",)
    assert found.unfixable == ("b 1.0: PYSEC-2",)


@pytest.mark.parametrize(
    ("reports", "status", "said"),
    [
        ([{}], 0, "NOT AUDITED"),
        ([{"dependencies": [{"name": "pip", "skip_reason": "not found"}]}], 0, "NOT AUDITED"),
        ([{"dependencies": [_package("pip", {"id": "P", "fix_versions": ["2"]})]}, {}], 0, "NOT AUDITED"),
        ([{"dependencies": [_package("pip", {"id": "P", "fix_versions": ["2"]})]}] * 2, 1, "VULNERABLE"),
        (
            [
                {"dependencies": [_package("pip", {"id": "P", "fix_versions": ["2"]})]},
                {"dependencies": [_package("a", {"id": "Q", "fix_versions": []})]},
            ],
            0,
            "without a fix yet: a 1.0: Q",
        ),
    ],
)
def test_the_exit_status_follows_what_was_found(audit, monkeypatch, capsys, reports, status, said):
    """A service that is away fails nothing and is told; a fixable advisory fails; one without a fix does not."""
    answers = iter(reports)
    monkeypatch.setattr(audit, "_installed_packages", lambda: ["a==1.0"])
    monkeypatch.setattr(audit, "_installed", lambda _: Path("python"))
    monkeypatch.setattr(audit, "_audited", lambda *_, **__: next(answers))
    assert audit.main() == status
    assert said in capsys.readouterr().out
