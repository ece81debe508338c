"""Experiments built from plain rows, so that every figure can be recomputed from the same rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from engine.experiment.events import Events

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

_FACTS = ("clicked", "converted", "error", "no_results")


def _events_of(frame: pd.DataFrame, **given: Any) -> Events:
    ordered = frame.sort_values("day", kind="stable")
    ids, user = np.unique(ordered["user"].astype(str), return_inverse=True)
    segments: tuple[str, ...] = ()
    columns: dict[str, Any] = {name: ordered[name].to_numpy(bool) for name in _FACTS if name in ordered}
    if "latency_ms" in ordered:
        columns["latency_ms"] = ordered["latency_ms"].to_numpy(np.float32)
    if "segment" in ordered:
        names, codes = np.unique(ordered["segment"], return_inverse=True)
        segments = tuple(names)
        columns["segment"] = codes.astype(np.int16)
    made = Events(
        experiment_id="test",
        arms=("control", "treatment"),
        shares=(0.5, 0.5),
        user_ids=pa.array(ids.tolist(), pa.string()),
        user=user.astype(np.int32),
        arm=ordered["arm"].to_numpy(np.uint8),
        day=ordered["day"].to_numpy(np.int16),
        first_day="2026-01-05",
        segments=segments,
        labels=("log",),
        **columns,
    )
    return replace(made, **given)


@pytest.fixture(scope="session")
def events_of() -> Callable[..., Events]:
    """Return a function that makes events of a table with user, arm, day and any metric columns."""
    return _events_of
