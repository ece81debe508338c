"""The same figure with a thicker pen and larger letters, to be read from the back of a room."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

_PIXELS = frozenset(
    {"entrywidth", "standoff", "ticklen", "thickness", "height", "xshift", "yshift", "ax", "ay", "arrowwidth"}
)
"""Lengths in pixels wherever they stand; ``width`` and ``size`` are lengths within the parts named below only."""

_OF_PART = {"line": {"width"}, "marker": {"size"}, "error_x": {"width"}, "error_y": {"width"}, "margin": set("lrtb")}


def enlarged(figure: go.Figure, *, factor: float, height: int | None = None) -> go.Figure:
    """Return `figure` with letters, lines, marks and margins `factor` times as large; the data stay as they are.

    `height` in pixels takes the place of the figure's own, which is `factor` times as large otherwise.
    """
    # Trace by trace: a whole figure's document holds its arrays encoded.
    traces = [_scaled(trace.to_plotly_json(), "", factor) for trace in figure.data]
    drawn = go.Figure(data=traces, layout=_scaled(figure.layout.to_plotly_json(), "", factor))
    if height is not None:
        drawn.update_layout(height=height)
    return drawn


def _scaled(part: Any, name: str, factor: float) -> Any:
    if isinstance(part, dict):
        lengths = _lengths_of(name)
        return {
            key: _times(value, factor) if key in lengths else _scaled(value, key, factor) for key, value in part.items()
        }
    if isinstance(part, (list, tuple)):
        # What a list holds stands where the list stands: an annotation among annotations.
        return [_scaled(one, name, factor) for one in part]
    return part


def _lengths_of(name: str) -> frozenset[str]:
    if name.endswith("font"):
        return _PIXELS | {"size"}
    return _PIXELS | _OF_PART.get(name, set())


def _times(value: Any, factor: float) -> Any:
    if isinstance(value, np.ndarray):
        return value * factor
    if isinstance(value, (list, tuple)):
        return [_times(one, factor) for one in value]
    return value * factor if isinstance(value, (int, float)) and not isinstance(value, bool) else value
