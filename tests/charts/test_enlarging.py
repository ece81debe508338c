"""Figures for the back of a room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.charts.enlarging import enlarged
from engine.charts.parts import new_figure
from engine.charts.theme import LIGHT

if TYPE_CHECKING:
    import plotly.graph_objects as go


@pytest.fixture
def figure() -> go.Figure:
    """Return a figure with every part whose size is said in pixels."""
    made = new_figure(LIGHT, height=300, labels=("simulated",))
    sizes = np.array([4.0, 8.0])
    made.add_scatter(
        x=[1, 2],
        y=np.array([0.25, 0.5]),
        marker={"size": sizes, "line": {"width": 1.5}},
        line={"width": 2},
        error_y={"type": "data", "array": [0.1, 0.1], "thickness": 1.5, "width": 3},
    )
    made.add_hline(y=0.4, line={"width": 1}, annotation={"text": "target", "font": {"size": 12}, "yshift": -10})
    return made


def test_letters_lines_and_marks_grow_alike(figure: go.Figure) -> None:
    """Twice as large is every font, line, mark, whisker and margin, those of the template too."""
    drawn = enlarged(figure, factor=2)
    (trace,), before = drawn.data, figure.layout
    assert list(trace.marker.size) == [8.0, 16.0]
    assert (trace.line.width, trace.marker.line.width) == (4, 3)
    assert (trace.error_y.thickness, trace.error_y.width) == (3, 6)
    assert [one.font.size for one in drawn.layout.annotations] == [2 * one.font.size for one in before.annotations]
    assert drawn.layout.annotations[-1].yshift == -20
    assert drawn.layout.shapes[0].line.width == 2
    template, usual = drawn.layout.template.layout, before.template.layout
    assert template.font.size == 2 * usual.font.size
    assert template.xaxis.tickfont.size == 2 * usual.xaxis.tickfont.size
    assert template.margin.t == 2 * usual.margin.t
    assert drawn.layout.legend.entrywidth == 2 * before.legend.entrywidth


def test_what_is_shown_stays(figure: go.Figure) -> None:
    """Data, intervals, words and colours are those of the figure, which itself stays as it was."""
    before = figure.to_json()
    (trace,) = enlarged(figure, factor=1.7).data
    assert list(trace.x) == [1, 2]
    assert list(trace.y) == [0.25, 0.5]
    assert list(trace.error_y.array) == [0.1, 0.1]
    drawn = enlarged(figure, factor=1.7)
    assert [one.text for one in drawn.layout.annotations] == [one.text for one in figure.layout.annotations]
    assert drawn.layout.shapes[0].y0 == 0.4
    assert drawn.layout.paper_bgcolor == figure.layout.paper_bgcolor
    assert figure.to_json() == before


def test_the_height_grows_along_or_is_given(figure: go.Figure) -> None:
    """Without a height the figure grows by the factor; a given height is taken as it is."""
    assert enlarged(figure, factor=1.5).layout.height == 450
    assert enlarged(figure, factor=1.5, height=700).layout.height == 700
