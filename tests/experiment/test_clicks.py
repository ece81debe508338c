"""Clicks on ranked lists follow the position-based model, computed here query by query and place by place."""

import math
from dataclasses import replace

import numpy as np
import pytest

from engine.embeddings import EmbeddingSet, Judgements
from engine.errors import ParameterError
from engine.experiment.clicks import click_model, inclination_nodes, judgements_of
from engine.experiment.interleaved import simulate_interleaving
from engine.experiment.traffic import simulate
from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings
from engine.tradeoff import sweep
from engine.tradeoff.latency.results import LatencyPoint, LatencyResult
from engine.tradeoff.percentiles import percentile
from engine.tradeoff.results import Interval

ARM = ArmNumbers(ctr=0.12, conversion=0.03, error_rate=0.01)
SETTINGS = TrafficSettings(
    control=ARM,
    treatment=replace(ARM, p50_ms=10, p99_ms=30),
    n_users=10_000,
    queries_per_day=50_000,
    n_days=2,
    treatment_dim=8,
    n_results=5,
    seed=2,
)


@pytest.fixture(scope="module")
def embedding_set():
    """Make 300 documents and 40 queries of 32 dims with judgements of grades 1 and 2, and one outside the corpus."""
    rng = np.random.default_rng(5)
    scale = np.arange(1, 33) ** -0.5
    corpus = (rng.standard_normal((300, 32)) * scale).astype(np.float32)
    rows = rng.choice(300, 40, replace=False)
    queries = corpus[rows] + (0.3 * rng.standard_normal((40, 32)) * scale).astype(np.float32)
    judgements = Judgements(
        query_rows=np.concatenate([np.arange(40), np.arange(40), [0, 0]]),
        doc_rows=np.concatenate([rows, rng.integers(0, 300, 40), [-1, rows[0]]]),
        grades=np.concatenate([np.full(40, 2), np.ones(40), [2, 2]]).astype(np.float32),
    )
    return EmbeddingSet(
        name="made",
        corpus=corpus,
        queries=queries,
        query_ids=[f"q{row}" for row in range(40)],
        query_segments=["short" if row % 2 else "long" for row in range(40)],
        judgements=judgements,
    )


@pytest.fixture(scope="module")
def swept(embedding_set):
    """Sweep the made set at 8, 16 and 32 dims, ten documents deep."""
    return sweep(embedding_set, dims=[8, 16, 32], ks=(10,))


def naive_rates(swept, scale, relevance_of, *, dim, background=0.05):
    """Return the click probability of each query: attention 1 / position times what is attractive there."""
    rates = []
    for query, ids in enumerate(swept.ids[swept.dims.index(dim)][:, :5]):
        nothing = 1.0
        for position, doc in enumerate(ids.tolist(), 1):
            relevance = relevance_of(query, doc)
            nothing *= 1 - min(1.0, scale * (background + (1 - background) * relevance)) / position
        rates.append(1 - nothing)
    return rates


def test_click_rates_on_judgements_are_those_of_the_naive_model(swept, embedding_set):
    """Both arms' rates equal a loop over queries and places with the gain (2^g - 1) / 3 of the judged grade."""
    judgements = judgements_of(swept, embedding_set)
    grades = {
        (int(query), int(doc)): float(grade)
        for query, doc, grade in zip(judgements.query_rows, judgements.doc_rows, judgements.grades, strict=True)
    }
    model = click_model(SETTINGS, swept, judgements=judgements)
    for arm, dim in ((0, 32), (1, 8)):
        expected = naive_rates(
            swept, model.scale, lambda query, doc: (2 ** grades.get((query, doc), 0) - 1) / 3, dim=dim
        )
        np.testing.assert_allclose(model.rates[arm], expected, rtol=1e-12)
    assert model.source == "judgements"


def test_click_rates_without_judgements_follow_the_full_dimension_list(swept):
    """Without judgements a document is worth 1 / log2(r + 1) of its full-dimension rank r, and nothing outside it."""
    full = swept.ids[-1].tolist()

    def relevance_of(query, doc):
        return 1 / math.log2(full[query].index(doc) + 2) if doc in full[query] else 0.0

    model = click_model(SETTINGS, swept)
    for arm, dim in ((0, 32), (1, 8)):
        np.testing.assert_allclose(model.rates[arm], naive_rates(swept, model.scale, relevance_of, dim=dim))
    assert model.expected_ctr[1] < model.expected_ctr[0]
    assert model.source == "full dimension"


def test_the_controls_ctr_is_the_stated_one_and_the_treatments_follows(swept, embedding_set):
    """Simulated clicks of both arms agree with the model's expectation, which is the stated CTR for the control."""
    judgements = judgements_of(swept, embedding_set)
    model = click_model(SETTINGS, swept, judgements=judgements)
    events = simulate(SETTINGS, sweep=swept, judgements=judgements)
    assert model.expected_ctr[0] == pytest.approx(0.12, abs=1e-9)
    for arm in (0, 1):
        assert events.clicked[events.arm == arm].mean() == pytest.approx(model.expected_ctr[arm], abs=0.008)
        converted = events.converted[events.arm == arm].sum() / events.clicked[events.arm == arm].sum()
        assert converted == pytest.approx(0.25, abs=0.03)
    assert "follows from its lists" in " ".join(events.assumptions)


def test_each_query_is_clicked_at_its_own_rate(swept):
    """By query and arm, the share of clicks agrees with the model's rate; queries come with their popularity."""
    settings = replace(SETTINGS, click_spread=0, query_exponent=1.0)
    model = click_model(settings, swept)
    events = simulate(settings, sweep=swept)
    asked = np.bincount(events.query, minlength=40) / events.n_rows
    np.testing.assert_allclose(asked, model.popularity, atol=0.006)
    assert np.sort(model.popularity)[::-1][:2] == pytest.approx(
        [1 / sum(1 / r for r in range(1, 41)) / k for k in (1, 2)]
    )
    for arm in (0, 1):
        rows = events.arm == arm
        counts = np.bincount(events.query[rows], minlength=40)
        clicks = np.bincount(events.query[rows], weights=events.clicked[rows], minlength=40)
        expected = 0.99 * model.rates[arm]
        error = np.sqrt(expected * (1 - expected) / counts)
        assert (np.abs(clicks / counts - expected) < 4.5 * error).all()


def test_rows_carry_the_segment_of_their_query(swept):
    """The segment of every row is that of its query."""
    events = simulate(SETTINGS, sweep=swept)
    assert events.segments == ("long", "short")
    np.testing.assert_array_equal(events.segment, events.query % 2)


def test_identical_lists_earn_identical_clicks(swept):
    """With both arms at the full dimension, the expected CTR is the same."""
    model = click_model(replace(SETTINGS, treatment_dim=32), swept)
    assert model.expected_ctr[0] == pytest.approx(model.expected_ctr[1], abs=1e-12)


def test_judgements_of_a_sampled_sweep_follow_the_query_ids(embedding_set):
    """A sweep of a sample of the queries gets the judgements of those queries, under its own row numbers."""
    sampled = sweep(embedding_set, dims=[8], ks=(5,), n_queries=10, seed=1)
    found = judgements_of(sampled, embedding_set)
    original = embedding_set.judgements
    expected = [
        (query, int(doc), float(grade))
        for query, query_id in enumerate(sampled.query_ids)
        for row, doc, grade in zip(original.query_rows, original.doc_rows, original.grades, strict=True)
        if embedding_set.query_id(int(row)) == query_id
    ]
    found_rows = zip(found.query_rows.tolist(), found.doc_rows.tolist(), found.grades.tolist(), strict=True)
    assert sorted(found_rows) == sorted(expected)
    with pytest.raises(ParameterError, match="from the set that was swept"):
        judgements_of(sampled, replace(embedding_set, corpus=embedding_set.corpus * 2))


def test_dims_ctrs_and_judgements_that_do_not_fit_are_refused(swept, embedding_set):
    """Dims that were not swept, a CTR that no list can earn, and judgements of other queries are refused."""
    for changes in ({"treatment_dim": None}, {"treatment_dim": 9}, {"control_dim": 64}):
        with pytest.raises(ParameterError, match="dims that were swept"):
            click_model(replace(SETTINGS, **changes), swept)
    nothing = Judgements(
        query_rows=np.zeros(0, np.int64), doc_rows=np.zeros(0, np.int64), grades=np.zeros(0, np.float32)
    )
    with pytest.raises(ParameterError, match="able to earn the stated CTR; found 12.1 % stated, 0 % at most"):
        click_model(replace(SETTINGS, background=0), swept, judgements=nothing)
    others = replace(embedding_set.judgements, query_rows=embedding_set.judgements.query_rows + 1)
    with pytest.raises(ParameterError, match="judgements must be of the 40 queries"):
        click_model(SETTINGS, swept, judgements=others)


@pytest.mark.parametrize("spread", [0.0, 0.1, 1.0, 3.0])
def test_inclinations_have_mean_1_and_their_spread(spread):
    """The nodes' mean is 1 and their standard deviation the stated one, less what a node averages out."""
    nodes = inclination_nodes(spread)
    assert nodes.mean() == pytest.approx(1)
    assert nodes.std() == pytest.approx(spread, rel=0.12)
    assert (nodes > 0).all()


def measured(dims, samples, *, swept):
    """Build the latency result that holds `samples` of the path `exact`."""
    interval = Interval(mean=1.0, low=1.0, high=1.0)
    points = tuple(
        LatencyPoint(
            path="exact",
            dim=dim,
            recall=interval,
            mean_ms=float(row.mean()),
            p50_ms=percentile(row, 0.5),
            p95_ms=percentile(row, 0.95),
            p99_ms=percentile(row, 0.99),
            throughput=(),
            build_s=0.0,
            bytes_per_vector=4.0 * dim,
            hnsw=None,
        )
        for dim, row in zip(dims, samples, strict=True)
    )
    return LatencyResult(
        dataset=swept.dataset, metric="cosine", recipe="prefix", dims=dims, paths=("exact",), k=10, k_requested=10,
        seed=0, n_rows=300, n_timed_queries=samples.shape[1], n_tuning_queries=0, target_recall=0.95, n_threads=1,
        n_build_threads=1, blas_threads=1, processors=1, points=points, samples_ms=samples, assumptions=(), warnings=(),
        elapsed_s=1.0,
    )  # fmt: skip


def test_measured_latency_is_scaled_to_the_stated_p99(swept):
    """The control's p99 becomes the stated one; the treatment keeps the measured ratio at every percentile."""
    samples = np.random.default_rng(0).gamma(4, 1, (2, 2000)).astype(np.float32)
    samples[0] = 3 * samples[1]
    latency = measured((8, 32), samples[::-1], swept=swept)
    events = simulate(SETTINGS, sweep=swept, latency=latency)
    shares = [50, 90, 99]
    control, treatment = (np.percentile(events.latency_ms[events.arm == arm], shares) for arm in (0, 1))
    np.testing.assert_allclose(
        control, np.percentile(samples[0], shares) * 120 / np.percentile(samples[0], 99), rtol=0.02
    )
    np.testing.assert_allclose(control / treatment, 3, rtol=0.03)
    with pytest.raises(ParameterError, match="not measured"):
        simulate(replace(SETTINGS, treatment_dim=16), sweep=swept, latency=latency)
    with pytest.raises(ParameterError, match="needs the dims"):
        simulate(replace(SETTINGS, treatment_dim=None), latency=latency)


def test_interleaving_prefers_the_better_list(swept):
    """Clicks on interleaved pages prefer the full dimension, of which they were made; equal lists win equally often."""
    worse = simulate_interleaving(SETTINGS, swept, n_pages=20_000)
    assert worse.preference.low > 0.5
    assert worse.dims == (32, 8)
    assert (worse.wins_control + worse.wins_treatment + worse.ties).sum() == 20_000
    again = simulate_interleaving(SETTINGS, swept, n_pages=20_000)
    np.testing.assert_array_equal(worse.wins_control, again.wins_control)
    same = simulate_interleaving(replace(SETTINGS, treatment_dim=32), swept, n_pages=20_000).preference
    assert same.low < 0.5 < same.high
    with pytest.raises(ParameterError, match="number of pages"):
        simulate_interleaving(SETTINGS, swept, n_pages=0)


def test_interleaved_clicks_are_those_of_the_model(swept):
    """On two equal lists an interleaved page is that list, so its clicks are the sum over places of the model."""
    settings = replace(SETTINGS, treatment_dim=32, click_spread=0)
    model = click_model(settings, swept)
    shown = simulate_interleaving(settings, swept, n_pages=40_000)
    expected = float(model.popularity @ (model.attraction[0] * model.examined).sum(axis=1))
    assert shown.n_clicks / 40_000 == pytest.approx(expected, rel=0.05)
