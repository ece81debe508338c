"""The one rule for seeds."""

from __future__ import annotations

import operator

from engine.errors import ParameterError


def check_seed(seed: int) -> None:
    """Raise `ParameterError` unless `seed` is a whole number from 0 to 2⁶³ - 1."""
    try:
        valid = 0 <= operator.index(seed) < 1 << 63
    except TypeError:
        valid = False
    if not valid:
        raise ParameterError("the seed must be a whole number from 0 to 2⁶³ - 1", found=repr(seed))
