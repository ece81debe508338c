"""A password and an API key that open stores: in no file, so no run or report, no output and no error."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.errors import EngineError
from engine.migration import open_store
from engine.migration.stores.urls import StoreSecrets

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD = "s3cr3t-pässword"  # noqa: S105  # looked for where it must not be
ENCODED = "s3cr3t-p%C3%A4ssword"
API_KEY = "ap1-k3y-0f-a-vector-store"
NEEDLES = (PASSWORD.encode(), ENCODED.encode(), API_KEY.encode(), b"s3cr3t-p\\u00e4ssword")


def _check_nowhere(folder: Path, *texts: str) -> None:
    for text in texts:
        assert not any(needle in text.encode("utf-8", "surrogatepass") for needle in NEEDLES), text
    for file in (path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        assert not any(needle in content for needle in NEEDLES), file


def test_secrets_are_nowhere_after_migrations_and_searches(tmp_path, dimshift, monkeypatch):
    """A migration and a search that succeed and three that fail, with secrets in the environment and in a URL."""
    for name in ("STORE_PASSWORD", "SOURCE_PASSWORD", "TARGET_PASSWORD"):
        monkeypatch.setenv(f"DIMSHIFT_{name}", PASSWORD)
    for name in ("DIMSHIFT_STORE_API_KEY", "DIMSHIFT_SOURCE_API_KEY", "QDRANT_API_KEY"):
        monkeypatch.setenv(name, API_KEY)
    vectors = np.random.default_rng(0).standard_normal((60, 8)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    np.save(tmp_path / "queries.npy", vectors[:2])
    source, target = f"file://{tmp_path}/vectors.npy", f"file://{tmp_path}/moved.npy"
    nowhere = f"postgresql://me:{ENCODED}@127.0.0.1:1/db#t"
    commands = (
        (0, "migrate", source, target, "--dims", "4"),
        (0, "search", target, "--query-file", tmp_path / "queries.npy", "--dims", "4", "-k", "2"),
        (1, "migrate", nowhere, f"file://{tmp_path}/other.npy", "--dims", "4"),
        (1, "migrate", source, "qdrant://127.0.0.1:1#t", "--dims", "4"),
        (1, "search", nowhere, "--query-file", tmp_path / "queries.npy", "--dims", "4", "-k", "2"),
    )
    for status, *arguments in commands:
        done = dimshift(*arguments)
        assert done.returncode == status, done.stderr
        _check_nowhere(tmp_path, done.stdout, done.stderr)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{ENCODED}@127.0.0.1:1/db#t",
        f"postgresql://me:{ENCODED}@/db#t%00",
        f"qdrant://me:{ENCODED}@127.0.0.1:1#t",
        f"qdrant://127.0.0.1:1?api_key={API_KEY}#t",
        f"postgresql://me:{ENCODED}@127.0.0.1:notaport/db#t",
    ],
)
def test_an_error_and_all_it_stands_on_name_no_secret(tmp_path, url):
    """The sentence, the representation and the whole chain of causes of a failure are free of secrets."""
    secrets = StoreSecrets(password=PASSWORD, api_key=API_KEY)
    with pytest.raises(EngineError) as failed, open_store(url, secrets=secrets) as store:
        store.count()
    chain = "".join(traceback.format_exception(failed.value))
    _check_nowhere(tmp_path, str(failed.value), repr(failed.value), repr(secrets), chain)
