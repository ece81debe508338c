"""The command line as a shell sees it: exit status, streams, and the JSON that scripts hold."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from engine.workspace import Workspace


@pytest.fixture
def nested_files(tmp_path):
    """Write a corpus whose last half of the components is tiny, so that half the dimensions are safe, and queries."""
    rng = np.random.default_rng(0)
    weights = np.where(np.arange(32) < 16, 1, 1e-4)
    np.save(tmp_path / "corpus.npy", (rng.standard_normal((500, 32)) * weights).astype(np.float32))
    np.save(tmp_path / "queries.npy", (rng.standard_normal((60, 32)) * weights).astype(np.float32))
    return tmp_path


def test_sweep_writes_the_contract_to_stdout_and_nothing_else(dimshift, nested_files):
    """With --json - stdout is one JSON document with every field of the contract; status 0: the target is met."""
    done = dimshift(
        "sweep", "corpus.npy", "--queries", "queries.npy", "--dims", "8,16,32", "--json", "-", "--seed", "3"
    )
    assert done.returncode == 0, done.stderr
    answer = done.json
    assert answer["dataset"] | {"n_docs": 500, "n_queries": 60, "dim": 32} == answer["dataset"]
    assert len(answer["dataset"]["sha256"]) == 64
    assert (answer["metric"], answer["seed"]) == ("cosine", 3)
    assert [point["dim"] for point in answer["points"]] == [8, 16, 32]
    for point in answer["points"]:
        assert set(point["recall_at_k"]) == {"1", "10", "100"}
        assert set(point["recall_at_k"]["10"]) == {"mean", "low", "high"}
        assert point["bytes_per_vector"] == 4 * point["dim"]
        assert point["verdict"] in {"safe", "harmful", "undecided"}
        assert "ndcg_at_k" not in point
    assert answer["recommendation"]["dim"] == 16
    assert answer["recommendation"]["verdict"] == "safe"
    assert answer["environment"]


def test_a_sweep_is_kept_in_the_workspace(dimshift, nested_files):
    """The run that the JSON names is in the workspace and says the same."""
    answer = dimshift("sweep", "corpus.npy", "--queries", "queries.npy", "--json", "-").json
    run = Workspace.open(nested_files / "workspace").run(answer["run_id"])
    assert run.dataset["sha256"] == answer["dataset"]["sha256"]
    assert run.summary["recommendation"]["dim"] == answer["recommendation"]["dim"]


def test_a_missed_target_is_status_3_with_the_result_still_written(dimshift, nested_files):
    """When no smaller dimension is safe the sweep is printed and the exit status is 3."""
    done = dimshift("sweep", "corpus.npy", "--queries", "queries.npy", "--dims", "4", "--out", "answer")
    assert done.returncode == 3
    assert "No dimension below 32" in done.stdout
    answer = json.loads((nested_files / "answer" / "sweep.json").read_text())
    assert answer["recommendation"]["dim"] is None
    assert (nested_files / "answer" / "points.csv").read_text().startswith("dim,")


def test_judgements_bring_ndcg_and_can_be_the_criterion(dimshift, nested_files):
    """With qrels every point has ndcg_at_k, and --max-ndcg-loss judges by it."""
    lines = "".join(f"{query} 0 {doc} 1\n" for query in range(60) for doc in (query, query + 60))
    (nested_files / "truth.qrels").write_text(lines)
    options = ("--queries", "queries.npy", "--qrels", "truth.qrels", "--max-ndcg-loss", "0.5", "--json", "-")
    answer = dimshift("sweep", "corpus.npy", *options).json
    assert answer["criterion"] == {"quantity": "ndcg", "k": 10, "target": 0.5}
    assert all(set(point["ndcg_at_k"]["10"]) == {"mean", "low", "high"} for point in answer["points"])


def test_inspect_reports_health_as_text_and_json(dimshift, nested_files):
    """Inspect prints findings for people and the same counts as JSON, and stores nothing."""
    corpus = np.load(nested_files / "corpus.npy")
    corpus[7] = 0
    np.save(nested_files / "corpus.npy", corpus)
    done = dimshift("inspect", "corpus.npy", "queries.npy", "--json", "health.json")
    assert done.returncode == 0, done.stderr
    assert "zero" in done.stdout
    answers = json.loads((nested_files / "health.json").read_text())
    assert [answer["path"] for answer in answers] == ["corpus.npy", "queries.npy"]
    assert not (nested_files / "workspace").exists()


def test_latency_and_diagnose_print_tables_and_write_strict_json(dimshift, nested_files):
    """Both verbs print a table for people and write the same result as JSON."""
    done = dimshift(
        "latency", "corpus.npy", "--queries", "queries.npy", "--dims", "16,32", "--path", "exact", "--json", "a"
    )
    assert done.returncode == 0, done.stderr
    assert "p99 ms" in done.stdout
    answer = json.loads((nested_files / "a").read_text())
    assert [(point["path"], point["dim"]) for point in answer["points"]] == [("exact", 16), ("exact", 32)]
    assert all(0 < point["p50_ms"]["value"] <= point["p95_ms"]["value"] for point in answer["points"])
    done = dimshift("diagnose", "corpus.npy", "--queries", "queries.npy", "--json", "-")
    assert done.returncode == 0, done.stderr
    answer = done.json
    assert "ordered" in answer["verdicts"]
    assert {"prefix", "random", "tail", "projection"} <= set(answer["points"][0])


def test_sweep_takes_panels_into_its_json(dimshift, nested_files):
    """--panels measures them for the run, adds them to the JSON, and says why one was refused."""
    options = ("--queries", "queries.npy", "--dims", "16,32", "--panels", "nesting,forecast", "--json", "-")
    answer = dimshift("sweep", "corpus.npy", *options).json
    assert answer["panels"]["nesting"]["order"] == "ordered"
    assert "2,000 documents" in answer["panels"]["forecast"]["refused"]
    kinds = {run.kind for run in Workspace.open(nested_files / "workspace").runs()}
    assert kinds == {"sweep", "nesting", "forecast"}


BAD = {
    "panels": (("sweep", "corpus.npy", "--panels", "weather"), "the panel is one of"),
    "path": (("latency", "corpus.npy", "--path", "warp"), "exact"),
    "threads": (("latency", "corpus.npy", "--threads", "0"), "thread"),
    "missing": (("sweep", "nowhere.npy"), "nowhere.npy"),
    "k": (("sweep", "corpus.npy", "--k", "0"), "k must be at least 1"),
    "dims_beyond": (("sweep", "corpus.npy", "--dims", "64"), "between 1 and the full dimension 32"),
    "dims_unsorted": (("sweep", "corpus.npy", "--dims", "16,8"), "must ascend"),
    "dims_repeated": (("sweep", "corpus.npy", "--dims", "8,8"), "must not repeat"),
    "dims_text": (("sweep", "corpus.npy", "--dims", "many"), "whole numbers"),
    "target": (("sweep", "corpus.npy", "--target-recall", "1.5"), "target"),
    "metric": (("sweep", "corpus.npy", "--metric", "hamming"), "cosine, ip, l2"),
    "ndcg_without_qrels": (("sweep", "corpus.npy", "--max-ndcg-loss", "0.1"), "relevance judgements"),
    "widths": (("sweep", "corpus.npy", "--queries", "narrow.npy"), "32 in corpus.npy and 8 in narrow.npy"),
    "pickle": (("sweep", "pickled.npy"), "pickled.npy"),
    "markup": (("inspect", "<b>x</b>.npy"), "<b>x</b>.npy"),
    "seed": (("sweep", "corpus.npy", "--seed", "-1"), "the seed must be"),
    "seed_of_diagnose": (("diagnose", "corpus.npy", "--seed", "-1"), "the seed must be"),
    "no_path": (("inspect", ""), "must name a file or a folder"),
    "out_is_a_file": (("sweep", "corpus.npy", "--out", "corpus.npy"), "--out must name a folder"),
    "queries_of_a_sample": (("sweep", "sample:digits-pca", "--queries", "q.npy"), "found --queries"),
    "sample": (("sweep", "sample:nothing"), "api-reference"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_on_stderr_and_leaves_no_run(case, dimshift, nested_files):
    """Status 1, one sentence on stderr, nothing on stdout, and an empty workspace."""
    np.save(nested_files / "narrow.npy", np.ones((40, 8), np.float32))
    np.save(nested_files / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    arguments, sentence = BAD[case]
    done = dimshift(*arguments, "--json", "-")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("dimshift: ")
    assert done.stderr.count("\n") == 1
    assert sentence in done.stderr
    assert Workspace.open(nested_files / "workspace").runs() == ()


def test_a_real_process_ends_with_the_status_and_shows_no_traceback(nested_files):
    """As a command of its own, an error is status 1 and one line, and a sweep is JSON alone on stdout."""
    command = [sys.executable, "-m", "engine.cli", "sweep", "--workspace", "workspace"]
    done = subprocess.run(
        [*command, "nowhere.npy"], cwd=nested_files, capture_output=True, text=True, check=False, timeout=100
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    done = subprocess.run(
        [*command, "corpus.npy", "--dims", "16", "--json", "-"],
        cwd=nested_files,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["recommendation"]["dim"] == 16


@pytest.mark.parametrize("file", ["", ".", "nowhere/a.json"])
def test_an_output_that_cannot_be_written_is_refused_before_any_work(file, dimshift, nested_files):
    """--json with no name, a folder, or a folder that is not there stops before a run is stored."""
    done = dimshift("sweep", "corpus.npy", "--json", file)
    assert (done.returncode, done.stdout) == (1, "")
    assert "--json must name a file" in done.stderr
    assert not (nested_files / "workspace").exists()


def test_a_broken_file_is_inspected_and_ends_with_status_1(dimshift, nested_files):
    """A mapped file with a NaN row shows its health, is written as JSON, and ends with one sentence and status 1."""
    corpus = np.load(nested_files / "corpus.npy")
    corpus[7, 3] = np.nan
    np.save(nested_files / "corpus.npy", corpus)
    done = dimshift("inspect", "corpus.npy", "--json", "health.json")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "problem" in done.stdout
    assert json.loads((nested_files / "health.json").read_text())


def test_where_everything_is_retrieved_nothing_is_called_safe(dimshift, nested_files):
    """With k of the whole corpus recall@k is 1 at every dim, so the verdict is undecided and the status 3."""
    done = dimshift(
        "sweep", "corpus.npy", "--queries", "queries.npy", "--k", "1,500", "--judge-at", "500", "--json", "-"
    )
    assert done.returncode == 3
    answer = done.json
    assert answer["recommendation"]["dim"] is None
    assert "says nothing" in answer["recommendation"]["reason"]
    assert {point["verdict"] for point in answer["points"][:-1]} == {"undecided"}


def test_each_file_may_have_a_vector_column_of_its_own(dimshift, nested_files):
    """Where both files have several vector columns, --vector-column and --query-column choose one in each."""
    rng = np.random.default_rng(1)
    for name, n, columns in (("c", 120, ("emb_a", "emb_b")), ("q", 40, ("qa", "qb"))):
        rows = [{column: rng.standard_normal(8).tolist() for column in columns} for _ in range(n)]
        pd.DataFrame(rows).to_parquet(nested_files / f"{name}.parquet")
    asked = ("sweep", "c.parquet", "--queries", "q.parquet", "--k", "1", "--json", "-")
    assert "emb_a, emb_b" in dimshift(*asked).stderr
    assert "qa, qb" in dimshift(*asked, "--vector-column", "emb_a").stderr
    done = dimshift(*asked, "--vector-column", "emb_a", "--query-column", "qb")
    assert done.json["dataset"]["n_queries"] == 40


@pytest.mark.parametrize("arguments", [("sweep",), ("sweep", "corpus.npy", "--nonsense"), ("flip",)])
def test_wrong_usage_is_status_2(arguments, dimshift):
    """Missing arguments, unknown options and unknown verbs are usage errors."""
    assert dimshift(*arguments).returncode == 2


def test_every_verb_and_option_has_a_help_text(dimshift):
    """Each verb's help names what it does, and each of its options says what it is for."""
    for verb in ("app", "inspect", "sweep", "latency", "diagnose"):
        lines = [line.strip() for line in dimshift(verb, "--help").stdout.splitlines()]
        assert any(line.startswith("Usage:") for line in lines)
        options = [line for line in lines if line.startswith("--")]
        assert options
        assert all(len(line.split("  ")) > 1 or line.endswith("]") for line in options), options
    assert dimshift("--version").stdout.startswith("dimshift 0.")
