"""The digits in two orders."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.datasets

from engine.embeddings import EmbeddingSet, load_sample


@pytest.fixture(scope="module")
def pixels() -> EmbeddingSet:
    return load_sample("digits-pixels")


@pytest.fixture(scope="module")
def components() -> EmbeddingSet:
    return load_sample("digits-pca")


def test_queries_are_taken_out_of_the_corpus(pixels: EmbeddingSet):
    """300 queries and 1,497 documents are together the images of scikit-learn, each once, with its own id."""
    images = sklearn.datasets.load_digits().data
    assert (pixels.n_docs, pixels.n_queries, pixels.dim) == (1497, 300, 64)
    assert pixels.queries is not None
    ids = [*(pixels.corpus_ids or ()), *(pixels.query_ids or ())]
    assert sorted(ids) == [f"image-{row:04d}" for row in range(1797)]
    rows = [int(name.removeprefix("image-")) for name in ids]
    np.testing.assert_array_equal(np.vstack([pixels.corpus, pixels.queries]), images[rows].astype(np.float32))


def test_judgements_and_texts_name_the_digit(pixels: EmbeddingSet):
    """A query's relevant documents are exactly those whose text and segment are its own digit, grade 1."""
    judged = pixels.judgements
    assert judged is not None
    assert pixels.corpus_texts == pixels.corpus_segments
    assert pixels.query_texts == pixels.query_segments
    assert pixels.query_texts is not None
    targets = sklearn.datasets.load_digits().target
    for row, name in enumerate(pixels.query_ids or ()):
        assert pixels.query_texts[row] == f"digit {targets[int(name.removeprefix('image-'))]}"
        expected = [doc for doc, text in enumerate(pixels.corpus_texts or ()) if text == pixels.query_texts[row]]
        assert judged.doc_rows[judged.query_rows == row].tolist() == expected
    assert set(judged.grades.tolist()) == {1.0}


def test_principal_axes_keep_the_full_dimension(pixels: EmbeddingSet, components: EmbeddingSet):
    """Inner products and norms, hence cosines and distances, are the same in both orders at 64 dims."""
    assert pixels.queries is not None
    assert components.queries is not None
    np.testing.assert_allclose(components.queries @ components.corpus.T, pixels.queries @ pixels.corpus.T, rtol=1e-5)
    for turned, plain in ((components.corpus, pixels.corpus), (components.queries, pixels.queries)):
        np.testing.assert_allclose(np.linalg.norm(turned, axis=1), np.linalg.norm(plain, axis=1), rtol=1e-5)


def test_principal_axes_come_in_order(pixels: EmbeddingSet, components: EmbeddingSet):
    """The mean square falls from dim to dim as the squared singular values of the uncentred corpus do."""
    squares = (components.corpus.astype(np.float64) ** 2).sum(axis=0)
    assert (np.diff(squares) <= 1e-6 * squares[0]).all()
    singular = np.linalg.svd(pixels.corpus.astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(squares, singular**2, rtol=1e-5, atol=1e-3)


def test_the_order_matters_below_the_full_dimension(pixels: EmbeddingSet, components: EmbeddingSet):
    """At 16 dims the principal components keep more than half of the neighbours, the top rows of pixels fewer."""

    def overlap(embedding_set: EmbeddingSet, dim: int) -> float:
        def top10(d: int) -> np.ndarray:
            assert embedding_set.queries is not None
            distances = (embedding_set.corpus[:, :d] ** 2).sum(axis=1) - 2 * embedding_set.queries[
                :, :d
            ] @ embedding_set.corpus[:, :d].T
            return np.argsort(distances, axis=1, kind="stable")[:, :10]

        return float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(top10(dim), top10(64), strict=True)]))

    assert overlap(components, 16) > 0.5 > overlap(pixels, 16)
