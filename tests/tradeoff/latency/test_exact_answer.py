"""Recall of an answer against the exact one, compared with the sweep's recall and with brute force."""

from __future__ import annotations

import numpy as np
import pytest

from engine.scoring import nested_topk
from engine.scoring.ranking import recall_at
from engine.tradeoff.latency.exact_answer import ExactAnswer

DIMS = (2, 6, 16)


def vectors(n, d=16, *, seed=0):
    """Draw float32 rows."""
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_equals_the_recall_of_the_sweep(metric):
    """The exact ids of every dimension have the recall against the full one that the sweep computes."""
    corpus, queries = vectors(300), vectors(25, seed=1)
    nested = nested_topk(corpus, queries, DIMS, 8, metric=metric)
    full = ExactAnswer.of(nested, 16, corpus, queries, metric)
    expected = recall_at(nested, (8,))[0]
    for i in range(len(DIMS)):
        np.testing.assert_allclose(full.recall_of(nested.ids[i]), expected[i], atol=1e-7)


def test_a_tie_with_the_kth_is_a_hit():
    """A copy of the k-th document counts like the k-th document itself, one of another document does not."""
    corpus = np.repeat(vectors(20), 2, axis=0)  # rows 2i and 2i + 1 are equal
    queries = vectors(1, seed=2)
    nested = nested_topk(corpus, queries, (16,), 3)
    answer = ExactAnswer.of(nested, 16, corpus, queries, "cosine")
    best, copy, third = nested.ids[0, 0].tolist()
    assert (best // 2, third % 2) == (copy // 2, 0)
    other = next(row for row in range(40) if row // 2 not in (best // 2, third // 2))
    assert answer.recall_of(np.array([[best, copy, third + 1]])) == 1
    assert answer.recall_of(np.array([[best, copy, other]])) == np.float32(2 / 3)


def test_missing_documents_are_no_hits():
    """Places that an index left empty (-1) count against it."""
    corpus, queries = vectors(50), vectors(2, seed=3)
    answer = ExactAnswer.of(nested_topk(corpus, queries, (16,), 4), 16, corpus, queries, "cosine")
    found = answer.ids.copy()
    found[1, 2:] = -1
    np.testing.assert_array_equal(answer.recall_of(found), [1, 0.5])


def test_answers_for_some_queries_only():
    """With rows given, each row of what was found is compared with that query's answer."""
    corpus, queries = vectors(200), vectors(30, seed=4)
    answer = ExactAnswer.of(nested_topk(corpus, queries, DIMS, 5), 6, corpus, queries, "cosine")
    rows = np.array([29, 3, 11])
    np.testing.assert_array_equal(answer.recall_of(answer.ids[rows], rows), [1, 1, 1])
    assert answer.recall_of(answer.ids[rows], np.array([0, 1, 2])).mean() < 0.5


def test_zero_queries_have_no_recall_where_there_is_no_cosine():
    """A zero query is not measurable by cosine, but has neighbours by distance."""
    corpus, queries = vectors(50), vectors(2, seed=5)
    queries[1] = 0
    for metric, expected in (("cosine", [False, True]), ("l2", [False, False])):
        nested = nested_topk(corpus, queries, (16,), 4, metric=metric)
        recall = ExactAnswer.of(nested, 16, corpus, queries, metric).recall_of(nested.ids[0])
        assert np.isnan(recall).tolist() == expected
