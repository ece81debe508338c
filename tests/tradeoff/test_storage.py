"""Sweeps kept in a workspace and read back."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.errors import ParameterError, RunNotFoundError, WorkspaceError
from engine.tradeoff import Criterion, SweepResult, load_sweep, save_sweep, summarize, sweep
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.embeddings import EmbeddingSet


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """Open an empty workspace."""
    monkeypatch.delenv("DIMSHIFT_DATABASE_URL", raising=False)
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened


def _assert_equal(loaded: SweepResult, saved: SweepResult) -> None:
    for field in fields(SweepResult):
        ours, theirs = getattr(saved, field.name), getattr(loaded, field.name)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype, field.name
            np.testing.assert_array_equal(theirs, ours, err_msg=field.name)
        else:
            assert (type(theirs), theirs) == (type(ours), ours), field.name


def test_a_sweep_is_there_after_a_restart_without_loss(
    embedding_set: EmbeddingSet, workspace: Workspace, tmp_path: Path
) -> None:
    """Every field of a loaded sweep equals the saved one, NaN and zero-score values too, and so does its summary."""
    queries = embedding_set.queries.copy()
    queries[3] = 0
    named = replace(
        embedding_set, queries=queries, query_ids=["", "a\0", "ü\n\ud800", *(str(row) for row in range(57))]
    )
    result = sweep(named, (4, 8), (1, 10), seed=2**63 - 1)
    run_id = save_sweep(workspace, result).id
    with Workspace.open(tmp_path / "workspace") as reopened:
        loaded = load_sweep(reopened, run_id)
        _assert_equal(loaded, result)
        assert summarize(loaded) == summarize(result)


def test_a_sweep_without_judgements_or_segments_is_kept(embedding_set: EmbeddingSet, workspace: Workspace) -> None:
    """What is None stays None."""
    result = sweep(replace(embedding_set, judgements=None, query_segments=None), (8,), (10,))
    loaded = load_sweep(workspace, save_sweep(workspace, result).id)
    _assert_equal(loaded, result)
    assert loaded.ndcg is None
    assert loaded.query_segments is None


def test_a_list_of_runs_shows_the_recommendation(embedding_set: EmbeddingSet, workspace: Workspace) -> None:
    """The run's row holds criterion, recommendation, headline numbers and parameters, found by the set's digest."""
    result = sweep(embedding_set, (4, 8), (1, 10))
    criterion = Criterion(quantity="ndcg", k=1, target=0.8)
    save_sweep(workspace, result, criterion=criterion)
    (run,) = workspace.runs(kind="sweep", dataset_sha256=embedding_set.sha256)
    summary = summarize(result, criterion)
    assert run.summary["criterion"] == {"quantity": "ndcg", "k": 1, "target": 0.8}
    assert run.summary["recommendation"]["reason"] == summary.recommendation.reason
    assert [point["dim"] for point in run.summary["points"]] == [4, 8, 32]
    assert run.summary["points"][0]["mean"] == summary.points[0].retention[1].mean
    assert run.parameters["ks"] == [1, 10]


def test_a_criterion_that_does_not_fit_stores_nothing(embedding_set: EmbeddingSet, workspace: Workspace) -> None:
    """Saving under a k that was not swept is refused and leaves the workspace empty."""
    result = sweep(embedding_set, (8,), (1,))
    with pytest.raises(ParameterError, match="one of those swept: 1; found 10"):
        save_sweep(workspace, result, criterion=Criterion(k=10))
    assert workspace.runs() == ()


def test_only_sweeps_are_loaded_as_sweeps(workspace: Workspace) -> None:
    """An unknown id, a run of another kind, and a sweep without its arrays are refused."""
    with pytest.raises(RunNotFoundError):
        load_sweep(workspace, "nothing")
    parts = {"dataset": {"sha256": "a" * 64}, "parameters": {}, "seed": 0, "summary": {}, "elapsed_s": 0.0}
    other = workspace.save_run(kind="latency", arrays={}, **parts)
    with pytest.raises(WorkspaceError, match="must be a sweep; found latency"):
        load_sweep(workspace, other.id)
    partial = workspace.save_run(kind="sweep", arrays={"recall": np.ones(3)}, **parts)
    with pytest.raises(WorkspaceError, match="no top1_agreement, rank_overlap, ids, scores, query_ids"):
        load_sweep(workspace, partial.id)
