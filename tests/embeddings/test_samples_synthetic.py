"""The synthetic generator."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from engine.embeddings import synthetic
from engine.errors import ParameterError


def test_the_same_arguments_give_the_same_set():
    """Equal arguments give equal fingerprints; another seed, spectrum or cluster count gives another."""
    same = synthetic(300, 32, n_queries=20, seed=3)
    assert synthetic(300, 32, n_queries=20, seed=3).sha256 == same.sha256
    assert synthetic(300, 32, n_queries=20, seed=4).sha256 != same.sha256
    assert synthetic(300, 32, n_queries=20, seed=3, spectrum=0.5).sha256 != same.sha256
    assert synthetic(300, 32, n_queries=20, seed=3, clusters=7).sha256 != same.sha256


def test_vectors_are_unit_float32_and_labelled():
    """Every row has norm 1, the set says synthetic, and there are as many segments as rows."""
    made = synthetic(500, 3072, n_queries=30, clusters=4)
    assert made.queries is not None
    assert made.corpus.shape == (500, 3072)
    assert made.queries.shape == (30, 3072)
    assert made.corpus.dtype == made.queries.dtype == np.float32
    for vectors in (made.corpus, made.queries):
        np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float64), axis=1), 1, atol=1e-5)
    assert made.labels == ("synthetic",)
    assert "Synthetic" in made.name
    assert set(made.corpus_segments or ()) == {"cluster 1", "cluster 2", "cluster 3", "cluster 4"}


@pytest.mark.parametrize("spectrum", [0.0, 0.5, 1.0])
def test_variance_falls_with_the_exponent(spectrum: float):
    """On a log-log scale the variance of the dims falls with slope -spectrum."""
    made = synthetic(20_000, 256, spectrum=spectrum, clusters=2000, n_queries=1)
    variances = made.corpus.astype(np.float64).var(axis=0)
    slope = np.polyfit(np.log(np.arange(1, 257)), np.log(variances), 1)[0]
    assert slope == pytest.approx(-spectrum, abs=0.05)


def test_half_of_the_variance_lies_between_clusters():
    """Two vectors of one cluster have an expected cosine of one half, two of different clusters of none."""
    made = synthetic(2000, 512, spectrum=0.0, clusters=20, n_queries=1)
    labels = np.array(made.corpus_segments)
    cosines = made.corpus @ made.corpus.T
    same = labels[:, None] == labels
    np.fill_diagonal(same, val=False)
    different = labels[:, None] != labels
    assert cosines[same].mean() == pytest.approx(0.5, abs=0.03)
    assert cosines[different].mean() == pytest.approx(0.0, abs=0.03)


def test_generation_needs_little_more_than_the_vectors():
    """Peak memory stays within a block of the vectors themselves."""
    tracemalloc.start()
    made = synthetic(60_000, 256)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < made.corpus.nbytes + 64e6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "number of vectors must be at least 1; found 0"),
        ({"n_queries": 0}, "number of queries must be at least 1; found 0"),
        ({"d": 0}, "from 1 to 3072; found 0"),
        ({"d": 3073}, "from 1 to 3072; found 3073"),
        ({"n": 10**9}, "at most 8 GiB"),
        ({"spectrum": -0.1}, "spectrum exponent must be from 0 to 4; found -0.1"),
        ({"spectrum": float("nan")}, "spectrum exponent"),
        ({"clusters": 0}, "number of clusters"),
        ({"clusters": 10_001}, "number of clusters"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_parameters_out_of_range_are_refused(arguments: dict[str, float], message: str):
    """Each number has a range, named in the error with what was given; nothing is allocated before."""
    with pytest.raises(ParameterError, match=message):
        synthetic(**arguments)  # type: ignore[arg-type]  # wrong values are the point
