"""Does it nest: verdicts on sets whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.embeddings import EmbeddingSet, load_sample, synthetic
from engine.errors import CancelledError, ParameterError, VectorError
from engine.tradeoff import Interval, SweepResult, sweep
from engine.tradeoff.nesting.diagnosis import Diagnosis, NestPoint, diagnose
from engine.tradeoff.results import DatasetInfo
from engine.workspace.codec import decode, encode


def test_the_bundled_pair_comes_out_on_opposite_sides() -> None:
    """The Matryoshka-trained set is ordered, its rotation is spread evenly; PCA finds the same in both."""
    trained = diagnose(load_sample("api-reference"), n_queries=300)
    rotated = diagnose(load_sample("api-reference-rotated"), n_queries=300)
    assert trained.verdicts == ("ordered", "a projection would beat the prefix")
    assert rotated.verdicts == ("spread evenly", "a projection would beat the prefix")
    assert trained.half_dim == rotated.half_dim == 128
    assert trained.half.projection.mean == pytest.approx(rotated.half.projection.mean, abs=0.005)
    assert trained.sentences[0].startswith("Ordered: at 128 of 256 dims")
    assert "Both hold" in trained.sentences[1]
    assert "Both hold" not in rotated.sentences[1]


def test_digits_in_pixel_order_lose_to_a_projection_and_in_pca_order_do_not() -> None:
    """Raw pixels are not ordered and PCA clearly beats them; the same digits on principal axes are ordered already."""
    pixels, axes = diagnose(load_sample("digits-pixels")), diagnose(load_sample("digits-pca"))
    assert pixels.verdicts == ("spread evenly", "a projection would beat the prefix")
    assert axes.verdicts == ("ordered",)
    assert "would not clearly beat" in axes.sentences[1]


def test_flat_vectors_have_nothing_to_order() -> None:
    """Where every component weighs the same, neither order nor projection is worth anything."""
    flat = diagnose(synthetic(2_000, 32, n_queries=300, spectrum=0, clusters=1, seed=2))
    assert flat.verdicts == ("spread evenly",)


def test_the_prefix_is_that_of_the_sweep(embedding_set: EmbeddingSet) -> None:
    """Mean prefix recall at every dim equals the sweep's, and half_dim is the nearest to half."""
    found = diagnose(embedding_set, (4, 12, 20, 32))
    swept: SweepResult = sweep(embedding_set, (4, 12, 20), (10,))
    assert found.dims == (4, 12, 20)
    assert found.half_dim == 12
    means = [point.prefix.mean for point in found.points]
    np.testing.assert_allclose(means, swept.recall[0, :-1].mean(axis=1), atol=1e-6)
    for point, subsets in zip(found.points, found.random_means.T, strict=True):
        assert point.random.mean == pytest.approx(subsets.mean())
        assert (point.random_low, point.random_high) == (subsets.min(), subsets.max())
        assert point.random_std == pytest.approx(np.std(subsets, ddof=1))
        assert point.order_gain.mean == pytest.approx(point.prefix.mean - point.random.mean, abs=1e-6)
        assert point.projection_gain.mean == pytest.approx(point.projection.mean - point.prefix.mean, abs=1e-6)
    gains = [point.order_gain.mean for point in found.points]
    assert found.overall_order_gain.mean == pytest.approx(np.mean(gains), abs=1e-6)


def test_a_diagnosis_is_seeded_and_says_what_it_measured(embedding_set: EmbeddingSet) -> None:
    """Equal seeds give equal results; samples, clock and counts are stated."""
    ticks = iter([1.0, 3.5, 0.0, 0.0])
    found = diagnose(embedding_set, (8,), n_queries=40, max_rows=200, n_subsets=3, seed=9, clock=lambda: next(ticks))
    again = diagnose(embedding_set, (8,), n_queries=40, max_rows=200, n_subsets=3, seed=9, clock=lambda: next(ticks))
    assert found.points == again.points
    assert found.elapsed_s == 2.5
    assert (found.n_docs, found.n_queries, found.n_subsets, found.n_fitted, found.seed) == (200, 40, 3, 200, 9)
    assert found.dataset.n_docs == 300
    assert found.warnings[:2] == (
        "A sample of 40 of the 60 queries was measured.",
        "A sample of 200 of the 300 documents was measured.",
    )


def test_the_metric_can_be_overridden(embedding_set: EmbeddingSet) -> None:
    """Asking for another metric equals diagnosing a set of that metric, up to the set's digest."""
    asked = diagnose(embedding_set, (8,), metric="l2")
    given = diagnose(replace(embedding_set, metric="l2"), (8,))
    assert asked.points == given.points
    assert (asked.metric, asked.centred) == ("l2", True)


def test_a_stored_diagnosis_reads_back_equal(embedding_set: EmbeddingSet) -> None:
    """The codec of stored runs keeps every field."""
    found = diagnose(embedding_set, (8, 16), n_subsets=2)
    document, arrays = encode(found)
    back = decode(document, arrays, Diagnosis, (NestPoint, Interval, DatasetInfo))
    np.testing.assert_array_equal(back.random_means, found.random_means)
    assert replace(back, random_means=found.random_means).__dict__ == found.__dict__


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dims": (32,)}, "below the full dimension 32"),
        ({"dims": (8, 64)}, "found 64"),
        ({"k": 0}, "k must be at least 1"),
        ({"n_subsets": 1}, "random subsets must be at least 2"),
        ({"n_subsets": 51}, "at most 50"),
        ({"n_queries": 0}, "number of queries must be at least 1"),
        ({"max_rows": 0}, "sampled rows must be at least 1"),
        ({"metric": "dot"}, "one of cosine, ip, l2"),
        ({"seed": -1}, "seed must be a whole number"),
    ],
)
def test_parameters_out_of_range_are_refused(
    embedding_set: EmbeddingSet, options: dict[str, object], message: str
) -> None:
    """Every parameter out of range is refused with its value."""
    with pytest.raises(ParameterError, match=message):
        diagnose(embedding_set, **options)


def test_what_cannot_be_retrieved_is_refused_before_scoring() -> None:
    """Rankings beyond memory, and a single document held out as the query, are refused at once."""
    vectors = np.ones((100_000, 2), dtype=np.int8)
    huge = EmbeddingSet(name="huge", corpus=vectors, queries=vectors)
    with pytest.raises(ParameterError, match="found 2 × 2,000 × 100,000"):
        diagnose(huge, (1,), k=1_000_000, n_queries=2_000)
    lonely = EmbeddingSet(name="one", corpus=np.ones((1, 2), dtype=np.float32)).with_held_out_queries(1)
    with pytest.raises(ParameterError, match="at least one document to retrieve"):
        diagnose(lonely, (1,))


def test_not_finite_vectors_are_refused(embedding_set: EmbeddingSet) -> None:
    """A NaN is refused by row number, before anything is fitted."""
    corpus = embedding_set.corpus.copy()
    corpus[17, 3] = np.nan
    with pytest.raises(VectorError, match="17"):
        diagnose(replace(embedding_set, corpus=corpus))


def test_progress_ascends_to_one_and_cancelling_stops(embedding_set: EmbeddingSet) -> None:
    """Progress never falls and ends at 1; cancelling at any question raises."""
    shares: list[float] = []
    asked = 0

    def count() -> bool:
        nonlocal asked
        asked += 1
        return False

    diagnose(embedding_set, (8,), progress=lambda share, _message: shares.append(share), cancelled=count)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    for stop_at in range(asked):
        answers = iter([False] * stop_at)
        with pytest.raises(CancelledError):
            diagnose(embedding_set, (8,), cancelled=lambda answers=answers: next(answers, True))
