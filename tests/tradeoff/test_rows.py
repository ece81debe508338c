"""Samples of queries and documents for the panels beside the sweep."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.embeddings import EmbeddingSet
from engine.errors import ParameterError
from engine.tradeoff import sweep
from engine.tradeoff.rows import at_least, draw_rows, measured_rows, rows_within, swept_query_rows, take_rows

if TYPE_CHECKING:
    from pathlib import Path


def test_a_small_set_is_measured_whole(embedding_set: EmbeddingSet) -> None:
    """Nothing is copied and nothing is said where nothing needs sampling."""
    chosen = measured_rows(embedding_set, n_queries=60, max_rows=300, seed=0)
    assert chosen.corpus is embedding_set.corpus
    assert chosen.queries is embedding_set.queries
    assert chosen.sentences == ()


def test_samples_are_seeded_and_said(embedding_set: EmbeddingSet) -> None:
    """The same seed draws the same rows in their order, another seed others, and both samples are stated."""
    chosen, again, other = (measured_rows(embedding_set, n_queries=20, max_rows=100, seed=seed) for seed in (4, 4, 5))
    assert (chosen.corpus == again.corpus).all()
    assert not (chosen.corpus == other.corpus).all()
    assert (chosen.corpus == embedding_set.corpus[draw_rows(300, 100, seed=4)]).all()
    assert chosen.sentences == (
        "A sample of 20 of the 60 queries was measured.",
        "A sample of 100 of the 300 documents was measured.",
    )


def test_a_held_out_query_stays_barred_from_its_own_document(embedding_set: EmbeddingSet) -> None:
    """After sampling, `exclude` still names the document a query was held out from, or nothing when it is not there."""
    held_out = replace(embedding_set, queries=None, query_ids=None, query_segments=None).with_held_out_queries(50)
    chosen = measured_rows(held_out, n_queries=40, max_rows=150, seed=1)
    barred = np.flatnonzero(chosen.exclude >= 0)
    assert 0 < len(barred) < 40
    for query in range(40):
        same = np.flatnonzero((chosen.corpus == chosen.queries[query]).all(axis=1))
        assert same.tolist() == ([chosen.exclude[query]] if query in barred else [])


@settings(deadline=None)
@given(st.sets(st.integers(0, 50), min_size=1), st.lists(st.integers(-1, 50), min_size=1))
def test_rows_within_equals_a_lookup(kept: set[int], excluded: list[int]) -> None:
    """Renumbering equals looking each row up in a dict."""
    rows = np.array(sorted(kept))
    place = {row: number for number, row in enumerate(rows.tolist())}
    expected = [place.get(row, -1) for row in excluded]
    assert rows_within(np.array(excluded), rows).tolist() == expected
    assert rows_within(None, rows) is None


def test_rows_are_taken_from_a_memory_map(tmp_path: Path) -> None:
    """Rows of a mapped file equal those of the array, in its dtype."""
    vectors = np.random.default_rng(0).standard_normal((500, 8)).astype(np.float16)
    np.save(tmp_path / "v.npy", vectors)
    rows = draw_rows(500, 120, seed=2)
    taken = take_rows(np.load(tmp_path / "v.npy", mmap_mode="r"), rows)
    assert taken.dtype == np.float16
    np.testing.assert_array_equal(taken, vectors[rows])


def test_swept_queries_are_found_again(embedding_set: EmbeddingSet) -> None:
    """A sweep of sampled queries leads back to their rows; a sweep of another set is refused."""
    result = sweep(embedding_set, (8,), (10,), n_queries=25, seed=3)
    rows = swept_query_rows(embedding_set, result)
    assert [embedding_set.query_id(row) for row in rows] == list(result.query_ids)
    other = replace(embedding_set, corpus=embedding_set.corpus[::-1].copy())
    with pytest.raises(ParameterError, match="must be of this embedding set"):
        swept_query_rows(other, result)


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "3"])
def test_numbers_below_the_lowest_are_refused(value: object) -> None:
    """Too small, fractional, boolean and textual numbers are refused with their name."""
    with pytest.raises(ParameterError, match="the number of queries must be"):
        at_least("the number of queries", value, 1)


def test_a_set_without_queries_is_refused(embedding_set: EmbeddingSet) -> None:
    """The error says how to get queries."""
    with pytest.raises(ParameterError, match="needs queries.*hold some of the corpus out"):
        measured_rows(EmbeddingSet(name="bare", corpus=embedding_set.corpus), n_queries=5, max_rows=5, seed=0)
