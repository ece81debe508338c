"""Storage options measured end to end against a plain loop, their bytes against what was counted by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.errors import CancelledError, ParameterError
from engine.scoring.codes import CODE_TYPES
from engine.tradeoff import sweep
from engine.tradeoff.results import DatasetInfo, Interval
from engine.tradeoff.size.footprint import (
    FootprintResult,
    FootprintRow,
    StorageOption,
    measure_footprint,
    storage_bytes,
)
from engine.workspace.codec import decode, encode

if TYPE_CHECKING:
    from engine.embeddings import EmbeddingSet


@pytest.mark.parametrize(
    ("dtype", "rerank", "metric", "code", "disk"),
    [
        ("float32", False, "cosine", 256, 256),
        ("float16", False, "cosine", 128, 128),
        ("int8", False, "cosine", 64, 64),
        ("int8", False, "l2", 68, 68),
        ("binary", False, "cosine", 8, 8),
        ("int8", True, "cosine", 64, 64 + 1024),
        ("binary", True, "l2", 8, 8 + 1024),
    ],
)
def test_bytes_at_64_of_256_dims(dtype, rerank, metric, code, disk):
    """A code takes its components, int8 under l2 a norm of 4 bytes, and a rerank the full 4 × 256 bytes on disk."""
    size = storage_bytes(StorageOption(dtype=dtype, dim=64, rerank=rerank), full_dim=256, metric=metric)
    assert (size.code, size.memory, size.disk) == (code, code, disk)


def test_links_and_full_vectors_in_memory_are_counted():
    """Links of an index are in memory and on disk; full vectors can be held in memory too, and then count there."""
    option = StorageOption(dtype="binary", dim=100, rerank=True)
    on_disk = storage_bytes(option, full_dim=200, link_bytes_per_vector=130.5)
    assert (on_disk.code, on_disk.memory, on_disk.disk) == (13, 143.5, 943.5)
    held = storage_bytes(option, full_dim=200, link_bytes_per_vector=130.5, full_in_memory=True)
    assert (held.memory, held.disk) == (943.5, 943.5)
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(ParameterError, match="links a vector must be 0 or more"):
            storage_bytes(option, full_dim=200, link_bytes_per_vector=wrong)


def coded_ranking(embedding_set: EmbeddingSet, option: StorageOption, *, k: int, shortlist: int) -> np.ndarray:
    """Rank in float64: quantise with the option's rule, sort, and sort the shortlist again by the full vectors."""
    corpus, queries = (np.asarray(rows, np.float64) for rows in (embedding_set.corpus, embedding_set.queries))
    full = corpus / np.linalg.norm(corpus, axis=1, keepdims=True)
    cut, asked = (rows[:, : option.dim] for rows in (corpus, queries))
    cut, asked = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (cut, asked))
    if option.dtype == "binary":
        scores = -((asked > 0)[:, None] != (cut > 0)[None]).sum(axis=2)
    elif option.dtype == "float16":
        scores = asked @ cut.astype(np.float16).astype(np.float64).T
    elif option.dtype == "int8":
        centre = cut.mean(axis=0)
        limit = np.quantile(np.abs(cut - centre), 0.99999)
        codes = np.clip(np.rint((cut - centre) / (limit / 127)), -127, 127)
        scores = np.rint(asked / (np.abs(asked).max(axis=1, keepdims=True) / 127)) @ codes.T
    else:
        scores = asked @ cut.T
    ids = np.argsort(-scores, axis=1, kind="stable")
    if not option.rerank:
        return ids[:, :k]
    best = np.sort(ids[:, :shortlist], axis=1)
    again = np.take_along_axis(queries @ full.T, best, axis=1)
    return np.take_along_axis(best, np.argsort(-again, axis=1, kind="stable")[:, :k], axis=1)


def test_every_option_equals_a_plain_loop(embedding_set: EmbeddingSet) -> None:
    """Recall@5 of every type, dim and rerank is the overlap that ranking the decoded vectors in float64 gives."""
    result = measure_footprint(embedding_set, (8, 20), k=5, shortlist=15, n_resamples=1000)
    assert [row.option.dtype for row in result.rows[:3]] == ["float32", "float32", "float16"]
    assert len(result.rows) == 2 * (4 * 3 - 1) + 1
    exact = coded_ranking(embedding_set, StorageOption(dtype="float32", dim=32), k=5, shortlist=15)
    for row, recall in zip(result.rows, result.recall, strict=True):
        ids = coded_ranking(embedding_set, row.option, k=5, shortlist=15)
        expected = [len(set(a) & set(b)) / 5 for a, b in zip(ids, exact, strict=True)]
        # A rounding of float32 may swap two scores that are as good as equal, in a query or two.
        assert np.mean(np.abs(recall - expected) > 1e-6) <= 0.05, row.option
        assert row.recall.mean == pytest.approx(recall.mean(), abs=1e-6)
        assert row.recall.low <= row.recall.mean <= row.recall.high


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_float32_options_are_the_sweep(embedding_set: EmbeddingSet, metric: str) -> None:
    """float32 without rerank has the recall and nDCG of the sweep, query by query, and the full dimension is exact."""
    result = measure_footprint(
        embedding_set, (4, 16), k=10, shortlist=20, dtypes=("float32",), metric=metric, n_resamples=1000
    )
    swept = sweep(embedding_set, (4, 16, 32), (10,), metric=metric)
    rows = [result.position(StorageOption(dtype="float32", dim=dim)) for dim in (4, 16, 32)]
    np.testing.assert_allclose(result.recall[rows], swept.recall[0], atol=1e-6)
    np.testing.assert_allclose(result.ndcg[rows], swept.ndcg[0], atol=1e-6)
    assert result.rows[-1].option == StorageOption(dtype="float32", dim=32)
    assert (result.recall[-1] == 1).all()


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_a_rerank_never_loses_recall(embedding_set: EmbeddingSet, metric: str) -> None:
    """Reranked by the full vectors, no query finds fewer of its true neighbours; of all documents it finds all."""
    result = measure_footprint(embedding_set, (6,), k=10, shortlist=40, metric=metric, n_resamples=1000)
    for row, recall in zip(result.rows, result.recall, strict=True):
        if row.option.rerank:
            plain = result.position(replace(row.option, rerank=False))
            assert (recall >= result.recall[plain] - 1e-6).all()
    everything = measure_footprint(embedding_set, (6,), k=10, shortlist=300, metric=metric, n_resamples=1000)
    reranked = [i for i, row in enumerate(everything.rows) if row.option.rerank]
    assert (everything.recall[reranked] == 1).all()


def test_held_out_queries_and_small_corpora_are_measured_with_a_word(embedding_set: EmbeddingSet) -> None:
    """Held-out queries never find themselves; k and shortlists beyond the corpus shrink, and the result says so."""
    held_out = replace(embedding_set, judgements=None, corpus=embedding_set.corpus[:40]).with_held_out_queries(10)
    result = measure_footprint(held_out, (8,), k=50, shortlist=80, n_resamples=1000)
    assert (result.k, result.shortlist, result.ndcg) == (39, 39, None)
    assert (result.recall == 1).all()
    said = " ".join(result.warnings)
    assert "k = 50 is read as 39" in said
    assert "shortlists of more are read as 39" in said
    assert "held-out" in said
    assert "Few queries, 10" in said


def test_one_sided_components_warn_of_binary_codes(embedding_set: EmbeddingSet) -> None:
    """Where nearly every component is positive, the result says that signs tell little; only where binary was asked."""
    shifted = replace(embedding_set, corpus=embedding_set.corpus + 10)
    result = measure_footprint(shifted, (8,), n_resamples=1000)
    assert any("binary codes" in sentence for sentence in result.warnings)
    assert measure_footprint(shifted, (8,), dtypes=("int8",), n_resamples=1000).warnings == ()
    assert measure_footprint(embedding_set, (8,), n_resamples=1000).warnings == ()


def test_a_sample_of_the_queries_is_measured_and_said(embedding_set: EmbeddingSet) -> None:
    """A number of queries draws a seeded sample, and its ids are kept."""
    first, again = (
        measure_footprint(embedding_set, (8,), n_queries=30, dtypes=("int8",), rerank=False, n_resamples=1000, seed=5)
        for _ in range(2)
    )
    assert first.query_ids == again.query_ids
    np.testing.assert_array_equal(first.recall, again.recall)
    assert len(first.query_ids) == first.dataset.n_queries == 30
    assert first.dataset.sha256 == embedding_set.sha256
    assert any("A sample of 30 of the 60 queries" in sentence for sentence in first.warnings)


def test_a_result_is_stored_without_loss(embedding_set: EmbeddingSet) -> None:
    """A stored footprint reads back with the same rows and per-query values."""
    result = measure_footprint(embedding_set, (8,), n_resamples=1000)
    parts = (FootprintRow, StorageOption, DatasetInfo, Interval)
    back = decode(*encode(result), FootprintResult, parts)
    for name, value in vars(result).items():
        np.testing.assert_equal(getattr(back, name), value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be at least 1"),
        ({"k": 20, "shortlist": 10}, "shortlist must hold at least the k = 20.*found 10"),
        ({"shortlist": 2.5}, "shortlist must be a whole number"),
        ({"dtypes": ("int4",)}, "code types.*int4"),
        ({"dtypes": ()}, "code types.*none"),
        ({"dtypes": ("int8", "int8")}, "each once"),
        ({"dims": (64,)}, "dims must lie between 1 and the full dimension 32"),
        ({"metric": "dot"}, "metric is one of"),
        ({"link_bytes_per_vector": -5}, "links"),
        ({"n_queries": 0}, "number of queries"),
        ({"n_resamples": 10}, "resamples"),
        ({"seed": -1}, "seed"),
    ],
)
def test_parameters_out_of_range_are_refused(embedding_set: EmbeddingSet, options: dict, message: str) -> None:
    """Every wrong number or name is refused with its rule before anything long runs."""
    with pytest.raises(ParameterError, match=message):
        measure_footprint(embedding_set, **options)


def test_a_set_without_queries_is_refused(embedding_set: EmbeddingSet) -> None:
    """Without queries the error names the way out."""
    with pytest.raises(ParameterError, match="with_held_out_queries"):
        measure_footprint(replace(embedding_set, queries=None, query_ids=None, query_segments=None, judgements=None))


def test_progress_rises_to_one_and_cancel_stops(embedding_set: EmbeddingSet) -> None:
    """Progress never falls and ends at 1, the clock gives the time taken, and a cancel ends the work."""
    shares: list[float] = []
    ticks = iter((10.0, 12.5))
    result = measure_footprint(
        embedding_set,
        (8, 16),
        progress=lambda share, _: shares.append(share),
        clock=lambda: next(ticks),
        n_resamples=1000,
    )
    assert result.elapsed_s == 2.5
    assert result.dtypes == CODE_TYPES
    assert shares == sorted(shares)
    assert shares[-1] == 1
    with pytest.raises(CancelledError):
        measure_footprint(embedding_set, (8,), cancelled=lambda: len(shares) > 0)
