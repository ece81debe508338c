"""A sweep on a real cluster of processes, by Python, shell and app, against the sweep of this process alone.

One file, so that one worker of the test run starts the cluster.
"""

from __future__ import annotations

import gc
import os
import re
import signal
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.embeddings import Columns, load
from engine.errors import CancelledError, ClusterError, FormatError, ParameterError, PathError, VectorError
from engine.tradeoff import load_sweep, save_sweep, sweep
from engine.tradeoff.distributed import PartsSource, can_be_shared, sweep_on_cluster
from engine.workspace import Workspace
from pages.shell.sweep import sweeping

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.tradeoff import SweepResult

DIMS, KS = (8, 16), (1, 10, 50)


def _assert_equal(found: SweepResult, expected: SweepResult) -> None:
    for name in ("ids", "scores", "recall", "top1_agreement", "rank_overlap"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    assert (found.dims, found.ks, found.metric) == (expected.dims, expected.ks, expected.metric)


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_a_sweep_on_a_cluster_equals_that_of_one_process(on_disk, scheduler: str, metric: str) -> None:
    """Ids, scores and recall of a mapped file are the same bit by bit, ties included, and so is the digest."""
    expected = on_disk.swept(metric=metric)
    found = sweep_on_cluster(on_disk.load(metric=metric), DIMS, KS, scheduler=scheduler)
    _assert_equal(found, expected)
    assert found.dataset == expected.dataset
    assert found.warnings == expected.warnings
    info = found.cluster
    assert (info.workers, info.threads, info.tasks, info.blas_threads, info.workers_lost) == (2, 2, 7, 1, 0)


def test_parts_equal_the_whole_file(on_disk, scheduler: str) -> None:
    """Parts that end within tiles, in the order of their numbers, are swept as the file that they were cut from."""
    expected = on_disk.swept()
    found = sweep_on_cluster(
        PartsSource(url=str(on_disk.parts), queries=on_disk.queries), DIMS, KS, scheduler=scheduler
    )
    _assert_equal(found, expected)
    assert (found.dataset.n_docs, found.dataset.dim, len(found.dataset.sha256)) == (20_001, 48, 64)


def test_parquet_by_url_with_judgements_equals_one_process(on_disk, scheduler: str, tmp_path: Path) -> None:
    """Parquet parts with ids, named by a file:// URL: lists, nDCG and the match of judged ids are those of one file."""
    corpus, rng = np.load(on_disk.corpus)[:6_000], np.random.default_rng(3)
    ids = [f"doc-{row}" for row in rng.permutation(len(corpus))]
    tables = [
        pa.table({"id": ids[start:stop], "emb": pa.array(list(corpus[start:stop]))})
        for start, stop in ((0, 2_500), (2_500, 6_000))
    ]
    (tmp_path / "parts").mkdir()
    for number, table in enumerate(tables):
        pq.write_table(table, tmp_path / "parts" / f"train-{number}-of-2.parquet", row_group_size=700)
    pq.write_table(pa.concat_tables(tables), tmp_path / "whole.parquet")
    lines = [f"{query} 0 {ids[int(rng.integers(6_000))]} 1" for query in range(65)]
    (tmp_path / "qrels.txt").write_text("\n".join([*lines, "0 0 nobody 1"]) + "\n")

    expected = sweep(load(tmp_path / "whole.parquet", queries=on_disk.queries, qrels=tmp_path / "qrels.txt"), DIMS, KS)
    source = PartsSource(
        url=f"file://{tmp_path}/parts",
        queries=on_disk.queries,
        qrels=tmp_path / "qrels.txt",
        columns=Columns(vector="emb", id="id"),
    )
    found = sweep_on_cluster(source, DIMS, KS, scheduler=scheduler)
    _assert_equal(found, expected)
    np.testing.assert_array_equal(found.ndcg, expected.ndcg)
    assert found.warnings == expected.warnings


def test_held_out_queries_are_the_same_rows(on_disk, scheduler: str) -> None:
    """Without queries the rows drawn, and what they retrieve, are those of one process; none retrieves itself."""
    expected = sweep(load(on_disk.corpus, n_held_out=40, seed=2), DIMS, KS)
    source = PartsSource(url=str(on_disk.parts), n_held_out=40)
    found = sweep_on_cluster(source, DIMS, KS, scheduler=scheduler, seed=2)
    _assert_equal(found, expected)
    assert found.query_ids == expected.query_ids
    assert found.dataset.labels == ("held-out queries",)


def test_a_run_says_which_cluster_made_it(on_disk, scheduler: str, tmp_path: Path) -> None:
    """A stored sweep names the workers in its environment and comes back as it was."""
    source = PartsSource(url=str(on_disk.parts), queries=on_disk.queries)
    result = sweep_on_cluster(source, (8,), (10,), scheduler=scheduler, n_queries=31)
    with Workspace.open(tmp_path) as workspace:
        run = save_sweep(workspace, result)
        assert run.environment["cluster"]["workers"] == 2
        assert run.environment["cores"] >= 1
        assert load_sweep(workspace, run.id).cluster == result.cluster


def test_progress_rises_and_cancel_stops(on_disk, scheduler: str) -> None:
    """Progress never falls; a sweep that is cancelled at its first answer keeps nothing, and the next one works."""
    shares: list[float] = []
    expected = on_disk.swept()
    with pytest.raises(CancelledError):
        sweep_on_cluster(
            on_disk.load(),
            DIMS,
            KS,
            scheduler=scheduler,
            progress=lambda share, _: shares.append(share),
            cancelled=lambda: any(shares),
        )
    assert shares == sorted(shares)
    assert shares[-1] < 1
    _assert_equal(sweep_on_cluster(on_disk.load(), DIMS, KS, scheduler=scheduler), expected)


def test_a_task_under_way_learns_that_nobody_wants_it(scheduler: str, tmp_path: Path) -> None:
    """What asks whether to stop says no while the task is wanted, and yes once its client lets go of it."""
    from distributed import Client

    def spin(folder: Path) -> None:
        import time

        from engine.tradeoff.distributed.tasks import asked_to_stop

        is_unwanted = asked_to_stop()
        (folder / "began").write_text(str(is_unwanted()))
        deadline = time.monotonic() + 20
        while not is_unwanted() and time.monotonic() < deadline:
            time.sleep(0.02)
        (folder / "ended").write_text(str(is_unwanted()))

    with Client(scheduler, set_as_default=False) as client:
        future = client.submit(spin, tmp_path, pure=False)
        assert _text_of(tmp_path / "began") == "False"
        future.release()
        assert _text_of(tmp_path / "ended") == "True"


def _text_of(path: Path) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if path.is_file() and (text := path.read_text()):
            return text
        time.sleep(0.02)
    raise AssertionError(f"{path.name} never came")


def test_vectors_in_memory_are_no_file_to_share(on_disk, scheduler: str) -> None:
    """A corpus in memory is refused with what to do; it would have to pass through this process."""
    chosen = on_disk.load()
    assert can_be_shared(chosen)
    in_memory = replace(chosen, corpus=np.array(chosen.corpus))
    assert not can_be_shared(in_memory)
    with pytest.raises(
        ParameterError, match="reads the corpus from files .* found corpus, whose vectors are in memory"
    ):
        sweep_on_cluster(in_memory, scheduler=scheduler)


def test_a_broken_row_is_named_by_its_number_in_the_whole_corpus(on_disk, scheduler: str, tmp_path: Path) -> None:
    """NaN in the third row of the second part is found at that part's first row plus two."""
    corpus = np.load(on_disk.corpus)
    corpus[12_002, 5] = np.nan
    for number, (start, stop) in enumerate(((0, 12_000), (12_000, len(corpus)))):
        np.save(tmp_path / f"{number}.npy", corpus[start:stop])
    with pytest.raises(VectorError, match="every component of the corpus .* found row 12002. Remove"):
        sweep_on_cluster(PartsSource(url=str(tmp_path), queries=on_disk.queries), scheduler=scheduler)


def test_parts_of_other_dims_are_refused(on_disk, scheduler: str, tmp_path: Path) -> None:
    """A part with another number of dimensions is named, with both numbers."""
    np.save(tmp_path / "0.npy", np.ones((10, 8), np.float32))
    np.save(tmp_path / "1.npy", np.ones((10, 9), np.float32))
    with pytest.raises(VectorError, match="as many dimensions as the first, 8; found 9 in 1.npy"):
        sweep_on_cluster(PartsSource(url=str(tmp_path), queries=on_disk.queries), scheduler=scheduler)


def test_what_no_worker_sees_is_one_sentence(on_disk, scheduler: str, tmp_path: Path) -> None:
    """A missing path, an empty folder, and a file that changed since it was mapped are told apart."""
    for missing, kind, words in (
        (tmp_path / "nowhere", PathError, "nowhere: it must be readable on every worker; found No such file"),
        (tmp_path, FormatError, "must hold parts that are all .npy or all .parquet; found an empty folder"),
    ):
        with pytest.raises(kind, match=words):
            sweep_on_cluster(PartsSource(url=str(missing), queries=on_disk.queries), scheduler=scheduler)
    np.save(tmp_path / "moved.npy", np.ones((3_000, 48), np.float32))
    chosen = load(tmp_path / "moved.npy", queries=on_disk.queries)
    assert chosen.sha256
    (tmp_path / "moved.npy").unlink()
    np.save(tmp_path / "moved.npy", np.ones((10, 48), np.float32))
    with pytest.raises(
        PathError, match="moved.npy: every worker must see the file .* found 2,048 bytes there, 576,128"
    ):
        sweep_on_cluster(chosen, scheduler=scheduler)


def test_nobody_at_the_address_is_one_sentence(on_disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that no scheduler answers, and one that is none, name the address and how to start a cluster."""
    monkeypatch.setattr("engine.tradeoff.distributed.connection._ANSWERS_WITHIN_S", 0.3)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(ClusterError, match=f"must answer at its address .* found {address}.* dask scheduler"):
            sweep_on_cluster(on_disk.load(), scheduler=address)


def test_a_refused_address_leaves_nothing_to_close(on_disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The garbage collector may run while Dask starts another client, and does not wait for the lock of that start."""
    from distributed.utils import LoopRunner

    monkeypatch.setattr("engine.tradeoff.distributed.connection._ANSWERS_WITHIN_S", 0.3)
    gc.disable()
    try:
        for address in ("tcp://127.0.0.1:9", "nonsense://x"):
            with pytest.raises(ClusterError):
                sweep_on_cluster(on_disk.load(), scheduler=address)
        collecting = threading.Thread(target=gc.collect, daemon=True)
        with LoopRunner._lock:
            collecting.start()
            collecting.join(10)
            assert not collecting.is_alive()
    finally:
        gc.enable()


def test_a_sweep_from_the_shell_is_the_one_of_one_machine(
    dimshift: Callable[..., Any], on_disk, scheduler: str
) -> None:
    """Parts and the whole file on the cluster, and the file here, give one table; the run says who scored."""
    asked = ("--queries", on_disk.queries, "--dims", "8,16", "--k", "1,10", "--json", "-")
    answers = []
    for corpus, *where in (
        (on_disk.corpus,),
        (on_disk.corpus, "--scheduler", scheduler),
        (on_disk.parts, "--scheduler", scheduler),
    ):
        done = dimshift("sweep", corpus, *asked, *where)
        assert (done.returncode, done.stderr) == (3, "")
        answers.append(done.json)
    here, mapped, parts = answers
    assert here["points"] == mapped["points"] == parts["points"]
    assert here["dataset"] == mapped["dataset"]
    assert "cluster" not in here["environment"]
    assert mapped["environment"]["cluster"]["workers"] == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--panels", "all"), "panels measure on this machine, .* found --panels with --scheduler"),
        (("--qrels", "judged.tsv"), "judgements need the queries that they judge; found judged.tsv"),
        (("--metric", "manhattan"), "the metric is one of cosine, ip, l2; found manhattan"),
    ],
)
def test_what_a_cluster_cannot_do_is_one_line(
    dimshift: Callable[..., Any], on_disk, scheduler: str, arguments: tuple[str, ...], words: str
) -> None:
    """Each is refused with exit status 1 and one line on stderr."""
    done = dimshift("sweep", on_disk.parts, "--scheduler", scheduler, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(f"dimshift: .*{words}.*\n", done.stderr)


def test_the_app_sweeps_files_on_its_cluster(
    on_disk, scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With DIMSHIFT_SCHEDULER a mapped set is swept there and one in memory here, by the job that pages start."""
    mapped = on_disk.load()
    in_memory = replace(mapped, corpus=np.array(mapped.corpus))
    assert sweeping.scheduler_for(mapped) is None
    monkeypatch.setenv("DIMSHIFT_SCHEDULER", scheduler)
    assert sweeping.scheduler_for(in_memory) is None
    with Workspace.open(tmp_path) as workspace:
        swept = {}
        for name, chosen in (("file", mapped), ("memory", in_memory)):
            source = sweeping.Source(key="held", name=name, title=name, load=lambda chosen=chosen: chosen)
            request = sweeping.SweepRequest(source=source, dims=(8, 16), ks=(1, 10))
            run_id = sweeping.sweep_work(request, workspace)(lambda *_: None, lambda: False)
            swept[name] = load_sweep(workspace, run_id)
    assert swept["file"].cluster is not None
    assert swept["memory"].cluster is None
    np.testing.assert_array_equal(swept["file"].scores, swept["memory"].scores)


def test_a_worker_that_is_killed_is_survived(on_disk, cluster, scheduler: str) -> None:
    """With one of two workers killed by SIGKILL at the first answer, the result is still that of one process."""
    rng = np.random.default_rng(8)
    many = replace(on_disk.load(), queries=rng.standard_normal((1_500, 48), dtype=np.float32))
    expected = sweep(many, DIMS, KS)
    victims = [nanny.pid for nanny in cluster.workers.values()][:1]

    def kill_one(share: float, _: str) -> None:
        if share > 0 and victims:
            os.kill(victims.pop(), signal.SIGKILL)

    found = sweep_on_cluster(many, DIMS, KS, scheduler=scheduler, progress=kill_one)
    assert not victims
    assert found.cluster.workers_lost == 1
    _assert_equal(found, expected)
