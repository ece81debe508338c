"""The Sweep page where a Dask cluster is configured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.embeddings.samples import synthetic
from engine.tradeoff import ClusterInfo, save_sweep, sweep
from engine.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.pages.conftest import App


def test_the_page_says_who_sweeps(app: App, workspace_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stored file goes to the cluster, a set in memory stays here, and a run names the cluster that made it."""
    monkeypatch.setenv("DIMSHIFT_SCHEDULER", "tcp://10.0.0.1:8786")
    made = synthetic(
        20_000, 16, n_queries=40, clusters=2, spectrum=3.0, seed=3
    )  # 1.3 MB: stored sets are mapped from 1 MiB
    with Workspace.open(workspace_folder) as workspace:
        stored = workspace.save_dataset(made)
        cluster = ClusterInfo(
            workers=3, threads=6, workers_lost=0, tasks=24, blas_threads=1, dask="2026.8", blas=("openblas",)
        )
        save_sweep(workspace, replace(sweep(made, (8,), (10,)), cluster=cluster))
    app.open("pages/explore/sweep.py")
    assert any("s on a Dask cluster of 3 workers" in words for words in app.words())
    app.at.session_state["new_sweep"] = True
    app.at.session_state["sweep_source"] = stored.sha256
    app.at.run()
    assert any(words.startswith("Swept on the Dask cluster at tcp") for words in app.words())
    app.at.selectbox(key="sweep_source").set_value("sample:digits-pixels").run()
    assert any(words.startswith("Swept on this machine: the vectors are in memory") for words in app.words())
    assert not app.at.exception
