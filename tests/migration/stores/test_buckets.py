"""LanceDB in a bucket of a real S3 server: moved into, read back, and what went wrong in a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.errors import StoreError, StoreUnavailableError
from engine.migration import MigrationSettings, Migrator, open_store
from engine.workspace import Workspace
from tests.object_storage import BUCKET, running_s3

if TYPE_CHECKING:
    from pathlib import Path

    from tests.object_storage import S3Server

pytestmark = pytest.mark.slow  # the driver tries again for seconds before it gives up

N, DIM, KEPT = 700, 12, 6


@pytest.fixture
def vectors(tmp_path: Path) -> np.ndarray:
    """Write vectors to move, and return them."""
    rows = np.random.default_rng(4).standard_normal((N, DIM)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", rows)
    return rows


def _assert_held(url: str, vectors: np.ndarray) -> None:
    cut = vectors[:, :KEPT] / np.linalg.norm(vectors[:, :KEPT], axis=1, keepdims=True)
    with open_store(url) as store:
        batches = list(store.scan(batch_size=200))
        assert [one for batch in batches for one in batch.ids] == list(range(N))
        np.testing.assert_allclose(np.concatenate([batch.vectors for batch in batches]), cut, atol=1e-6)
        answer = store.search(cut[:5], 1)
        assert [found[0] for found in answer.ids] == [0, 1, 2, 3, 4]
        info = store.describe()
        assert (info.n_rows, info.dim, info.writable, info.url) == (N, KEPT, None, url)


def test_vectors_are_moved_into_a_bucket_and_read_back(
    as_allowed: S3Server, vectors: np.ndarray, tmp_path: Path
) -> None:
    """The verdict is equal, every value comes back from the bucket, and it answers searches."""
    url = f"lancedb+s3://{BUCKET}/moved/lance#t"
    with (
        Workspace.open(tmp_path / "w") as workspace,
        open_store(f"file://{tmp_path}/vectors.npy", role="source") as source,
        open_store(url, role="target") as target,
    ):
        settings = MigrationSettings(dims=KEPT, validate_share=1.0, index=None, batch_size=300)
        report = Migrator(source, target, settings, workspace=workspace, actor="ann").run()
    assert report.validation.verdict == "equal"
    _assert_held(url, vectors)
    assert any(name.startswith("moved/lance/t.lance/data/") for name in as_allowed.names("moved/"))
    assert not list(tmp_path.glob("**/*.lance"))
    with open_store(url) as store:
        store.drop()
        assert not store.exists()


def test_the_shell_moves_into_a_bucket_and_keeps_no_secret(
    as_allowed: S3Server, vectors: np.ndarray, tmp_path: Path
) -> None:
    """`dimshift migrate` takes the URL of a bucket; what it prints and keeps holds neither key nor secret."""
    url = f"lancedb+s3://{BUCKET}/shell#t"
    command = [sys.executable, "-m", "engine.cli", "migrate", f"file://{tmp_path}/vectors.npy", url, "--json", "-"]
    ran = subprocess.run(
        [*command, "--dims", str(KEPT), "--workspace", str(tmp_path / "w")],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert ran.returncode == 0, ran.stderr
    assert url in json.dumps(json.loads(ran.stdout))
    _assert_held(url, vectors)
    kept = b"".join(one.read_bytes() for one in (tmp_path / "w").rglob("*") if one.is_file())
    for hidden in as_allowed.allowed:
        assert hidden.encode() not in kept + ran.stdout.encode() + ran.stderr.encode()


def test_what_keeps_a_bucket_closed_is_one_sentence(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No credentials, wrong ones, no permission, no bucket: what to do about it, and no secret."""
    key, secret = s3.allowed
    for who, bucket, words in (
        (
            None,
            BUCKET,
            "must let this machine in; found no credentials that s3://vectors/x takes. Set AWS_ACCESS_KEY_ID",
        ),
        ((key, "wrong"), BUCKET, "must let this machine in; found SignatureDoesNotMatch at s3://vectors/x"),
        (("unknown", secret), BUCKET, "must let this machine in; found InvalidAccessKeyId at s3://vectors/x"),
        (s3.denied, BUCKET, "must let this machine in; found AccessDenied at s3://vectors/x"),
        (s3.allowed, "nowhere", "the bucket must exist; found s3://nowhere/x"),
        (s3.allowed, BUCKET, "the table must exist; found no t"),
    ):
        if who is None:
            s3.let_nobody_in(monkeypatch, tmp_path)
        else:
            s3.let_in(monkeypatch, who)
        with pytest.raises(StoreError) as refused:
            open_store(f"lancedb+s3://{bucket}/x#t").describe()
        assert words in str(refused.value)
        assert not isinstance(refused.value, StoreUnavailableError)
        assert ".rs" not in str(refused.value)
        assert not {key, secret, "wrong", "unknown"} & set(str(refused.value).split())


def test_a_bucket_that_goes_away_may_come_back(
    vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A server that is killed between two reads is not there now: the error by which a migration waits and resumes."""
    with running_s3(tmp_path) as server:
        server.let_in(monkeypatch)
        url = f"lancedb+s3://{BUCKET}/gone#t"
        with (
            Workspace.open(tmp_path / "w") as workspace,
            open_store(f"file://{tmp_path}/vectors.npy") as source,
            open_store(url) as target,
        ):
            settings = MigrationSettings(dims=KEPT, validate_share=1.0, index=None)
            Migrator(source, target, settings, workspace=workspace, actor="ann").run()
            assert target.count() == N
            server.stop()
            for again in (target, open_store(url)):
                with pytest.raises(StoreUnavailableError, match=r"the object storage must answer; found s3://vectors/"):
                    again.count()
