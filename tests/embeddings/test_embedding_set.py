"""What an embedding set promises about its parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.embeddings import EmbeddingSet, Judgements
from engine.errors import ParameterError, VectorError


def a_set(**changes):
    """Build a set of six documents and two queries with everything a set can have."""
    rng = np.random.default_rng(0)
    whole = EmbeddingSet(
        name="six",
        corpus=rng.standard_normal((6, 4)).astype(np.float32),
        queries=rng.standard_normal((2, 4)).astype(np.float32),
        corpus_ids=list("abcdef"),
        query_ids=["q1", "q2"],
        corpus_texts=[f"text {name}" for name in "abcdef"],
        query_texts=["first", "second"],
        query_segments=["left", "right"],
        judgements=Judgements(
            query_rows=np.array([0, 1, 1]), doc_rows=np.array([3, 0, -1]), grades=np.array([1, 2, 1], np.float32)
        ),
    )
    return replace(whole, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpus": np.ones(4, np.float32)}, "2-D"),
        ({"corpus": np.ones((0, 4), np.float32)}, "at least one vector"),
        ({"corpus": np.ones((6, 4), np.complex64)}, "complex64"),
        ({"corpus": np.array([["a"] * 4] * 6)}, "must be one of"),
        ({"queries": np.ones((2, 3), np.float32)}, "found 4 and 3"),
        ({"corpus_ids": list("abcde")}, "5 ids, 6 vectors"),
        ({"corpus_ids": list("abcdea")}, "1 repeated, first 'a'"),
        ({"query_texts": ["one"]}, "1 texts, 2 vectors"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, message):
    """Wrong shapes, dtypes, lengths and repeated ids are refused with what was found."""
    with pytest.raises(VectorError, match=message):
        a_set(**changes)


@pytest.mark.parametrize("changes", [{"metric": "dot"}, {"recipe": "whiten"}])
def test_unknown_metric_and_recipe_are_refused(changes):
    """A metric or recipe that does not exist is refused with those that do."""
    with pytest.raises(ParameterError, match="is one of"):
        a_set(**changes)


def test_digest_changes_with_every_part_that_can_change_a_result():
    """Vectors, ids, judgements, metric and recipe each change the digest; name and texts do not."""
    base = a_set()
    changed = [
        a_set(corpus=base.corpus + np.float32(1e-6)),
        a_set(corpus=base.corpus.astype(np.float64)),
        a_set(queries=base.queries[::-1].copy()),
        a_set(corpus_ids=list("abcdeg")),
        a_set(judgements=None),
        a_set(metric="ip"),
        a_set(recipe="layer_norm"),
    ]
    assert len({base.sha256, *(one.sha256 for one in changed)}) == 1 + len(changed)
    assert a_set(name="other", corpus_texts=None).sha256 == base.sha256


def test_held_out_queries_know_their_own_row():
    """Held-out queries are rows of the corpus, seeded, labelled, with ids, texts and their own row number."""
    held = a_set().with_held_out_queries(3, seed=5)
    rows = held.query_corpus_rows
    np.testing.assert_array_equal(held.queries, held.corpus[rows])
    assert held.query_ids == [held.doc_id(row) for row in rows]
    assert list(held.query_texts) == [held.corpus_texts[row] for row in rows]
    assert held.judgements is None
    assert "held-out queries" in held.labels
    np.testing.assert_array_equal(rows, a_set().with_held_out_queries(3, seed=5).query_corpus_rows)
    assert a_set().with_held_out_queries(100).n_queries == 6


def test_a_query_sample_keeps_the_judgements_of_its_queries():
    """Sampling queries keeps each sampled query's id, segment and judgements, renumbered."""
    base = a_set()
    sample = base.with_query_sample(1, seed=3)
    row = base.query_ids.index(sample.query_ids[0])
    mask = base.judgements.query_rows == row
    assert sample.query_segments == [base.query_segments[row]]
    np.testing.assert_array_equal(sample.judgements.query_rows, np.zeros(mask.sum()))
    np.testing.assert_array_equal(sample.judgements.doc_rows, base.judgements.doc_rows[mask])
    assert base.with_query_sample(2) is base


def test_texts_of_sampled_queries_are_looked_up_only_when_asked():
    """Drawing queries reads no text; asking for one reads that one."""
    asked = []

    class Texts(list):
        def __getitem__(self, index):
            asked.append(index)
            return super().__getitem__(index)

    held = a_set(corpus_texts=Texts("uvwxyz")).with_held_out_queries(4).with_query_sample(2)
    assert asked == []
    rows = held.query_corpus_rows
    assert held.query_texts[1] == "uvwxyz"[rows[1]]
    assert asked == [rows[1]]
    assert list(held.query_texts[:1]) == ["uvwxyz"[rows[0]]]


@pytest.mark.parametrize("n", [0, -1])
def test_fewer_than_one_query_is_refused(n):
    """Holding out or sampling fewer than one query is refused."""
    with pytest.raises(ParameterError, match="at least 1"):
        a_set().with_held_out_queries(n)
    with pytest.raises(ParameterError, match="at least 1"):
        a_set().with_query_sample(n)
