"""The page Compare."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.embeddings.embedding_set import Judgements
from engine.embeddings.samples import synthetic
from engine.tradeoff import save_sweep, sweep
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.pages.conftest import App

SCRIPT = "pages/explore/compare.py"
N_QUERIES = 40


@pytest.fixture
def save(workspace_folder: Path) -> Callable[..., str]:
    """Return what sweeps 300 documents and keeps the run in the app's workspace."""

    def keep(seed: int = 0, *, prefix: str = "q", judged: bool = False, ks: tuple[int, ...] = (1, 10)) -> str:
        made = synthetic(300, 16, n_queries=N_QUERIES, clusters=5, spectrum=4.0, seed=seed)
        rows, grades = np.arange(N_QUERIES), np.ones(N_QUERIES, dtype=np.float32)
        chosen = replace(
            made,
            name=f"set {seed} <b>",
            query_ids=[f"{prefix}{row}" for row in rows],
            judgements=Judgements(query_rows=rows, doc_rows=rows, grades=grades) if judged else None,
        )
        with Workspace.open(workspace_folder) as workspace:
            return save_sweep(workspace, sweep(chosen, (4, 8, 16), ks)).id

    return keep


def test_one_run_is_not_compared_with_anything(app: App, save: Callable[..., str]) -> None:
    """The page says what is missing and leads to the form of a new sweep."""
    save()
    app.show(SCRIPT)
    assert "One sweep is stored, and a comparison takes two." in app.said()
    assert app.charts() == 0
    app.at.button(key="compare_sweep").click().run()
    assert "Keep 8 of 16 dimensions" in app.said()


def test_the_newest_run_stands_beside_one_of_another_set(app: App, save: Callable[..., str]) -> None:
    """Without a choice the newest run of another set is compared with the newest run: sentences, charts and tables."""
    runs = [save(0), save(1), save(1)]
    app.show(SCRIPT)
    assert app.at.text_input(key="runs").value == f"{runs[2]},{runs[0]}"
    assert app.at.query_params["runs"] == f"{runs[2]},{runs[0]}"
    words = app.said()
    assert "set 0 <b>: paired query by query over 40 shared queries." in words
    assert "set 0 <b> has a recall@10" in words
    assert "not which one answers better" in words
    assert app.charts() == 2
    assert len(app.at.dataframe) == 2
    assert list(app.at.dataframe[0].value.iloc[:, 1]) == ["4", "8"]


def test_the_address_opens_the_same_comparison(app: App, save: Callable[..., str]) -> None:
    """Runs in the order of the address, k and measure are those of the address, also with runs of other queries."""
    runs = [save(0, judged=True), save(1, judged=True), save(2, prefix="other", judged=True)]
    app.show(SCRIPT, runs=f"{runs[2]},{runs[0]},{runs[1]}", k="1", criterion="nDCG")
    assert app.at.multiselect[0].value == [runs[2], runs[0], runs[1]]
    words = app.said()
    assert "nDCG@1 of every run" in words
    assert words.count("unpaired, since fewer than half of the queries are in both") == 2
    app.at.multiselect[0].set_value([runs[0], runs[1]]).run()
    assert app.at.text_input(key="runs").value == f"{runs[0]},{runs[1]}"
    assert "paired query by query" in app.said()
    app.at.segmented_control(key="criterion").set_value("recall").run()
    assert "Recall@1 of every run" in app.said()


def test_what_cannot_be_compared_is_one_sentence(app: App, save: Callable[..., str]) -> None:
    """Unknown ids, one run, the same run twice and runs without a common k are told, and the choice stays."""
    runs = [save(0), save(1, ks=(5,))]
    app.show(SCRIPT, runs=f"{runs[0]},../../etc/passwd")
    assert [one.value.replace("\\", "") for one in app.at.error] == [
        "No such run is in this workspace; found ../../etc/passwd. Choose one of the stored runs."
    ]
    app.at.text_input(key="runs").set_value(f"{runs[0]},{runs[0]}").run()
    assert "Choose two runs or more." in app.said()
    app.at.multiselect[0].set_value(runs).run()
    assert not app.at.exception
    assert "runs are compared at a k that all of them swept" in app.said().lower()


def test_a_comparison_goes_into_a_report(app: App, save: Callable[..., str]) -> None:
    """The report opens on the first run with the others beside it."""
    runs = [save(0), save(1)]
    app.show(SCRIPT)
    app.at.button(key="compare_report").click().run()
    assert not app.at.exception
    assert app.at.text_input(key="run").value == runs[1]
    assert app.at.text_input(key="beside").value == runs[0]
    assert "**Beside other runs**" in "".join(one.label for one in app.at.expander)
