"""An analysis is kept with what makes its events again, and read back as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest

from engine.errors import RunNotFoundError, WorkspaceError
from engine.experiment.analysis import analyze, analyze_counts
from engine.experiment.faults import Fault
from engine.experiment.settings import AnalysisSettings, Stage
from engine.experiment.storage import (
    Origin,
    analysis_json,
    load_analysis,
    load_origin,
    load_sources,
    save_analysis,
)
from engine.experiment.traffic import simulate
from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings
from engine.workspace import Workspace
from engine.workspace.codec import encode

RAMP = (Stage(first_day=0, treatment_share=0.3), Stage(first_day=2, treatment_share=0.5))
TRAFFIC = TrafficSettings(
    control=ArmNumbers(ctr=0.3, conversion=0.1, error_rate=0.01),
    treatment=ArmNumbers(ctr=0.29),
    ramp=RAMP,
    n_users=600,
    queries_per_day=900,
    n_days=4,
    faults=(Fault(kind="latency", amount=1.5, first_day=1),),
    seed=11,
)


@pytest.fixture
def workspace(tmp_path):
    """Open an empty workspace."""
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened


def same(one, other):
    """Whether two results encode to the same document and arrays."""
    (document, arrays), (again, others) = encode(one), encode(other)
    return document == again and all(np.array_equal(arrays[name], others[name], equal_nan=True) for name in arrays)


def test_an_analysis_comes_back_as_it_was_and_its_events_can_be_made_again(workspace):
    """What is loaded equals what was kept, and the stored traffic simulates the same events."""
    events = simulate(TRAFFIC)
    kept = analyze(events, AnalysisSettings(stages=RAMP), seed=11, digest="ab" * 32)
    run = save_analysis(workspace, kept, Origin(traffic=TRAFFIC, sweep_run="r"))
    assert (run.kind, run.seed, run.dataset["sha256"]) == ("ab", 11, "ab" * 32)
    assert run.summary["headline"] == kept.headline
    assert same(load_analysis(workspace, run.id), kept)
    origin = load_origin(workspace, run.id)
    assert origin == Origin(traffic=TRAFFIC, sweep_run="r")
    again = simulate(origin.traffic)
    assert np.array_equal(again.user, events.user)
    assert np.array_equal(again.clicked, events.clicked)


def test_totals_and_logs_are_kept_too(workspace):
    """Plain totals have no origin, a log its bare name."""
    totals = analyze_counts((0, 10), (0, 12))
    run = save_analysis(workspace, totals)
    assert same(load_analysis(workspace, run.id), totals)
    assert load_origin(workspace, run.id) == Origin()
    logged = save_analysis(workspace, totals, Origin(file="log.csv"))
    assert (logged.dataset["name"], load_origin(workspace, logged.id).file) == ("log.csv", "log.csv")


def test_json_holds_every_field_and_no_nan():
    """The JSON of an analysis can be written strictly, with arrays as lists."""
    answer = analysis_json(analyze(simulate(TRAFFIC), AnalysisSettings(stages=RAMP)), run_id="x")
    text = json.dumps(answer, allow_nan=False)
    assert json.loads(text)["daily"]["metrics"][0]["key"] == "ctr"
    assert len(answer["daily"]["dates"]) == len(answer["daily"]["n_queries"][0]) == 4
    assert (answer["run_id"], answer["verdict"]) == ("x", answer["verdict"])


def test_another_kind_of_run_is_no_analysis(workspace):
    """A run of another kind, and none at all, are refused."""
    options = {"dataset": {"name": "a"}, "parameters": {}, "seed": 0, "summary": {}, "arrays": {}, "elapsed_s": 0.0}
    run = workspace.save_run(kind="sweep", **options)
    with pytest.raises(WorkspaceError, match="must be an A/B analysis; found sweep"):
        load_analysis(workspace, run.id)
    with pytest.raises(RunNotFoundError):
        load_origin(workspace, "20260101-000000-00000000")


def test_a_sweep_brings_its_judgements_while_its_set_is_there(workspace):
    """The judgements are those of the swept queries; without the stored set the sweep is used alone."""
    from engine.embeddings.samples import synthetic
    from engine.tradeoff import save_sweep, sweep

    chosen = synthetic(200, 16, n_queries=20, seed=1)
    result = sweep(chosen, (8, 16), (1, 10))
    run = save_sweep(workspace, result)
    alone = load_sources(workspace, run.id)
    assert (alone.judgements, alone.latency, alone.latency_run) == (None, None, None)
    assert np.array_equal(alone.sweep.ids, result.ids)
    workspace.save_dataset(chosen)
    assert (load_sources(workspace, run.id).judgements is None) == (chosen.judgements is None)
