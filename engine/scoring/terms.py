"""What turns a product of a query and a document into the score that they are ranked by, and that into the score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.scoring import selection

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.embeddings import Metric

    Float32 = npt.NDArray[np.float32]


def ranking_terms(squares: Float32, metric: Metric, *, width: int) -> tuple[Float32, Float32]:
    """Return `scale` and `shift` (dims, width): what turns a product with row c into its ranking score.

    The score is ``product * scale[c] + shift[c]`` and leaves out what is the same for all documents of a query, which
    `restore_query_terms` puts back. `squares` (dims, n) are squared prefix norms; columns from n on never win.
    """
    n_dims, n = squares.shape
    scale = np.zeros((n_dims, width), np.float32)
    shift = np.full((n_dims, width), -np.inf, np.float32)
    shift[:, :n] = 0
    if metric == "ip":
        scale[:, :n] = 1
    elif metric == "l2":
        scale[:, :n] = 2
        shift[:, :n] = -squares
    else:
        positive = squares > 0
        np.divide(1, np.sqrt(squares), out=scale[:, :n], where=positive)
        shift[:, :n][~positive] = selection.LOWEST
    return scale, shift


def restore_query_terms(scores: Float32, query_squares: Float32, metric: Metric) -> None:
    """Turn ranking scores (..., q, k) into scores in place; `query_squares` (..., q) are squared prefix norms."""
    if metric == "l2":
        np.subtract(scores, query_squares[..., None], out=scores)
    elif metric == "cosine":
        lost = (scores == selection.LOWEST) | (query_squares[..., None] == 0)
        norms = np.sqrt(np.where(query_squares > 0, query_squares, 1))[..., None]
        with np.errstate(over="ignore"):  # the stand-in for "lost" over a short query; overwritten in the next line
            np.divide(scores, norms, out=scores)
        scores[lost] = -np.inf
