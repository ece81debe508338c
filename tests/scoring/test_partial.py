"""Stretches of a corpus, scored on their own and merged, against one scan of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ParameterError
from engine.scoring import TILE_ROWS, complete_topk, merge_topk, nested_topk, partial_topk

DIMS = (3, 8, 20)


def _tied(n, seed):
    """Return n rows of which many are equal, so that scores tie across stretches."""
    rng = np.random.default_rng(seed)
    distinct = rng.standard_normal((max(1, n // 3), 20), dtype=np.float32)
    rows = distinct[rng.integers(0, len(distinct), n)]
    rows[:: n // 4 + 1] = 0
    return rows


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=4),
    st.integers(60, 900),
    st.sampled_from(["cosine", "ip", "l2"]),
    st.sampled_from(["prefix", "layer_norm"]),
    st.integers(1, 50),
    st.integers(0, 99),
)
def test_merged_stretches_equal_one_scan_bit_by_bit(tiles, rest, metric, recipe, k, seed):
    """Cut at any tiles and merged, ids and scores are those of one scan: ties, zeros, exclusions and all."""
    edges = [0, *(TILE_ROWS * np.cumsum(tiles)).tolist()]
    corpus = _tied(edges[-1] + rest, seed)
    queries = np.random.default_rng(seed + 1).standard_normal((7, 20), dtype=np.float32)
    queries[3] = 0
    exclude = np.array([-1, 0, 5, 1023, 1024, len(corpus) - 1, -1])
    given_ = {"metric": metric, "recipe": recipe, "exclude": exclude}
    expected = nested_topk(corpus, queries, DIMS, k, n_threads=3, **given_)
    parts = [
        partial_topk(corpus[start:stop], queries, DIMS, k, first_row=start, n_threads=1, cut_for_threads=3, **given_)
        for start, stop in zip(edges, [*edges[1:], len(corpus)], strict=True)
    ]
    found = complete_topk(merge_topk(parts), queries, DIMS, k, metric=metric, recipe=recipe)
    for name in ("ids", "scores", "full_scores", "zero_queries"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    assert (found.k, found.n_docs, found.zero_docs) == (expected.k, expected.n_docs, expected.zero_docs)


def test_scores_are_compared_before_they_are_rounded_once_more():
    """Two documents whose l2 scores round to one number keep the order of one scan, also from different stretches."""
    rng = np.random.default_rng(0)
    corpus = (1000 + rng.standard_normal((3 * TILE_ROWS, 20))).astype(np.float32)
    queries = corpus[:5] + np.float32(0.01)
    expected = nested_topk(corpus, queries, DIMS, 20, metric="l2", n_threads=1)
    assert (np.diff(expected.scores[-1], axis=1) == 0).any()
    parts = [
        partial_topk(corpus[start : start + TILE_ROWS], queries, DIMS, 20, metric="l2", first_row=start, n_threads=1)
        for start in range(0, len(corpus), TILE_ROWS)
    ]
    found = complete_topk(merge_topk(parts), queries, DIMS, 20, metric="l2")
    np.testing.assert_array_equal(found.ids, expected.ids)


def test_a_lost_or_doubled_stretch_is_noticed():
    """Stretches that do not follow each other, or keep another number of documents, are not merged."""
    corpus, queries = _tied(3 * TILE_ROWS, 1), np.ones((2, 20), np.float32)
    first, second, third = (
        partial_topk(corpus[start : start + TILE_ROWS], queries, DIMS, 5, first_row=start)
        for start in range(0, len(corpus), TILE_ROWS)
    )
    fewer = partial_topk(corpus[TILE_ROWS : 2 * TILE_ROWS], queries, DIMS, 4, first_row=TILE_ROWS)
    for wrong in ([first, third], [second, first], [first, second, second], [first, fewer], []):
        with pytest.raises(ParameterError, match="stretches"):
            merge_topk(wrong)
