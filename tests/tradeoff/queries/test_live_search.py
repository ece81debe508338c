"""One query searched now, at a reduced dimension beside the full one."""

from __future__ import annotations

import numpy as np
import pytest

from engine.embeddings.samples import synthetic
from engine.errors import ParameterError, VectorError
from engine.scoring.prefix_store import PrefixStore
from engine.tradeoff import sweep
from engine.tradeoff.queries.live_search import search_beside
from engine.tradeoff.queries.losses import changes_of_query


@pytest.fixture(scope="module")
def small_set():
    """Make a set of 300 documents with 16 dims."""
    return synthetic(300, 16, n_queries=20, seed=2)


@pytest.fixture(scope="module")
def store(small_set):
    """Hold its vectors for searches at 4, 8 and 16 dims."""
    return PrefixStore(small_set.corpus, dims=(4, 8, 16))


def test_a_search_finds_what_the_sweep_found(small_set, store):
    """Documents, ranks, fates and the other rank are those that the sweep keeps for the same query."""
    swept = sweep(small_set, (4, 8, 16), (10, 100))
    for row in (0, 7):
        searched = search_beside(store, small_set.queries[row], 8, k=10)
        kept = changes_of_query(swept, row, 8, k=10)
        for side in ("full", "reduced"):
            for one, other in zip(getattr(searched, side), getattr(kept, side), strict=True):
                assert (one.doc_row, one.rank, one.fate, one.other_rank) == (
                    other.doc_row,
                    other.rank,
                    other.fate,
                    other.other_rank,
                )
                assert one.score == pytest.approx(other.score, abs=1e-5)


def test_at_the_full_dimension_nothing_moves(small_set, store):
    """Searching at the full dimension keeps every document at its rank."""
    searched = search_beside(store, small_set.queries[3], 16, k=5)
    assert searched.full == searched.reduced
    assert all(document.fate == "kept" and document.rank == document.other_rank for document in searched.full)


def test_more_results_than_documents_are_all_documents(store, small_set):
    """A k beyond the corpus returns the whole corpus, all of it kept."""
    searched = search_beside(store, small_set.queries[0], 4, k=1000)
    assert searched.k == len(searched.full) == len(searched.reduced) == 300
    assert {document.fate for document in searched.full} == {"kept"}


def test_wrong_dims_k_and_queries_are_refused(store, small_set):
    """A dim the store was not built for, a k below 1 and a query of another size are refused."""
    with pytest.raises(ParameterError):
        search_beside(store, small_set.queries[0], 5)
    with pytest.raises(VectorError):
        search_beside(store, np.ones(7, np.float32), 4)
