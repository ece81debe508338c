"""The health summary against naive references."""

from __future__ import annotations

import json
import math
import tracemalloc
from typing import TYPE_CHECKING, Any

import hypothesis.extra.numpy as hnp
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.embeddings import (
    DTYPES,
    EmbeddingSet,
    Health,
    Judgements,
    check_finite,
    inspect_health,
    row_scan,
    synthetic,
)
from engine.errors import CancelledError, VectorError

if TYPE_CHECKING:
    from pathlib import Path

FEW_VALUES = [0.0, -0.0, 1.0, -1.0, 3.0, math.nan, math.inf]


@st.composite
def _vectors(draw: st.DrawFn, *, d: int, most: int) -> npt.NDArray[Any]:
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    values = FEW_VALUES if dtype.kind == "f" else [0, 1, 3]
    shape = (draw(st.integers(1, most)), d)
    return draw(hnp.arrays(dtype, shape, elements=st.sampled_from(values)))


@st.composite
def _sets(draw: st.DrawFn) -> EmbeddingSet:
    d = draw(st.integers(1, 3))
    corpus = draw(_vectors(d=d, most=12))
    queries = draw(st.none() | _vectors(d=d, most=6))
    return EmbeddingSet(name="drawn", corpus=corpus, queries=queries)


def _finite(vectors: npt.NDArray[Any]) -> list[int]:
    return [row for row, vector in enumerate(vectors.tolist()) if all(math.isfinite(value) for value in vector)]


@settings(max_examples=200, deadline=None)
@given(_sets(), st.integers(1, 8))
def test_counts_equal_a_naive_walk_over_the_rows(drawn: EmbeddingSet, block_values: int):
    """For every dtype and block size, each fact is the one that plain Python finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_scan, "_BLOCK_VALUES", block_values)
        health = inspect_health(drawn)
    good = _finite(drawn.corpus)
    rows = drawn.corpus.tolist()
    assert health.corpus.non_finite_rows.count == drawn.n_docs - len(good)
    zero = [row for row, values in enumerate(rows) if not any(values)]
    assert (health.corpus.zero_rows.count, list(health.corpus.zero_rows.first)) == (len(zero), zero[:5])
    repeated = pd.DataFrame(drawn.corpus[good].astype(float) + 0.0).duplicated()
    assert health.duplicate_rows.count == int(repeated.sum())
    for row, earlier in health.duplicate_rows.first:
        assert rows[row] == rows[earlier]
        assert earlier == min(other for other in good if rows[other] == rows[row])
    _check_norms(health, drawn.corpus[good])
    flat = [j for j in range(drawn.dim) if len(good) > 1 and len({rows[row][j] for row in good}) == 1]
    assert list(health.constant_dims) == flat
    if drawn.queries is not None:
        shared = [row for row in _finite(drawn.queries) if drawn.queries[row].tolist() in [rows[doc] for doc in good]]
        assert health.queries_in_corpus.count == len(shared)
        assert [pair[0] for pair in health.queries_in_corpus.first] == shared[:5]
        assert all(rows[doc] == drawn.queries[row].tolist() for row, doc in health.queries_in_corpus.first)


def _check_norms(health: Health, finite: npt.NDArray[Any]) -> None:
    norms = sorted(math.dist(row, [0] * len(row)) for row in finite.astype(float).tolist())
    if not norms:
        assert health.corpus.norm_min is health.corpus.norm_median is health.corpus.norm_max is None
        assert not health.corpus.is_unit_norm
        return
    expected = [norms[0], np.median(norms), norms[-1]]
    assert [health.corpus.norm_min, health.corpus.norm_median, health.corpus.norm_max] == pytest.approx(expected)
    assert health.corpus.is_unit_norm == all(abs(norm - 1) <= 1e-3 for norm in norms)


@settings(max_examples=100, deadline=None)
@given(_vectors(d=2, most=10), st.integers(1, 10), st.integers(0, 3))
def test_a_held_out_query_is_found_only_in_its_twins(corpus: npt.NDArray[Any], n: int, seed: int):
    """A held-out query counts as occurring in the corpus exactly when another row equals its own."""
    held_out = EmbeddingSet(name="held out", corpus=corpus).with_held_out_queries(n, seed=seed)
    assert held_out.query_corpus_rows is not None
    rows, good = corpus.tolist(), _finite(corpus)
    own = held_out.query_corpus_rows.tolist()
    expected = [q for q, row in enumerate(own) if row in good and sum(rows[other] == rows[row] for other in good) > 1]
    found = inspect_health(held_out).queries_in_corpus
    assert found.count == len(expected)
    assert [q for q, _ in found.first] == expected[:5]
    assert all(doc != own[q] and rows[doc] == rows[own[q]] for q, doc in found.first)


def test_a_clean_set_has_nothing_to_complain_about():
    """Unit vectors without faults get only findings of severity ok, and the flag for unit norm."""
    health = inspect_health(synthetic(500, 16, n_queries=50))
    assert health.severity == "ok"
    assert {finding.severity for finding in health.findings} == {"ok"}
    assert all(finding.hint is None for finding in health.findings)
    assert health.corpus.is_unit_norm
    assert health.queries is not None
    assert health.queries.is_unit_norm
    assert "500 documents of 16 dims, float32." in _messages(health)
    assert "Already unit norm: cosine and inner product rank alike." in _messages(health)


@pytest.mark.parametrize(("stretch", "is_unit"), [(1.0009, True), (1.0011, False), (0.9991, True), (0.9989, False)])
def test_unit_norm_allows_a_thousandth(stretch: float, is_unit: bool):
    """Norms within 0.001 of 1 count as unit norm, no further."""
    corpus = np.eye(4) * [1, 1, 1, stretch]
    assert inspect_health(EmbeddingSet(name="x", corpus=corpus)).corpus.is_unit_norm == is_unit


def test_faults_are_named_with_rows_worst_first():
    """Each fault has its finding with row numbers and a hint; problems come before warnings before the rest."""
    corpus = np.array([[1, 2, 5], [0, 0, 0], [1, 2, 5], [math.nan, 0, 5], [3, 1, 5], [math.inf, 1, 5], [1, 2, 5.0]])
    queries = np.array([[1, 2, 5.0], [7, 7, 7], [math.nan, 1, 1]])
    health = inspect_health(EmbeddingSet(name="x", corpus=corpus, queries=queries, metric="ip"))
    severities = [finding.severity for finding in health.findings]
    assert severities == sorted(severities, key=["problem", "warning", "ok"].index)
    assert health.severity == "problem"
    messages = _messages(health)
    assert "2 rows of the corpus holding what is no float32 number: row 3, 5." in messages
    assert "1 row of the queries holding what is no float32 number: row 2." in messages
    assert "1 zero vector in the corpus: row 1." in messages
    assert "2 rows of the corpus equal to an earlier row: row 2 equals 0, 6 equals 0." in messages
    assert "1 query equal to a corpus row: query 0 equals corpus row 0." in messages
    assert any(message.startswith("Not unit norm (corpus 0 to ") for message in messages)
    assert "Only 3 queries." in messages
    assert all(finding.hint for finding in health.findings if finding.severity != "ok")


def test_only_the_first_five_rows_are_named():
    """Of many faulty rows five are named and the others counted."""
    corpus = np.zeros((1_207, 2), dtype=np.int8)
    corpus[0] = 1
    assert "1,206 zero vectors in the corpus: row 1, 2, 3, 4, 5 and 1,201 more." in _messages(
        inspect_health(EmbeddingSet(name="x", corpus=corpus))
    )


def test_padding_and_flat_dims_read_differently():
    """Flat dims at the end look like padding; flat dims elsewhere are listed by number."""
    varied = np.random.default_rng(0).standard_normal((20, 4))
    padded = inspect_health(EmbeddingSet(name="x", corpus=np.hstack([varied, np.zeros((20, 2))])))
    assert padded.constant_dims == (4, 5)
    assert "The last 2 dims carry no variance, as in padded vectors." in _messages(padded)
    holed = inspect_health(EmbeddingSet(name="x", corpus=np.insert(varied, 1, 9.25, axis=1)))
    assert holed.constant_dims == (1,)
    assert "1 dim without variance (component 1, counted from 0)." in _messages(holed)


def test_rounding_noise_is_no_variance():
    """A dim that varies a millionth of a millionth as much as another counts as flat; a ten-thousandth does not."""
    corpus = np.random.default_rng(0).standard_normal((1000, 3)) * [1, 1e-13, 1e-4] + [0, 1, 1000]
    assert inspect_health(EmbeddingSet(name="x", corpus=corpus)).constant_dims == (1,)


@pytest.mark.parametrize("value", [1e39, -1e300, math.inf, math.nan])
def test_values_beyond_float32_cannot_be_used(value: float):
    """Scoring is float32, so a float64 value beyond it counts with NaN and infinity, here and in `check_finite`."""
    corpus = np.ones((3, 2))
    corpus[1, 1] = value
    bad = EmbeddingSet(name="x", corpus=corpus)
    assert inspect_health(bad).corpus.non_finite_rows.first == (1,)
    with pytest.raises(VectorError, match="of the corpus must be a finite float32 number; .* in row 1. Remove"):
        check_finite(bad)


def test_a_signalling_nan_is_an_ordinary_fault():
    """The bit pattern that makes processors raise a flag is counted like any NaN, without a warning."""
    corpus = np.ones((3, 2), dtype=np.float32)
    corpus.view(np.uint32)[2, 0] = 0x7F800001
    health = inspect_health(EmbeddingSet(name="x", corpus=corpus, queries=np.ones((1, 2))))
    assert health.corpus.non_finite_rows.first == (2,)


@pytest.mark.parametrize(
    ("scale", "severity", "message"),
    [(1e19, "problem", "its square overflows float32"), (1e-20, "warning", "float32 cannot hold its square")],
)
def test_extreme_norms_are_reported(scale: float, severity: str, message: str):
    """Norms whose squares leave float32 are a finding, unless the layer-norm recipe rescales every row first."""
    corpus = np.eye(3, dtype=np.float32) * np.float32(scale)
    plain = inspect_health(EmbeddingSet(name="x", corpus=corpus))
    assert [f.severity for f in plain.findings if message in f.message] == [severity]
    recipe = inspect_health(EmbeddingSet(name="x", corpus=corpus, recipe="layer_norm"))
    assert not [f for f in recipe.findings if message in f.message]


def test_judgements_texts_and_segments_are_counted():
    """Counts of judgements, judged queries, unknown ids and segments are those of the set."""
    judgements = Judgements(
        query_rows=np.array([0, 0, 2]),
        doc_rows=np.array([1, -1, 3]),
        grades=np.array([1, 2, 1], dtype=np.float32),
        unknown_queries=4,
        unknown_docs=1,
    )
    health = inspect_health(
        EmbeddingSet(
            name="x",
            corpus=np.eye(4),
            queries=np.eye(4)[:3] * 2,
            corpus_texts=list("abcd"),
            query_segments=["a", "b", "a"],
            judgements=judgements,
        )
    )
    assert (health.n_judgements, health.n_judged_queries, health.n_query_segments) == (3, 2, 2)
    assert (health.has_corpus_texts, health.has_query_texts) == (True, False)
    assert "3 relevance judgements for 2 queries." in _messages(health)
    assert "4 relevance judgements naming queries that are not in the set." in _messages(health)
    assert "1 relevance judgement naming documents that are not in the set." in _messages(health)


def test_as_dict_survives_json():
    """Everything comes back from strict JSON, also of a set whose every row is broken."""
    for corpus in (np.eye(3), np.full((2, 3), math.nan, dtype=np.float16)):
        health = inspect_health(EmbeddingSet(name="x", corpus=corpus, labels=("synthetic",)))
        read = json.loads(json.dumps(health.as_dict(), allow_nan=False))
        assert read["severity"] == health.severity
        assert read["labels"] == ["synthetic"]
        assert read["corpus"]["n"] == len(corpus)
        assert read["corpus"]["norm_median"] == health.corpus.norm_median
        assert [finding["message"] for finding in read["findings"]] == _messages(health)


def test_a_memory_map_is_inspected_in_blocks(tmp_path: Path):
    """A mapped corpus gives the health of the same array in memory, with a fraction of it allocated."""
    values = synthetic(100_000, 256, n_queries=1).corpus
    np.save(tmp_path / "corpus.npy", values)
    mapped = EmbeddingSet(name="x", corpus=np.load(tmp_path / "corpus.npy", mmap_mode="r"))
    tracemalloc.start()
    health = inspect_health(mapped)
    check_finite(mapped)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < values.nbytes / 2
    assert health == inspect_health(EmbeddingSet(name="x", corpus=values))


def test_check_finite_names_the_side_and_the_first_rows():
    """Good vectors pass; broken queries are named as such, five rows at most."""
    corpus, queries = np.ones((3, 2)), np.ones((9, 2), dtype=np.float16)
    check_finite(EmbeddingSet(name="x", corpus=corpus))
    check_finite(EmbeddingSet(name="x", corpus=corpus.astype(np.uint8), queries=queries))
    queries[1:8, 1] = np.nan
    with pytest.raises(VectorError, match="of the queries must .* in row 1, 2, 3, 4, 5 and 2 more"):
        check_finite(EmbeddingSet(name="x", corpus=corpus, queries=queries))


def test_progress_reaches_one_and_cancel_stops(monkeypatch: pytest.MonkeyPatch):
    """Progress grows over corpus and queries to 1; a cancel between blocks stops both functions."""
    monkeypatch.setattr(row_scan, "_BLOCK_VALUES", 64)
    embedding_set = synthetic(100, 16, n_queries=10)
    shares: list[float] = []
    inspect_health(embedding_set, progress=lambda share, _message: shares.append(share))
    assert shares == sorted(shares)
    assert len(shares) == 25 + 3
    assert shares[-1] == 1.0
    for stop in (inspect_health, check_finite):
        answers = iter([False, False, True])
        with pytest.raises(CancelledError):
            stop(embedding_set, cancelled=lambda answers=answers: next(answers))


def _messages(health: Health) -> list[str]:
    return [finding.message for finding in health.findings]
