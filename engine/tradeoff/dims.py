"""Which dims and which k a sweep may ask for."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

from engine.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DIMS = 200
"""More could never be recommended: 200 × the smallest p-value of 10,000 resamples just passes Holm's correction."""

_MOST_BY_DEFAULT = 10
_USUAL_SIZES = (192, 384, 768, 1536, 3072, 6144)


def default_dims(d: int) -> tuple[int, ...]:
    """Return the dims to try for full dimension `d`: powers of two and usual model sizes from about d/32 up, and `d`.

    >>> default_dims(256)
    (8, 16, 32, 64, 128, 192, 256)
    >>> default_dims(1536)
    (32, 64, 128, 192, 256, 384, 512, 768, 1024, 1536)
    """
    if d < 1:
        raise ParameterError("the full dimension must be at least 1", found=d)
    powers = {1 << exponent for exponent in range(1, d.bit_length())}
    dims = sorted({size for size in powers | set(_USUAL_SIZES) if _smallest_default(d) <= size < d} | {d})
    between = [size for size in dims if size in _USUAL_SIZES and size != d]
    # The largest sizes matter most to the decision, so a long list loses the smallest in-between sizes.
    dropped = set(between[: max(0, len(dims) - _MOST_BY_DEFAULT)])
    return tuple(size for size in dims if size not in dropped)


def _smallest_default(d: int) -> int:
    """Return the largest power of two that is at most d/32, and at least 2."""
    return max(2, 1 << max(1, d // 32).bit_length() - 1)


def check_dims(dims: Sequence[int], d: int) -> tuple[int, ...]:
    """Return `dims` as integers.

    Raises
    ------
    ParameterError
        When they are empty, more than `MAX_DIMS`, not whole numbers, not ascending, repeated, or outside 1..d.
    """
    checked = _ascending(dims, "dims", hint=f"Give them as 64,128,256, at most the full dimension {d}")
    if checked[0] < 1 or checked[-1] > d:
        wrong = checked[0] if checked[0] < 1 else checked[-1]
        raise ParameterError(f"dims must lie between 1 and the full dimension {d}", found=wrong)
    if len(checked) > MAX_DIMS:
        raise ParameterError(f"a sweep tries at most {MAX_DIMS} dims", found=len(checked), hint="Leave some out")
    return checked


def dims_below_full(d: int, dims: Sequence[int] | None = None) -> tuple[int, ...]:
    """Return those of `dims` (default: `default_dims`) that lie below the full dimension `d`.

    Raises
    ------
    ParameterError
        When none does, or `check_dims` refuses them.
    """
    checked = default_dims(d) if dims is None else check_dims(dims, d)
    below = tuple(dim for dim in checked if dim < d)
    if not below:
        raise ParameterError(f"at least one dim must lie below the full dimension {d}", found=list(checked))
    return below


def check_ks(ks: Sequence[int]) -> tuple[int, ...]:
    """Return `ks` as integers.

    Raises
    ------
    ParameterError
        When they are empty, not whole numbers, below 1, not ascending, or repeated.
    """
    checked = _ascending(ks, "the values of k", hint="Give them as 1,10,100")
    if checked[0] < 1:
        raise ParameterError("k must be at least 1", found=checked[0], hint="Ask for one neighbour or more")
    return checked


def _ascending(values: Sequence[int], what: str, *, hint: str) -> tuple[int, ...]:
    numbers = tuple(_whole_number(value, what, hint=hint) for value in values)
    if not numbers:
        raise ParameterError(f"{what} must not be empty", hint=hint)
    listed = ", ".join(str(number) for number in numbers)
    if len(set(numbers)) != len(numbers):
        raise ParameterError(f"{what} must not repeat", found=listed, hint=hint)
    if list(numbers) != sorted(numbers):
        raise ParameterError(f"{what} must ascend", found=listed, hint=hint)
    return numbers


def _whole_number(value: object, what: str, *, hint: str) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # any object may come in; a TypeError is the answer
    except TypeError:
        raise ParameterError(f"{what} must be whole numbers", found=repr(value), hint=hint) from None
    if isinstance(value, bool):
        raise ParameterError(f"{what} must be whole numbers", found=value, hint=hint)
    return number
