"""Clusters of queries, and the segments that lose most."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from engine.errors import CancelledError, ParameterError
from engine.tradeoff.queries.segments import _p_worse, cluster_queries, segment_changes


def _blobs(sizes: tuple[int, ...], *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return queries in well separated directions, of any length, shuffled, with the blob of each."""
    rng = np.random.default_rng(seed)
    blob = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    queries = np.eye(8)[blob] + 0.05 * rng.standard_normal((len(blob), 8))
    return (queries * rng.uniform(0.1, 50, size=(len(blob), 1))).astype(np.float32), blob


def test_separate_directions_become_clusters_the_largest_first() -> None:
    """Under cosine three bundles of directions are found whatever the norms; cluster 1 is the largest."""
    queries, blob = _blobs((40, 90, 60))
    found = cluster_queries(queries, 3, seed=5)
    expected = np.array(["cluster 3", "cluster 1", "cluster 2"])[blob]
    assert list(found.labels) == expected.tolist()
    assert (found.n_clusters, found.n_fitted, found.seed) == (3, 190, 5)
    assert cluster_queries(queries, 3, seed=5) == found


def test_all_queries_are_labelled_from_a_sample() -> None:
    """Centres fitted on fewer rows label every query, and the result says on how many."""
    queries, blob = _blobs((100, 200, 300))
    found = cluster_queries(queries, 3, max_rows=60)
    assert found.n_fitted == 60
    assert list(found.labels) == np.array(["cluster 3", "cluster 2", "cluster 1"])[blob].tolist()


def test_fewer_distinct_queries_make_fewer_clusters() -> None:
    """Repeated queries share a cluster, and no more clusters are made than there are distinct ones."""
    queries = np.repeat(np.eye(3, 8, dtype=np.float32), 20, axis=0)
    found = cluster_queries(queries, 8)
    assert found.n_clusters == 3
    assert len(set(found.labels)) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_segments": 1}, "segments must be at least 2"),
        ({"n_segments": 101}, "segments must be at most 100"),
        ({"max_rows": 2}, "sampled rows must be at least 8"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_parameters_out_of_range_are_refused(options: dict[str, int], message: str) -> None:
    """Every parameter out of range is refused with its name."""
    with pytest.raises(ParameterError, match=message):
        cluster_queries(_blobs((20, 20))[0], **options)


def test_cancelling_stops_clustering() -> None:
    """Cancelling raises before and after the fit."""
    for stop_at in range(2):
        answers = iter([False] * stop_at)
        with pytest.raises(CancelledError):
            cluster_queries(_blobs((20, 20))[0], 2, cancelled=lambda answers=answers: next(answers, True))


def test_the_worst_segment_comes_first_with_its_interval() -> None:
    """A planted loss is found, clearly worse, with its own mean inside its interval; the others are not."""
    rng = np.random.default_rng(3)
    labels = rng.permutation(["news"] * 80 + ["code"] * 100 + ["chat"] * 120).tolist()
    changes = rng.normal(-0.1, 0.1, size=300) - 0.1 * np.array([label == "code" for label in labels])
    found = segment_changes(changes.astype(np.float32), labels, seed=0)
    assert found[0].name == "code"
    assert [segment.clearly_worse for segment in found] == [True, False, False]
    for segment in found:
        own = changes[np.array(labels) == segment.name]
        assert segment.n_queries == len(own)
        assert segment.mean == pytest.approx(own.mean(), abs=1e-6)
        assert segment.change.low < own.mean() < segment.change.high
        assert segment.change.high - segment.change.low == pytest.approx(4 * own.std() / np.sqrt(len(own)), rel=0.15)


def test_small_segments_come_last_and_are_never_worse() -> None:
    """29 queries are too small whatever they lose: no interval, no verdict; 30 are not; NaN counts as no query."""
    changes = np.concatenate([np.full(29, -1.0), np.full(30, -0.5), np.full(31, -0.9), np.full(200, -0.1)])
    labels = ["tiny"] * 29 + ["enough"] * 30 + ["holed"] * 31 + ["rest"] * 200
    changes[59:61] = np.nan
    found = {segment.name: segment for segment in segment_changes(changes.astype(np.float32), labels, seed=0)}
    assert list(found) == ["enough", "rest", "tiny", "holed"]
    assert (found["tiny"].too_small, found["tiny"].change, found["tiny"].clearly_worse) == (True, None, False)
    assert (found["holed"].too_small, found["holed"].n_queries) == (True, 29)
    assert found["enough"].clearly_worse


def test_segments_of_one_kind_are_rarely_called_worse() -> None:
    """Of 60 sets of ten equal segments, at most four name a clearly worse one: Holm at 2.5 % expects one or two."""
    rng = np.random.default_rng(1)
    labels = [f"s{number % 10}" for number in range(400)]
    wrong = sum(
        any(segment.clearly_worse for segment in segment_changes(changes, labels, seed=0, n_resamples=1_000))
        for changes in rng.normal(-0.1, 0.1, size=(60, 400)).astype(np.float32)
    )
    assert wrong <= 4


def test_the_comparison_with_the_others_is_welchs_test() -> None:
    """The p-value of every segment equals SciPy's one-sided Welch test against all other queries."""
    rng = np.random.default_rng(2)
    segment_of = rng.integers(0, 4, size=300)
    values = rng.normal(-0.1, 0.05 * (1 + segment_of))
    expected = [
        scipy.stats.ttest_ind(
            values[segment_of == segment], values[segment_of != segment], equal_var=False, alternative="less"
        ).pvalue
        for segment in range(4)
    ]
    np.testing.assert_allclose(_p_worse(values, segment_of), expected, rtol=1e-9)


def test_one_segment_alone_is_worse_than_nothing() -> None:
    """Without other queries, or with equal constants, no segment is called worse."""
    alone = segment_changes(np.linspace(-1, 0, 40, dtype=np.float32), ["a"] * 40, seed=0)
    assert [segment.clearly_worse for segment in alone] == [False]
    equal = segment_changes(np.full(80, -0.3, dtype=np.float32), ["a", "b"] * 40, seed=0)
    assert [segment.clearly_worse for segment in equal] == [False, False]


def test_nothing_measured_gives_no_segments() -> None:
    """Queries without a value belong to no segment."""
    assert segment_changes(np.full(40, np.nan, dtype=np.float32), ["a"] * 40, seed=0) == ()
