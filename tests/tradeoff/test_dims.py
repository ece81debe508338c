"""Which dims and k a sweep accepts, and which dims it tries by itself."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import ParameterError
from engine.tradeoff import check_dims, check_ks, default_dims


@pytest.mark.parametrize(
    "d", [*range(1, 70), 96, 100, 128, 256, 300, 384, 512, 768, 1000, 1024, 1536, 3072, 4096, 8192]
)
def test_default_dims_are_valid_and_few(d: int) -> None:
    """For every full dimension the default dims ascend, end with it, and are at most ten."""
    dims = default_dims(d)
    assert check_dims(dims, d) == dims
    assert dims[-1] == d
    assert len(dims) <= 10
    assert len(dims) >= 5 or d <= 16


@pytest.mark.parametrize(
    ("d", "expected"),
    [
        (64, (2, 4, 8, 16, 32, 64)),
        (256, (8, 16, 32, 64, 128, 192, 256)),
        (768, (16, 32, 64, 128, 192, 256, 384, 512, 768)),
        (1536, (32, 64, 128, 192, 256, 384, 512, 768, 1024, 1536)),
        (3072, (64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 3072)),
        (1000, (16, 32, 64, 128, 192, 256, 384, 512, 768, 1000)),
    ],
)
def test_default_dims_are_powers_of_two_and_model_sizes(d: int, expected: tuple[int, ...]) -> None:
    """The default dims are the powers of two and usual model sizes up to d, plus d."""
    assert default_dims(d) == expected


def test_numpy_integers_are_dims() -> None:
    """Dims given as a NumPy array come back as plain integers."""
    checked = check_dims(np.array([8, 16]), 32)
    assert checked == (8, 16)
    assert all(type(dim) is int for dim in checked)


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ((), "must not be empty"),
        ((0, 8), "between 1 and the full dimension 32; found 0"),
        ((8, 33), "between 1 and the full dimension 32; found 33"),
        ((-4,), "found -4"),
        ((16, 8), "must ascend; found 16, 8"),
        ((8, 8, 16), "must not repeat; found 8, 8, 16"),
        ((8.0,), "must be whole numbers; found 8.0"),
        (("8",), "must be whole numbers; found '8'"),
        ((True, 2), "must be whole numbers; found True"),
    ],
)
def test_bad_dims_are_refused_with_what_was_found(dims: tuple[int, ...], message: str) -> None:
    """Empty, outlying, unsorted, repeated or fractional dims are refused, naming the value."""
    with pytest.raises(ParameterError, match=message):
        check_dims(dims, 32)


def test_more_dims_than_holm_can_pass_are_refused() -> None:
    """201 dims are refused: not even the smallest p-value could pass the correction over them."""
    with pytest.raises(ParameterError, match="at most 200 dims; found 201"):
        check_dims(range(1, 202), 500)
    assert len(check_dims(range(1, 201), 500)) == 200


@pytest.mark.parametrize(
    ("ks", "message"),
    [
        ((), "must not be empty"),
        ((0,), "k must be at least 1; found 0"),
        ((-1, 10), "k must be at least 1; found -1"),
        ((10, 1), "must ascend; found 10, 1"),
        ((10, 10), "must not repeat"),
        ((1.5,), "whole numbers; found 1.5"),
        ((None,), "whole numbers; found None"),
    ],
)
def test_bad_ks_are_refused_with_what_was_found(ks: tuple[int, ...], message: str) -> None:
    """Empty, non-positive, unsorted, repeated or fractional k are refused, naming the value."""
    with pytest.raises(ParameterError, match=message):
        check_ks(ks)


def test_default_dims_need_a_dimension() -> None:
    """A full dimension of zero is refused."""
    with pytest.raises(ParameterError, match="at least 1; found 0"):
        default_dims(0)
