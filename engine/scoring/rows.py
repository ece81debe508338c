"""Blocks of vectors made ready for scoring: float32, the model's recipe applied, nothing but finite values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.errors import VectorError

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.embeddings import Recipe, Vectors

    Float32 = npt.NDArray[np.float32]

_LAYER_NORM_EPSILON = 1e-5  # torch.nn.functional.layer_norm's default, which nomic's recipe calls
_ROWS_NAMED = 5
# |q - c|² is at most four times the larger squared norm, so no score of such vectors overflows.
_LARGEST_SQUARE = float(np.finfo(np.float32).max) / 4


def as_float32(rows: Vectors, recipe: Recipe = "prefix") -> Float32:
    """Return `rows` (n, d) as float32 with contiguous rows; a view where they already are.

    With the recipe ``layer_norm`` every full row is first shifted to mean 0 and scaled to variance 1 (nomic-embed v1.5:
    layer-normalise, then slice, then re-normalise).
    """
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # what float32 cannot hold becomes infinite and is refused with its row number
        converted = np.ascontiguousarray(rows, dtype=np.float32)
    if recipe == "prefix":
        return converted
    centred = converted - converted.mean(axis=1, keepdims=True)
    variance = np.mean(centred * centred, axis=1, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + _LAYER_NORM_EPSILON), dtype=np.float32)


def refuse_not_finite(
    rows: Float32,
    what: str,
    squares: Float32,
    *,
    first_row: int = 0,
    row_numbers: npt.NDArray[np.int64] | None = None,
) -> None:
    """Raise `VectorError` naming the rows of `rows` (n, d) with a NaN, an infinite or a far too large component.

    The squared norms (n,) are looked at first, so that a clean block costs nothing. `first_row` is the number of row 0,
    unless `row_numbers` (n,) gives each its own.
    """
    fits = squares <= _LARGEST_SQUARE
    if fits.all():
        return
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    rule = f"every component of the {what} must be a finite float32 number"
    if not len(bad):
        bad = np.flatnonzero(~fits)
        rule = f"the squared norm of every vector of the {what} must stay below {_LARGEST_SQUARE:.1e}"
    numbers = first_row + bad if row_numbers is None else row_numbers[bad]
    named = ", ".join(str(number) for number in numbers[:_ROWS_NAMED])
    more = f" and {len(bad) - _ROWS_NAMED} more" if len(bad) > _ROWS_NAMED else ""
    raise VectorError(rule, found=f"row {named}{more}", hint="Remove or repair these rows and load the set again")
