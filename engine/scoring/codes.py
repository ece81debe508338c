"""Vectors as codes of fewer bytes: float16, int8 and sign bits of the prefix, with the calibration that made them.

* ``float32`` and ``float16``: the prefix itself, re-normalised for cosine.
* ``int8``: ``round((x - centre) / step)``, clipped to ±127. The centre is the mean of each component and the step one
  number for all components, the 99.999 % quantile of ``|x - centre|`` over 127, both of a seeded sample of the corpus
  (one step for all as in Qdrant's scalar quantization, centred as in Lucene's). Queries are int8 too, with a step of
  their own: no accuracy is left in them that the codes do not have, and products of two int8 are what processors are
  fast at. A step a component would let the largest component decide what is left of all others in the query.
* ``binary``: a bit a component, set where the component is above 0, packed eight to a byte, most significant first (as
  sentence-transformers and ``numpy.packbits`` do). Scored by Hamming distance, whatever the metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numba
import numpy as np

from engine.embeddings.paging import blocks
from engine.errors import ParameterError, VectorError
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.scoring.nested import check_scoring
from engine.scoring.rows import as_float32, refuse_not_finite

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from engine.embeddings import Metric, Recipe, Vectors
    from engine.progress import Cancelled, Progress

    Float32 = npt.NDArray[np.float32]

CodeType = Literal["float32", "float16", "int8", "binary"]
CODE_TYPES: tuple[CodeType, ...] = get_args(CodeType)

LIMIT = 127
"""The largest int8 code; -128 is not used, so that codes are symmetric."""

QUANTILE = 0.99999
"""Share of the sampled components that int8 represents without clipping.

Nearly all, because what is clipped are the largest components, of which the best scores are made: with 0.9999 the
recall@10 is the same on even components, but up to a fifth lower where a few are much larger than the rest."""

_SAMPLED_ROWS = 10_000
_SAMPLED_COMPONENTS = 1 << 22  # forty of them lie beyond the quantile; sorted in well under a second
_BLOCK_BYTES = 1 << 23
_u = np.uint64


@dataclass(frozen=True, eq=False, kw_only=True)
class Calibration:
    """What int8 codes are decoded with: ``x = centre + step × code``.

    `centre` (dim,) and `step` were measured on `n_rows` corpus rows, drawn with `seed`; the share `quantile` of their
    components lies within ±127 steps.
    """

    centre: Float32
    step: float
    quantile: float
    n_rows: int
    seed: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Codebook:
    """How the first `dim` components of a vector become a code; `calibration` is None but for int8."""

    dtype: CodeType
    dim: int
    metric: Metric
    recipe: Recipe
    calibration: Calibration | None = None

    @property
    def bytes_per_vector(self) -> int:
        """Bytes stored a vector."""
        return code_bytes(self.dtype, self.dim, metric=self.metric)

    @property
    def shared_bytes(self) -> int:
        """Bytes stored once for all vectors: the calibration."""
        return 0 if self.calibration is None else 4 * self.dim + 4


@dataclass(frozen=True, eq=False, kw_only=True)
class Codes:
    """The codes of corpus rows, in their order.

    `data` is (n, dim) float32, float16 or int8, or (n, ceil(dim / 8)) uint8 for binary. `squares` (n,) float32 are the
    squared norms of the decoded, centred vectors, for int8 under l2 only. `zero_rows` lists the rows whose prefix is
    zero. `n_clipped` counts the components beyond what int8 represents.
    """

    book: Codebook
    data: npt.NDArray[Any]
    squares: Float32 | None
    zero_rows: npt.NDArray[np.int64]
    n_clipped: int


@dataclass(frozen=True, eq=False, kw_only=True)
class QueryCodes:
    """Queries made ready to be scored against codes; `data` (q, ...) is as in `Codes`, float32 for float codes.

    `steps` (q,) is each query's own step and `offsets` (q,) its product with the centre; both are 1 and 0 where unused.
    """

    data: npt.NDArray[Any]
    steps: Float32
    offsets: Float32
    zero: npt.NDArray[np.bool_]


def code_bytes(dtype: CodeType, dim: int, *, metric: Metric = "cosine") -> int:
    """Return the bytes stored a vector: the code, and for int8 under l2 its float32 squared norm.

    Under cosine the prefix is re-normalised before it is coded, so no norm is stored; the calibration is stored once.

    >>> [code_bytes(dtype, 100) for dtype in CODE_TYPES]
    [400, 200, 100, 13]
    """
    if dtype == "binary":
        return -(-dim // 8)
    norm = 4 if dtype == "int8" and metric == "l2" else 0
    return dim * {"float32": 4, "float16": 2, "int8": 1}[dtype] + norm


def codebook(
    corpus: Vectors,
    dim: int,
    dtype: CodeType,
    *,
    metric: Metric = "cosine",
    recipe: Recipe = "prefix",
    seed: int = 0,
) -> Codebook:
    """Return how the first `dim` components of `corpus` (n, d) become codes of `dtype`.

    int8 is calibrated on a seeded sample of at most 10,000 rows and about four million components; the other types need
    no calibration.

    Raises
    ------
    ParameterError
        For an unknown dtype, metric or recipe, or a `dim` outside 1..d.
    VectorError
        When a sampled row is not finite.
    """
    if dtype not in CODE_TYPES:
        raise ParameterError(f"the code type is one of {', '.join(CODE_TYPES)}", found=dtype)
    check_scoring((dim,), corpus.shape[1], metric=metric, recipe=recipe)
    plain = Codebook(dtype=dtype, dim=int(dim), metric=metric, recipe=recipe)
    if dtype != "int8":
        return plain
    n_rows = min(_SAMPLED_ROWS, max(1_000, _SAMPLED_COMPONENTS // dim), corpus.shape[0])
    rows = np.sort(np.random.default_rng(seed).choice(corpus.shape[0], size=n_rows, replace=False))
    sample, _ = _prefixes(corpus[rows], plain)
    centre = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
    limit = float(np.quantile(np.abs(sample - centre), QUANTILE))
    calibration = Calibration(
        centre=centre, step=limit / LIMIT if limit > 0 else 1.0, quantile=QUANTILE, n_rows=n_rows, seed=seed
    )
    return Codebook(dtype=dtype, dim=int(dim), metric=metric, recipe=recipe, calibration=calibration)


def code_blocks(corpus: Vectors, book: Codebook) -> Iterator[Codes]:
    """Yield the codes of `corpus` in blocks of rows; pages of a memory map are released behind them."""
    rows = max(1, _BLOCK_BYTES // (4 * corpus.shape[1]))
    for first_row, block in blocks(corpus, rows):
        yield encode(block, book, first_row=first_row)


def quantize(
    corpus: Vectors,
    dim: int,
    dtype: CodeType,
    *,
    metric: Metric = "cosine",
    recipe: Recipe = "prefix",
    seed: int = 0,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> Codes:
    """Return the codes of the first `dim` components of every row of `corpus` (n, d).

    Raises
    ------
    ParameterError, VectorError
        As `codebook` and `encode` do.
    CancelledError
        When `cancelled` answers true.
    """
    book = codebook(corpus, dim, dtype, metric=metric, recipe=recipe, seed=seed)
    parts: list[Codes] = []
    n_done = 0
    for part in code_blocks(corpus, book):
        stop_if(cancelled)
        parts.append(part)
        n_done += len(part.data)
        progress(n_done / corpus.shape[0], f"Coded {n_done:,} documents as {dtype}")
    squares = [part.squares for part in parts if part.squares is not None]
    return Codes(
        book=book,
        data=np.concatenate([part.data for part in parts]),
        squares=np.concatenate(squares) if squares else None,
        zero_rows=np.concatenate([part.zero_rows for part in parts]),
        n_clipped=sum(part.n_clipped for part in parts),
    )


def encode(rows: Vectors, book: Codebook, *, first_row: int = 0) -> Codes:
    """Return the codes of full vectors `rows` (n, d), the corpus rows from `first_row` on.

    Raises
    ------
    VectorError
        For rows with NaN, infinite or too large components, with their row numbers.
    """
    prefixes, zero = _prefixes(rows, book, first_row=first_row)
    squares, n_clipped = None, 0
    data: npt.NDArray[Any] = prefixes
    if book.dtype == "float16":
        data = _as_float16(prefixes)
    elif book.dtype == "binary":
        data = np.packbits(prefixes > 0, axis=1)
    elif book.calibration is not None:
        data = np.empty(prefixes.shape, np.int8)
        n_clipped = int(_round_and_clip(prefixes, book.calibration.centre, np.float32(book.calibration.step), data))
        squares = _decoded_squares(data, book.calibration.step) if book.metric == "l2" else None
    zero_rows = np.flatnonzero(zero) + first_row
    return Codes(book=book, data=data, squares=squares, zero_rows=zero_rows, n_clipped=n_clipped)


def encode_queries(queries: Vectors, book: Codebook) -> QueryCodes:
    """Return full query vectors (q, d) ready to be scored against codes made with `book`.

    Raises
    ------
    VectorError
        For queries with NaN, infinite or too large components.
    """
    prefixes, zero = _prefixes(queries, book, what="queries")
    ones = np.ones(len(prefixes), np.float32)
    if book.dtype == "binary":
        return QueryCodes(data=np.packbits(prefixes > 0, axis=1), steps=ones, offsets=0 * ones, zero=zero)
    if book.calibration is None:
        return QueryCodes(data=prefixes, steps=ones, offsets=0 * ones, zero=zero)
    offsets = 0 * ones if book.metric == "l2" else prefixes @ book.calibration.centre
    if book.metric == "l2":  # distances do not change when both sides move; products would
        prefixes = prefixes - book.calibration.centre
    largest = np.abs(prefixes).max(axis=1)
    steps = np.where(largest > 0, largest / np.float32(LIMIT), np.float32(1)).astype(np.float32)
    return QueryCodes(data=np.rint(prefixes / steps[:, None]).astype(np.int8), steps=steps, offsets=offsets, zero=zero)


def _prefixes(
    rows: Vectors, book: Codebook, *, first_row: int = 0, what: str = "corpus"
) -> tuple[Float32, npt.NDArray[np.bool_]]:
    """Return the prefixes as they are coded, re-normalised for cosine, and which of them are zero."""
    full = as_float32(rows, book.recipe)
    with np.errstate(over="ignore", invalid="ignore"):  # refused by row number in the next line
        refuse_not_finite(full, what, np.einsum("ij,ij->i", full, full), first_row=first_row)
    prefixes = np.ascontiguousarray(full[:, : book.dim])
    norms: Float32 = np.sqrt(np.einsum("ij,ij->i", prefixes, prefixes))
    zero = norms == 0
    if book.metric == "cosine":
        prefixes = np.divide(prefixes, np.where(zero, np.float32(1), norms)[:, None], dtype=np.float32)
    return prefixes, zero


def _as_float16(prefixes: Float32) -> npt.NDArray[np.float16]:
    largest = float(np.finfo(np.float16).max)
    if np.abs(prefixes).max() > largest:
        raise VectorError(
            f"components of float16 codes must stay within ±{largest:,.0f}",
            found=f"{np.abs(prefixes).max():.3g}",
            hint="Leave float16 out, or scale the vectors",
        )
    return prefixes.astype(np.float16)


def _decoded_squares(codes: npt.NDArray[np.int8], step: float) -> Float32:
    wide = codes.astype(np.float32)  # sums of squared codes are whole numbers, exact up to 2^24 and rounded once beyond
    squares: Float32 = (np.einsum("ij,ij->i", wide, wide) * np.float64(step) ** 2).astype(np.float32)
    return squares


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc"})
def _round_and_clip(prefixes: npt.NDArray[Any], centre: npt.NDArray[Any], step: Any, codes: npt.NDArray[Any]) -> Any:
    """Write the int8 codes of `prefixes` and return how many components were clipped; NumPy would pass five times."""
    limit, n_clipped = np.float32(LIMIT), np.int64(0)
    for i in range(prefixes.shape[0]):
        row, code = prefixes[_u(i)], codes[_u(i)]
        beyond = np.float32(0)  # a float32 count keeps the loop as wide as the vectors are; exact below 2^24
        for j in range(row.shape[0]):
            level = np.rint((row[_u(j)] - centre[_u(j)]) / step)
            beyond += np.float32(1) if abs(level) > limit else np.float32(0)
            code[_u(j)] = np.int8(np.int32(min(max(level, -limit), limit)))
        n_clipped += np.int64(beyond)
    return n_clipped
