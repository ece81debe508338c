"""Monthly costs against sums done by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.errors import ParameterError
from engine.tradeoff.results import Interval
from engine.tradeoff.size.cost import CostAssumptions, CostEstimate, MonthlyCost, Serving, estimate_cost, query_ms_at
from engine.tradeoff.size.footprint import FootprintRow, StorageOption
from engine.tradeoff.size.funnel import FunnelRow
from engine.workspace.codec import decode, encode

ROUND = CostAssumptions(
    n_docs=2**20,
    queries_per_day=864_000,
    replicas=3,
    memory_price_per_gib_month=2.0,
    disk_price_per_gib_month=0.5,
    vcpu_price_per_hour=0.1,
    utilisation=0.5,
)


def test_a_cost_done_by_hand():
    """2^20 vectors of 4,096 bytes are 4 GiB; three replicas 12; 864,000 queries of 50 ms keep half a processor busy."""
    now = Serving.float32(1024).measured(query_ms=50, build_rows_per_s=2**20 / 7_200)
    cost = estimate_cost(ROUND, now=now).now
    assert (cost.memory_gib, cost.disk_gib) == (12, 12)
    assert cost.vcpus == pytest.approx(1.0)
    assert cost.build_hours == pytest.approx(2.0)
    assert cost.memory_cost_per_month == pytest.approx(24.0)
    assert cost.disk_cost_per_month == pytest.approx(6.0)
    assert cost.vcpu_cost_per_month == pytest.approx(73.0)
    assert cost.cost_per_month == pytest.approx(103.0)
    assert cost.query_ms_measured
    assert cost.build_measured


def test_memory_and_disk_are_priced_apart():
    """A quarter of the bytes in memory with the full vectors on disk: 1 GiB of memory and 5 GiB of disk a replica."""
    then = Serving(label="int8 + rerank", dim=1024, memory_bytes_per_vector=1024, disk_bytes_per_vector=5120)
    cost = estimate_cost(replace(ROUND, replicas=1), now=Serving.float32(1024), then=then)
    assert (cost.then.memory_gib, cost.then.disk_gib) == (1, 5)
    assert cost.saving_per_month == pytest.approx((4 * 2 + 4 * 0.5) - (1 * 2 + 5 * 0.5))
    assert cost.saving_share == pytest.approx(cost.saving_per_month / cost.now.cost_per_month)


def test_the_example_migration_saves_three_quarters_of_the_memory():
    """5 M documents, 3,072 to 768 dims: 114.44 to 28.61 GiB with two replicas, by default."""
    cost = estimate_cost()
    assert cost.assumptions == CostAssumptions(n_docs=5_000_000, queries_per_day=1_000_000, replicas=2)
    assert cost.now.memory_gib == pytest.approx(114.4409, abs=1e-4)
    assert cost.then.memory_gib == pytest.approx(28.6102, abs=1e-4)
    assert 0.7 < cost.saving_share < 0.75


def test_an_assumption_shows_no_saving_of_time():
    """Without measurements latency and build speed are alike now and then, and each is named as assumed."""
    cost = estimate_cost()
    assert cost.now.vcpus == cost.then.vcpus
    assert cost.now.build_hours == cost.then.build_hours
    assert sum("assumed" in note for note in cost.notes) == 4
    measured = Serving.float32(768).measured(query_ms=2.5, build_rows_per_s=400)
    half = estimate_cost(now=Serving.float32(3072).measured(query_ms=10, build_rows_per_s=100), then=measured)
    assert half.then.vcpus == pytest.approx(half.now.vcpus / 4)
    assert half.notes == ("Prices are assumptions: put in those of your own price list.",)


def test_serving_more_can_cost_more():
    """A larger vector then gives a negative saving."""
    cost = estimate_cost(now=Serving.float32(64), then=Serving.float32(128, link_bytes_per_vector=100))
    assert cost.then.serving.memory_bytes_per_vector == 612
    assert cost.saving_per_month < 0
    assert cost.saving_share < 0


def test_measured_options_become_servings():
    """A row of the footprint or of the funnel brings its bytes and a name that says what it is."""
    some = Interval(mean=0.9, low=0.8, high=0.95)
    sizes = {"memory_bytes_per_vector": 64.0, "disk_bytes_per_vector": 1088.0, "recall": some, "ndcg": None}
    option = StorageOption(dtype="int8", dim=64, rerank=True)
    stored = Serving.of_footprint(FootprintRow(option=option, code_bytes_per_vector=64, **sizes))
    assert stored == Serving(
        label="int8, 64 dims + rerank", dim=64, memory_bytes_per_vector=64, disk_bytes_per_vector=1088
    )
    row = FunnelRow(dtype="binary", dim=64, shortlist=200, shortlist_recall=some, fetched_bytes_per_query=1, **sizes)
    assert Serving.of_funnel(row).label == "binary, 64 dims + rerank of 200"


def test_latency_grows_with_the_documents():
    """An exact scan of ten times the documents takes ten times as long, a graph of a thousand squared twice."""
    assert query_ms_at(3, measured_docs=1_000, n_docs=10_000, exact=True) == pytest.approx(30)
    assert query_ms_at(3, measured_docs=1_000, n_docs=1_000_000, exact=False) == pytest.approx(6)
    with pytest.raises(ParameterError, match="at least 2"):
        query_ms_at(3, measured_docs=1, n_docs=10, exact=False)
    with pytest.raises(ParameterError, match="query ms must be a number above 0"):
        query_ms_at(0, measured_docs=10, n_docs=10, exact=True)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("memory_price_per_gib_month", 0, "memory price per gib month must be a number above 0; found 0"),
        ("disk_price_per_gib_month", -0.1, "above 0; found -0.1"),
        ("vcpu_price_per_hour", float("nan"), "above 0; found nan"),
        ("vcpu_price_per_hour", float("inf"), "above 0; found inf"),
        ("vcpu_price_per_hour", 1e300, "must lie within"),
        ("queries_per_day", 0, "above 0"),
        ("queries_per_day", "many", "above 0; found many"),
        ("query_ms", True, "above 0"),
        ("build_rows_per_s", -5, "above 0"),
        ("utilisation", 1.5, "at most 1"),
        ("n_docs", 0, "documents must be at least 1"),
        ("n_docs", 1.5, "documents must be a whole number"),
        ("n_docs", 10**40, "must lie within"),
        ("replicas", 0, "replicas must be at least 1"),
    ],
)
def test_costs_of_zero_or_below_are_refused(name, value, message):
    """Every price, rate and count of 0 or below, and what is no number, is refused by its name."""
    with pytest.raises(ParameterError, match=message):
        CostAssumptions(**{name: value})


def test_a_serving_needs_bytes():
    """A vector of no bytes, no dims or a latency of 0 is refused."""
    with pytest.raises(ParameterError, match="memory bytes per vector must be a number above 0"):
        Serving(label="nothing", dim=4, memory_bytes_per_vector=0, disk_bytes_per_vector=4)
    with pytest.raises(ParameterError, match="dimension must be at least 1"):
        Serving.float32(0)
    with pytest.raises(ParameterError, match="query ms"):
        Serving.float32(4).measured(query_ms=0)


def test_an_estimate_is_stored_with_its_assumptions():
    """A stored estimate reads back whole, assumptions included."""
    cost = estimate_cost(ROUND)
    assert decode(*encode(cost), CostEstimate, (CostAssumptions, MonthlyCost, Serving)) == cost
