"""Recall of prefixes, random subsets, tails and principal axes, against a loop in float64."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.progress import ignore_progress, never_cancelled
from engine.tradeoff.nesting.families import FamilyRecalls, family_recalls, principal_axes
from engine.tradeoff.rows import measured_rows

if TYPE_CHECKING:
    from engine.embeddings import EmbeddingSet

DIMS = (4, 16)


def _measure(embedding_set: EmbeddingSet, *, k: int = 10, n_subsets: int = 2) -> FamilyRecalls:
    return family_recalls(
        measured_rows(embedding_set, n_queries=1_000, max_rows=10_000, seed=5),
        DIMS,
        k,
        metric=embedding_set.metric,
        recipe=embedding_set.recipe,
        n_subsets=n_subsets,
        seed=5,
        progress=ignore_progress,
        cancelled=never_cancelled,
    )


def _scores(queries: np.ndarray, corpus: np.ndarray, metric: str) -> np.ndarray:
    if metric == "l2":
        return -((queries[:, None, :] - corpus[None, :, :]) ** 2).sum(axis=2)
    products = queries @ corpus.T
    if metric == "ip":
        return products
    return products / np.linalg.norm(queries, axis=1)[:, None] / np.linalg.norm(corpus, axis=1)[None, :]


def _recalls(embedding_set: EmbeddingSet, turn: np.ndarray) -> np.ndarray:
    queries, corpus = (np.asarray(v, dtype=np.float64) for v in (embedding_set.queries, embedding_set.corpus))
    full = np.argsort(-_scores(queries, corpus, embedding_set.metric), axis=1)[:, :10]
    found = []
    for dim in DIMS:
        scores = _scores((queries @ turn)[:, :dim], (corpus @ turn)[:, :dim], embedding_set.metric)
        top = np.argsort(-scores, axis=1)[:, :10]
        found.append([len(set(a) & set(b)) / 10 for a, b in zip(top, full, strict=True)])
    return np.array(found)


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_every_family_equals_a_loop_over_turned_copies(embedding_set: EmbeddingSet, metric: str) -> None:
    """Prefix, random subsets, tail and projection find what scoring turned float64 copies finds, query by query."""
    given = replace(embedding_set, metric=metric)
    recalls = _measure(given)
    identity, rng = np.eye(32), np.random.default_rng(5)
    np.testing.assert_allclose(recalls.prefix, _recalls(given, identity), atol=1e-6)
    for found in recalls.random:
        np.testing.assert_allclose(found, _recalls(given, identity[:, rng.permutation(32)]), atol=1e-6)
    np.testing.assert_allclose(recalls.tail, _recalls(given, identity[:, ::-1]), atol=1e-6)
    rows = given.corpus.astype(np.float64)
    if metric == "cosine":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    moment = np.cov(rows.T) if metric == "l2" else rows.T @ rows
    np.testing.assert_allclose(recalls.projection, _recalls(given, np.linalg.eigh(moment)[1][:, ::-1]), atol=1e-6)
    assert recalls.centred == (metric == "l2")


def test_the_recipe_comes_before_the_choice_of_components(embedding_set: EmbeddingSet) -> None:
    """With layer_norm, vectors are normalised over all components first, then turned."""
    given = replace(embedding_set, recipe="layer_norm")

    def normed(rows: np.ndarray) -> np.ndarray:
        rows = rows.astype(np.float64)
        return (rows - rows.mean(axis=1, keepdims=True)) / np.sqrt(rows.var(axis=1, keepdims=True) + 1e-5)

    plain = replace(embedding_set, corpus=normed(given.corpus), queries=normed(given.queries))
    np.testing.assert_allclose(_measure(given).tail, _recalls(plain, np.eye(32)[:, ::-1]), atol=1e-6)


@pytest.mark.parametrize("n", [5, 400])
@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_principal_axes_are_a_rotation(metric: str, n: int) -> None:
    """Full-dimension products and distances survive, also with fewer rows than dims and a zero row."""
    rng = np.random.default_rng(1)
    rows = (rng.standard_normal((n, 24)) + 3).astype(np.float32)
    rows[2] = 0
    axes = principal_axes(rows, metric=metric)
    np.testing.assert_allclose(axes.astype(np.float64).T @ axes, np.eye(24), atol=1e-6)


def test_zero_queries_have_no_value_but_distances(embedding_set: EmbeddingSet) -> None:
    """A zero query is NaN in every family under cosine, and a point like any other under l2."""
    queries = embedding_set.queries.copy()
    queries[7] = 0
    given = replace(embedding_set, queries=queries)
    recalls = _measure(given)
    assert recalls.zero_queries == 1
    for values in (recalls.prefix, recalls.random, recalls.tail, recalls.projection):
        assert np.isnan(values[..., 7]).all()
        assert np.isfinite(np.delete(values, 7, axis=-1)).all()
    assert _measure(replace(given, metric="l2")).zero_queries == 0
