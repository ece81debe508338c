"""Panels are measured one by one, kept at once, and read back complete."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.embeddings.samples import synthetic
from engine.errors import CancelledError, ParameterError
from engine.tradeoff import save_sweep, sweep
from engine.tradeoff.panels import PANELS, PanelOptions, explore, panel, panel_answers
from engine.workspace import Workspace
from engine.workspace.codec import encode


@pytest.fixture(scope="module")
def small_set():
    """Make a set too small for a forecast and large enough for everything else."""
    return synthetic(400, 32, n_queries=40, seed=1)


@pytest.fixture
def stored(tmp_path, small_set):
    """Open a workspace with one stored sweep of the small set."""
    with Workspace.open(tmp_path) as workspace:
        result = sweep(small_set, (8, 32), (1, 10))
        yield workspace, result, save_sweep(workspace, result)


def test_every_panel_is_kept_and_read_back_as_it_was(stored, small_set):
    """What `explore` returns is what a later visit reads, and the refused panel comes with its sentence."""
    workspace, result, run = stored
    measured = explore(workspace, small_set, result, run_id=run.id)
    read = panel_answers(workspace, run)
    assert set(measured) == set(read) == {one.key for one in PANELS}
    for key, answer in measured.items():
        assert read[key].run_id == answer.run_id
        assert read[key].refused == answer.refused
        if answer.result is not None:
            before, after = encode(answer.result), encode(read[key].result)
            assert before[0] == after[0]
            assert all(np.array_equal(array, after[1][name], equal_nan=True) for name, array in before[1].items())
    assert "at least 2,000 documents" in read["forecast"].refused
    assert [key for key, answer in read.items() if answer.result is None] == ["forecast"]


def test_a_sweep_of_a_sample_of_the_queries_is_measured_too(tmp_path, small_set):
    """Where the sweep drew some of the queries, every panel is measured on those, none is refused for it."""
    with Workspace.open(tmp_path) as workspace:
        result = sweep(small_set, (8, 32), (1, 10), n_queries=30)
        keys = [one.key for one in PANELS if one.key not in {"forecast", "latency"}]
        answers = explore(workspace, small_set, result, run_id=save_sweep(workspace, result).id, keys=keys)
    assert {key: answer.refused for key, answer in answers.items()} == dict.fromkeys(keys)
    assert answers["score-scale"].result.n_queries == len(answers["clusters"].result.labels) == 30


def test_each_panel_is_kept_before_the_next_begins(stored, small_set):
    """A cancel between two panels keeps the finished one and nothing of the next."""
    workspace, result, run = stored
    with pytest.raises(CancelledError):
        explore(
            workspace,
            small_set,
            result,
            run_id=run.id,
            keys=["clusters", "nesting"],
            cancelled=lambda: bool(workspace.runs(kind="nesting")),
        )
    assert list(panel_answers(workspace, run)) == ["nesting"]


def test_the_newest_answer_of_this_sweep_is_read(stored, small_set):
    """Measuring a panel again takes the place of the older answer; answers of another sweep are not shown."""
    workspace, result, run = stored
    explore(workspace, small_set, result, run_id=run.id, keys=["clusters"])
    again = explore(workspace, small_set, result, run_id=run.id, keys=["clusters"])["clusters"]
    other = save_sweep(workspace, result)
    assert panel_answers(workspace, run)["clusters"].run_id == again.run_id
    assert panel_answers(workspace, other) == {}


def test_progress_rises_and_names_the_panel(stored, small_set):
    """Progress goes from 0 towards 1 over all panels, each message begins with the panel's title."""
    workspace, result, run = stored
    seen = []
    explore(
        workspace,
        small_set,
        result,
        run_id=run.id,
        keys=["nesting", "clusters"],
        progress=lambda share, message: seen.append((share, message)),
    )
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1
    assert {message.split(":")[0] for _, message in seen} == {"Does it nest?", "Groups of queries"}


def test_options_are_kept_with_the_answer(stored, small_set):
    """k, the shortlist, the target size and the threads are in the run's parameters."""
    workspace, result, run = stored
    options = PanelOptions(k=1, shortlist=50, target_size=10**6, n_threads=1)
    answer = explore(workspace, small_set, result, run_id=run.id, keys=["footprint"], options=options)["footprint"]
    assert workspace.run(answer.run_id).parameters == {
        "sweep": run.id,
        "k": 1,
        "shortlist": 50,
        "target_size": 10**6,
        "n_threads": 1,
    }
    assert answer.result.k == 1


def test_another_set_and_an_unknown_panel_are_refused(stored, small_set):
    """A set that was not swept, and a panel that does not exist, are refused and nothing is kept."""
    workspace, result, run = stored
    with pytest.raises(ParameterError, match="the one that was swept"):
        explore(workspace, replace(small_set, metric="ip"), result, run_id=run.id)
    with pytest.raises(ParameterError, match="the panel is one of"):
        explore(workspace, small_set, result, run_id=run.id, keys=["weather"])
    with pytest.raises(ParameterError, match="the panel is one of"):
        panel("weather")
    assert panel_answers(workspace, run) == {}
