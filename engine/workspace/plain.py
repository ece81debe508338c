"""Turn results into plain JSON values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import PurePath
from typing import TypeAlias, Union

import numpy as np

# Evaluated at run time, so the recursion needs the old spelling until 3.12's `type` statement may be used.
JsonValue: TypeAlias = Union[dict[str, "JsonValue"], list["JsonValue"], str, int, float, bool, None]  # noqa: UP007  # | cannot join a string


def plain_json(value: object) -> JsonValue:
    """Return `value` built from dict, list, str, int, float, bool and None only.

    NaN and infinities become None, because JSON has none of them. NumPy scalars and arrays, dataclasses, paths and
    dates are converted; keys become strings. Raises TypeError for anything else.

    >>> plain_json({10: np.float32(0.5), "low": float("nan"), "dims": (64, np.int64(128))})
    {'10': 0.5, 'low': None, 'dims': [64, 128]}
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return _plain_other(value)


def _plain_other(value: object) -> JsonValue:
    if isinstance(value, Mapping):
        return {str(plain_json(key)): plain_json(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, date):  # datetime is a date
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [plain_json(item) for item in value]
    if isinstance(value, set | frozenset):
        raise TypeError("a set has no order; sort it into a list first")
    raise TypeError(f"cannot turn {type(value).__name__} into JSON")
