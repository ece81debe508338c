"""Recall on subsamples of growing size."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.errors import ParameterError
from engine.progress import ignore_progress, never_cancelled
from engine.tradeoff import sweep
from engine.tradeoff.growth.corpora import SizeRecalls, default_sizes, recalls_by_size, resampled_means
from engine.tradeoff.rows import measured_rows

if TYPE_CHECKING:
    from engine.embeddings import EmbeddingSet


def _measure(embedding_set: EmbeddingSet, sizes: tuple[int, ...]) -> SizeRecalls:
    return recalls_by_size(
        measured_rows(embedding_set, n_queries=1_000, max_rows=10_000, seed=3),
        sizes,
        (8, 16),
        5,
        metric=embedding_set.metric,
        recipe=embedding_set.recipe,
        seed=3,
        progress=ignore_progress,
        cancelled=never_cancelled,
    )


def test_every_draw_is_a_sweep_of_its_own_subsample(embedding_set: EmbeddingSet) -> None:
    """The recalls of each run of the permutation equal a sweep of those documents alone; runs share none."""
    recalls = _measure(embedding_set, (50, 140, 300))
    assert [len(draws) for draws in recalls.values] == [3, 2, 1]
    assert recalls.n_trials == 60 * 5
    order = np.random.default_rng(3).permutation(300)
    for size, draws in zip(recalls.sizes, recalls.values, strict=True):
        for number, found in enumerate(draws):
            rows = np.sort(order[number * size : (number + 1) * size])
            alone = replace(embedding_set, corpus=embedding_set.corpus[rows], judgements=None)
            np.testing.assert_array_equal(found, sweep(alone, (8, 16), (5,)).recall[0, :-1])


def test_held_out_queries_never_find_themselves(embedding_set: EmbeddingSet) -> None:
    """In every subsample a held-out query is kept from its own document: its top 1 at the full dimension is another."""
    bare = replace(embedding_set, queries=None, query_ids=None, query_segments=None, judgements=None)
    held_out = bare.with_held_out_queries(40)
    found = _measure(held_out, (100, 300)).values
    shown = _measure(replace(held_out, query_corpus_rows=None), (100, 300)).values
    assert found[1].mean() < shown[1].mean()  # its own document is found at any dim
    np.testing.assert_array_equal(found[1][0], sweep(held_out, (8, 16), (5,)).recall[0, :-1])


def test_default_sizes_ascend_to_the_corpus() -> None:
    """Eight sizes at even ratios, none below 20·k, at most a hundredfold apart."""
    assert default_sizes(2_000, 10) == (200, 278, 386, 537, 746, 1036, 1439, 2000)
    assert default_sizes(2_000, 1)[0] == 200
    assert default_sizes(8_000, 100)[0] == 2_000
    with pytest.raises(ParameterError, match="found k 100 and 7,999 documents"):
        default_sizes(7_999, 100)


def test_resampled_means_are_paired_over_sizes_and_widened_by_draws() -> None:
    """Queries are drawn alike at every size; differing draws add spread; a size measured once adds none."""
    rng = np.random.default_rng(0)
    values = rng.random((1, 1, 80)).astype(np.float32)
    apart = np.concatenate([values - 0.2, values, values + 0.2])
    recalls = SizeRecalls(metric="cosine", sizes=(10, 20, 40), values=(values, values, apart), n_trials=800)
    means, resamples = resampled_means(recalls, n_resamples=1_000, seed=1)
    np.testing.assert_allclose(means[:, 0], values.mean(), atol=1e-6)
    np.testing.assert_array_equal(resamples[0], resamples[1])
    assert resamples[2].std() > 2 * resamples[0].std()


def test_only_zero_queries_are_refused(embedding_set: EmbeddingSet) -> None:
    """Without a query that has neighbours there is nothing to forecast."""
    recalls = _measure(replace(embedding_set, queries=np.zeros((60, 32), np.float32)), (50, 100))
    with pytest.raises(ParameterError, match="queries that are not zero vectors"):
        resampled_means(recalls, n_resamples=1_000, seed=0)
