"""What a cost estimate can choose from, how it is levelled, and how it is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.embeddings.samples import synthetic
from engine.tradeoff import save_sweep, sweep
from engine.tradeoff.latency.measure import measure_latency
from engine.tradeoff.size.cost import CostAssumptions, Serving, query_ms_at
from engine.tradeoff.size.footprint import measure_footprint
from engine.tradeoff.size.options import compare_costs, kept_estimates, save_estimate, serving_options
from engine.workspace import Workspace


@pytest.fixture(scope="module")
def small_set():
    """Make a small set."""
    return synthetic(300, 16, n_queries=40, seed=1)


@pytest.fixture(scope="module")
def footprint(small_set):
    """Measure its storage options."""
    return measure_footprint(small_set, (8,), shortlist=20, n_resamples=1000)


@pytest.fixture(scope="module")
def latency(small_set):
    """Measure its latency on every path."""
    return measure_latency(small_set, (8, 16), n_build_threads=1, throughput_seconds=0.002)


def test_without_measurements_float32_of_every_dim_is_offered():
    """The full dimension comes first and nothing is called measured."""
    options = serving_options((4, 8, 16), n_docs=1000)
    assert options == (Serving.float32(16), Serving.float32(8), Serving.float32(4))


def test_every_measured_option_is_offered_once(footprint, latency):
    """Each row of the footprint is an option with a label of its own, the full float32 first."""
    options = serving_options((8, 16), n_docs=1000, footprint=footprint, latency=latency)
    assert len({option.label for option in options}) == len(options) == len(footprint.rows)
    assert options[0].label == Serving.float32(16).label


def test_only_what_was_timed_has_a_latency(footprint, latency):
    """Float32 without a rerank has its measured latency, carried over to the corpus to come; codes have none."""
    for index, exact in (("hnsw", False), ("exact", True)):
        options = serving_options((8, 16), n_docs=9000, index=index, footprint=footprint, latency=latency)
        timed = {option.label: option for option in options if option.query_ms is not None}
        assert set(timed) == {Serving.float32(8).label, Serving.float32(16).label}
        for dim in (8, 16):
            point = latency.point(index, dim)
            expected = query_ms_at(point.p50_ms.value, measured_docs=300, n_docs=9000, exact=exact)
            assert timed[Serving.float32(dim).label].query_ms == expected


def test_links_of_a_graph_are_counted_into_every_option(footprint, latency):
    """Served from a graph an option takes its links in memory and on disk; scanned it takes none."""
    linked = serving_options((8, 16), n_docs=1000, footprint=footprint, latency=latency)
    scanned = serving_options((8, 16), n_docs=1000, index="exact", footprint=footprint, latency=latency)
    for one, other in zip(linked, scanned, strict=True):
        links = latency.point("hnsw", one.dim).bytes_per_vector - 4 * one.dim
        assert links > 0
        assert one.memory_bytes_per_vector == pytest.approx(other.memory_bytes_per_vector + links)
        assert one.disk_bytes_per_vector == pytest.approx(other.disk_bytes_per_vector + links)


def test_an_assumption_is_never_compared_with_a_measurement():
    """Where one side was not measured, both are assumed alike, so that processors show no saving."""
    now = Serving.float32(16).measured(query_ms=0.1, build_rows_per_s=5.0)
    then = replace(Serving.float32(8), label="int8")
    estimate = compare_costs(CostAssumptions(), now=now, then=then)
    assert estimate.now.vcpus == estimate.then.vcpus
    assert estimate.now.build_hours == estimate.then.build_hours
    assert not estimate.now.query_ms_measured
    measured = compare_costs(CostAssumptions(), now=now, then=now)
    assert measured.now.query_ms_measured
    assert measured.saving_per_month == 0


def test_a_single_document_has_no_latency_to_carry_over(latency):
    """For one document, of which a logarithm says nothing, no latency is offered."""
    assert all(option.query_ms is None for option in serving_options((8, 16), n_docs=1, latency=latency))


def test_a_kept_estimate_is_read_back_as_it_was(tmp_path, small_set):
    """Estimates come back newest first with their assumptions, for the sweep they belong to only."""
    with Workspace.open(tmp_path) as workspace:
        result = sweep(small_set, (8, 16), (10,))
        run, other = save_sweep(workspace, result), save_sweep(workspace, result)
        estimates = [
            compare_costs(CostAssumptions(replicas=n), now=Serving.float32(16), then=Serving.float32(8)) for n in (1, 3)
        ]
        for estimate in estimates:
            save_estimate(workspace, run, result.dataset, estimate)
        kept = kept_estimates(workspace, run)
        assert [one.estimate for one in kept] == estimates[::-1]
        assert workspace.run(kept[0].run_id).kind == "cost"
        assert kept_estimates(workspace, other) == ()
