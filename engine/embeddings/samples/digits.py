"""Handwritten digits as a set without texts: 64 pixels, or the same vectors in the order of their variance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.embeddings.embedding_set import EmbeddingSet, Judgements, Vectors

if TYPE_CHECKING:
    import numpy.typing as npt

N_QUERIES = 300
_SEED = 0


def load_digits(*, order: Literal["pixels", "pca"]) -> EmbeddingSet:
    """Load scikit-learn's 1,797 digits as float32 (n, 64): 300 seeded ones as queries, the other 1,497 as corpus.

    Every image of the query's digit is relevant (grade 1). `order` "pca" turns the vectors onto the principal axes of
    the corpus; full-dimension cosines, inner products and distances are those of the pixels.
    """
    import sklearn.datasets  # a second, and only this set needs it

    images, digits = sklearn.datasets.load_digits(return_X_y=True)
    queried = np.zeros(len(images), dtype=bool)
    queried[np.random.default_rng(_SEED).choice(len(images), size=N_QUERIES, replace=False)] = True
    axes = np.eye(images.shape[1]) if order == "pixels" else _principal_axes(images[~queried])
    return EmbeddingSet(
        name=f"Digits, {order}",
        corpus=_turned(images[~queried], axes),
        queries=_turned(images[queried], axes),
        corpus_ids=_image_ids(~queried),
        query_ids=_image_ids(queried),
        corpus_segments=_digit_names(digits[~queried]),
        query_segments=_digit_names(digits[queried]),
        corpus_texts=_digit_names(digits[~queried]),
        query_texts=_digit_names(digits[queried]),
        judgements=_same_digit(digits[queried], digits[~queried]),
    )


def _principal_axes(images: Vectors) -> npt.NDArray[np.float64]:
    # Not centred: subtracting the mean would change every cosine. The axes are those of the second moment.
    _, axes = np.linalg.eigh(images.T @ images)
    axes = axes[:, ::-1]  # eigh sorts ascending
    largest = np.abs(axes).argmax(axis=0)
    signed: npt.NDArray[np.float64] = axes * np.sign(axes[largest, np.arange(axes.shape[1])])
    return signed


def _turned(images: Vectors, axes: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    # Rounded at 1e-6 of a grey level, so that directions without any ink are 0 rather than the noise of the product.
    vectors = np.round(images @ axes, 6).astype(np.float32)
    vectors.setflags(write=False)
    return vectors


def _image_ids(chosen: npt.NDArray[np.bool_]) -> list[str]:
    return [f"image-{row:04d}" for row in np.flatnonzero(chosen)]


def _digit_names(digits: npt.NDArray[np.int64]) -> list[str]:
    return [f"digit {digit}" for digit in digits]


def _same_digit(query_digits: npt.NDArray[np.int64], corpus_digits: npt.NDArray[np.int64]) -> Judgements:
    query_rows, doc_rows = np.nonzero(query_digits[:, None] == corpus_digits)
    return Judgements(
        query_rows=query_rows.astype(np.int64),
        doc_rows=doc_rows.astype(np.int64),
        grades=np.ones(len(doc_rows), dtype=np.float32),
    )
