"""Parts of a corpus on real servers: a bucket of S3, and the web with and without ranges."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.errors import EngineError, PathError
from engine.scoring import TILE_ROWS
from engine.tradeoff import load_sweep
from engine.tradeoff.distributed import PartsSource, storage, sweep_on_cluster, tasks
from engine.tradeoff.distributed.parts import describe_parts, list_parts
from engine.tradeoff.distributed.reading import find_ids, read_rows, take_rows
from engine.workspace import Workspace
from tests.object_storage import (
    BUCKET,
    counting_web_server,
    forget_connections,
    running_s3,
    web_server,
    web_server_without_ranges,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.object_storage import S3Server

DIMS, KS = (8, 16), (1, 10, 50)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run an S3 server."""
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def formats(on_disk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the corpus as npy and as Parquet parts, which have ids."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("formats")
    (folder / "npy").mkdir()
    (folder / "parquet").mkdir()
    first = 0
    for file in sorted(on_disk.parts.iterdir(), key=lambda one: int(one.stem.partition("-")[2])):
        rows = np.load(file)
        np.save(folder / "npy" / file.name, rows)
        table = pa.table({"id": [f"d{first + row}" for row in range(len(rows))], "embedding": list(rows)})
        pq.write_table(table, folder / "parquet" / f"{file.stem}.parquet", row_group_size=2_000, use_dictionary=False)
        first += len(rows)
    return folder


@pytest.fixture
def as_allowed(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be somebody who may read the bucket."""
    s3.let_in(monkeypatch)
    forget_connections()
    yield
    forget_connections()


def _holds_the_corpus(url: str, corpus: np.ndarray) -> None:
    parts = describe_parts(list_parts(url))
    assert [part.n_rows for part in parts] == [5_000, 7, 7_993, 7_001]
    np.testing.assert_array_equal(np.concatenate(list(read_rows(parts, TILE_ROWS, 9_000))), corpus[TILE_ROWS:9_000])
    rows = np.array([3, 4_999, 5_000, 5_006, 20_000])
    np.testing.assert_array_equal(take_rows(parts, rows), corpus[rows])
    if parts[0].kind == "parquet":
        assert find_ids(parts[2], wanted=frozenset({"d5007", "d1"}), column=None) == {"d5007": 0}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["npy", "parquet"])
def test_parts_in_a_bucket_are_listed_described_and_read(
    form: str, s3: S3Server, as_allowed: None, formats: Path, on_disk
) -> None:
    """A prefix of a bucket is a folder of parts; any rows of it come as they were written."""
    url = s3.put(formats / form, f"read/{form}")
    _holds_the_corpus(url, np.load(on_disk.corpus))
    assert list_parts(f"{url}/part-9.{form}") == (f"{url}/part-9.{form}",)
    # A part that came later is found, however long the process has been running.
    (formats / "more").mkdir(exist_ok=True)
    (formats / "more" / f"part-99.{form}").write_bytes((formats / form / f"part-9.{form}").read_bytes())
    s3.put(formats / "more", f"read/{form}")
    (formats / "more" / f"part-99.{form}").unlink()
    assert list_parts(url)[-1].endswith("/part-99." + form)


@pytest.mark.parametrize("form", ["npy", "parquet"])
def test_parts_on_a_web_server_are_listed_described_and_read(form: str, formats: Path, on_disk) -> None:
    """A page that links to the parts is a folder of them, with or without a slash at its end."""
    with web_server(formats) as (address, _):
        for slash in ("", "/"):
            _holds_the_corpus(f"{address}/{form}{slash}", np.load(on_disk.corpus))


@pytest.mark.parametrize("form", ["npy", "parquet"])
def test_a_web_server_without_ranges_is_refused_before_a_part_is_fetched(form: str, formats: Path) -> None:
    """A server that would send whole parts for every stretch is told from one that sends ranges, by one byte."""
    with (
        web_server_without_ranges(formats) as address,
        pytest.raises(PathError, match=r"must send ranges of it; found a server that sends whole files only"),
    ):
        describe_parts(list_parts(f"{address}/{form}/"))


@pytest.mark.slow
def test_what_is_not_there_or_not_allowed_is_one_sentence(
    s3: S3Server, formats: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No credentials, wrong ones, no permission, a wrong bucket or folder: the reason, and no secret."""
    url = s3.put(formats / "npy", "private/npy")
    key, secret = s3.allowed
    for who, asked, words in (
        (None, url, "it must be readable on every worker; found Unable to locate credentials. Check its permissions"),
        ((key, "wrong"), url, "found The request signature we calculated does not match"),
        (("unknown", secret), url, "found The AWS Access Key Id you provided does not exist"),
        (s3.denied, url, "found Access Denied. Check its permissions; for a bucket, set credentials in the env"),
        (s3.allowed, "s3://nowhere/corpus", "found The specified bucket does not exist"),
        (s3.allowed, f"s3://{BUCKET}/other", "other: it must be readable on every worker; found no such file"),
        (s3.allowed, f"{url}/part-7.npy", "part-7.npy: it must be readable on every worker"),
    ):
        if who is None:
            s3.let_nobody_in(monkeypatch, tmp_path)
        else:
            s3.let_in(monkeypatch, who)
        forget_connections()
        with pytest.raises(EngineError) as refused:
            describe_parts(list_parts(asked))
        assert words in str(refused.value)
        assert secret not in str(refused.value)
    forget_connections()


def test_web_pages_that_are_missing_or_closed_are_one_sentence(formats: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """404, a server that is gone, and a signature in the address, which is not repeated."""
    monkeypatch.setattr(storage.time, "sleep", lambda _: None)
    with web_server(formats) as (address, process):
        with pytest.raises(PathError, match="none: it must be readable on every worker; found no such file or folder"):
            list_parts(f"{address}/none/")
        with pytest.raises(PathError, match=r"a\.npy: it must be readable on every worker") as refused:
            describe_parts([f"{address}/a.npy?X-Amz-Signature=hush"])
        assert "hush" not in str(refused.value)
        process.kill()
        process.wait()
        with pytest.raises(PathError, match=r"part-9\.npy: the storage of the corpus must answer every worker") as gone:
            describe_parts([f"{address}/npy/part-9.npy?X-Amz-Signature=hush"])
        assert "hush" not in str(gone.value)


def test_only_what_is_asked_for_is_fetched(formats: Path) -> None:
    """Of npy exactly the rows, of Parquet the row groups that hold them, of ids only their column; nothing ahead."""
    a_row, a_group, a_footer = 48 * 4, 2_000 * 48 * 4, 65_536
    with counting_web_server(formats) as (address, sent):
        (npy,) = describe_parts([f"{address}/npy/part-11.npy"])
        sent.clear()
        list(read_rows([npy], 1_024, 2_048))
        take_rows([npy], np.array([3, 6_000]))
        assert sent == [1_024 * a_row, a_row, a_row]
        (parquet,) = describe_parts([f"{address}/parquet/part-11.parquet"])
        sent.clear()
        list(read_rows([parquet], 2_048, 3_072))
        assert sum(sent) < a_footer + 1.1 * a_group
        sent.clear()
        take_rows([parquet], np.array([3, 6_000]))
        assert sum(sent) < a_footer + 1.7 * a_group  # a whole group, and the last, of half as many rows
        sent.clear()
        find_ids(parquet, wanted=frozenset({"d3"}), column=None)
        assert sum(sent) < 2 * a_footer


@pytest.mark.parametrize("form", ["npy", "parquet"])
def test_an_answer_that_breaks_off_is_asked_for_again(
    form: str, formats: Path, on_disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two answers that end halfway change nothing; where every answer does, three are an error."""
    slept: list[float] = []
    monkeypatch.setattr(storage.time, "sleep", slept.append)
    asked = {"dims": (8, 48), "k": 10, "metric": "cosine", "recipe": "prefix", "exclude": None, "cut_for_threads": 2}
    found = []
    for n_breaks in (0, 2, 99):
        with counting_web_server(formats, n_breaks=n_breaks) as (address, _):
            url = f"{address}/{form}/part-11.{form}"
            if n_breaks == 99 and form == "parquet":  # whose description is read from the first rows, too
                with pytest.raises(PathError, match=r"the storage .* found 3 failures"):
                    describe_parts([url])
                break
            question = tasks.Question(
                parts=describe_parts([url]),
                queries=np.load(on_disk.queries)[:5],
                wants_digest=True,
                **asked,
            )
            if n_breaks == 99:
                with pytest.raises(PathError, match=rf"part-11\.{form}: the storage .* found 3 failures"):
                    tasks.score(question, 0, 7_001)
            else:
                found.append(tasks.score(question, 0, 7_001))
    assert slept == [1.0, 2.0] * 2, "of the second server and of the third"
    np.testing.assert_array_equal(found[0].best.ids, found[1].best.ids)
    assert found[0].digests == found[1].digests


@contextmanager
def started_workers(environment: dict[str, str]) -> Iterator[str]:
    """Start two worker processes with these variables; yield the address of their scheduler."""
    from distributed import LocalCluster

    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setitem(sys.modules, "__main__", ModuleType("__main__"))  # as for the cluster of conftest.py
        here = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "worker_dashboard_address": None}
        with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, silence_logs=50, **here) as started:
            yield str(started.scheduler_address)


@pytest.fixture(scope="module")
def scheduler_with_bucket(s3: S3Server) -> Iterator[str]:
    """Start workers that know the bucket."""
    with started_workers(s3.environment()) as address:
        yield address


def run_sweep(url: str, on_disk, *, scheduler: str, workspace: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine.cli", "sweep", url, "--queries", str(on_disk.queries)]
    command += ["--dims", "8,16", "--k", "1,10,50", "--scheduler", scheduler, "--workspace", str(workspace)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["npy", "parquet"])
@pytest.mark.parametrize("place", ["s3", "http"])
def test_a_sweep_of_parts_on_servers_is_that_of_one_machine(
    form: str, place: str, s3: S3Server, scheduler_with_bucket: str, formats: Path, on_disk, tmp_path: Path
) -> None:
    """`dimshift sweep --scheduler` on s3:// and http://: what one process finds, bit by bit; no secret is kept."""
    with web_server(formats) as (address, _):
        url = s3.put(formats / form, f"swept/{form}") if place == "s3" else f"{address}/{form}/"
        ran = run_sweep(url, on_disk, scheduler=scheduler_with_bucket, workspace=tmp_path / "w")
    assert ran.returncode in {0, 3}, ran.stderr
    with Workspace.open(tmp_path / "w") as workspace:
        found = load_sweep(workspace, workspace.runs(kind="sweep")[0].id)
    expected = on_disk.swept()
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.scores, expected.scores)
    kept = b"".join(one.read_bytes() for one in (tmp_path / "w").rglob("*") if one.is_file())
    assert s3.allowed[1].encode() not in kept + ran.stdout.encode() + ran.stderr.encode()


@pytest.mark.slow
def test_a_wrong_bucket_is_one_line_in_the_shell(scheduler_with_bucket: str, on_disk, tmp_path: Path) -> None:
    """What a worker could not open ends the command with status 1 and its sentence."""
    ran = run_sweep("s3://nowhere/corpus", on_disk, scheduler=scheduler_with_bucket, workspace=tmp_path / "w")
    assert ran.returncode == 1
    assert "corpus: it must be readable on every worker; found The specified bucket does not exist" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_a_bucket_that_goes_away_midway_is_one_sentence(on_disk, tmp_path: Path) -> None:
    """The server is killed while workers read: each tries three times, and the sweep ends with one sentence."""
    with running_s3(tmp_path) as server, started_workers(server.environment()) as address:
        source = PartsSource(url=server.put(on_disk.parts, "gone"), queries=on_disk.queries)

        def kill_it(_: float, said: str) -> None:
            if said.startswith("Scored"):
                server.stop()

        with pytest.raises(PathError, match=r"must answer every worker; found 3 failures, the last one ") as gone:
            sweep_on_cluster(source, DIMS, KS, scheduler=address, progress=kill_it)
    assert server.allowed[1] not in str(gone.value)
