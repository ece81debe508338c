"""`dimshift migrate` and `dimshift search` as a shell sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def urls(tmp_path: Path) -> tuple[str, str]:
    """Return a source of 300 vectors in a file, and a LanceDB target that is not there."""
    vectors = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    np.save(tmp_path / "queries.npy", vectors[:20])
    return f"file://{tmp_path}/vectors.npy", f"lancedb://{tmp_path}/lance#docs"


def test_migrate_moves_validates_and_reports(
    dimshift: Callable[..., Any], urls: tuple[str, str], tmp_path: Path
) -> None:
    """A migration ends with status 0 and a report; a second run is a no-op with the same report."""
    done = dimshift("migrate", *urls, "--dims", 8, "--validate", "full", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert done.json["validation"]["verdict"] == "equal"
    assert (done.json["n_written"], done.json["validation"]["n_values"]) == (300, 300)
    assert dimshift("migrate", *urls, "--dims", 8, "--json", "-").json == done.json
    shown = dimshift("migrate", *urls, "--dims", 8)
    assert shown.stdout.startswith("EQUAL  300 of 300 rows moved")
    found = dimshift("search", urls[1], "--query-file", tmp_path / "queries.npy", "--dims", 8, "-k", 3, "--json", "-")
    assert [query["results"][0]["id"] for query in found.json["queries"]] == list(range(20))


def test_a_dry_run_shows_the_plan_and_writes_nothing(
    dimshift: Callable[..., Any], urls: tuple[str, str], tmp_path: Path
) -> None:
    """--dry-run prints counts, bytes and what would be created; neither the target nor an audit event is made."""
    done = dimshift("migrate", *urls, "--dims", 8, "--dry-run")
    assert done.returncode == 0
    assert "300 rows × 16 dims" in done.stdout
    assert not (tmp_path / "lance").exists()
    refused = dimshift("migrate", *urls, "--dims", 17, "--dry-run")
    assert refused.returncode == 3
    assert "NO    The dims to keep must be at most the source's 16" in refused.stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--dims", 17), "must be at most the source's 16"),
        (("--dims", 0), "the dims to keep"),
        (("--dims", 8, "--validate", "most"), "--validate is full or a share"),
        (("--dims", 8, "--dtype", "int8"), "--dtype is one of"),
        (("--dims", 8, "--catch-up"), "only a finished migration"),
        (("--dims", 8, "--pause"), "only a running migration"),
        (("--dims", 8, "--sweep", "20200101-000000-00000000"), "run"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    dimshift: Callable[..., Any], urls: tuple[str, str], arguments: tuple[object, ...], why: str
) -> None:
    """Bad options, and steps that the job's state does not allow, end with status 1 and one line on stderr."""
    done = dimshift("migrate", *urls, *arguments)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert why in done.stderr


def test_an_address_that_cannot_be_reached_is_one_line_without_its_password(
    dimshift: Callable[..., Any], urls: tuple[str, str]
) -> None:
    """An unreachable server is one line on stderr that does not quote the password."""
    done = dimshift("migrate", "postgresql://me:hunter2@127.0.0.1:1/db#docs", urls[1], "--dims", 8)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.stderr
