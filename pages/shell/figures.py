"""Put a figure on a page the one way the app does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import CONFIG, palette

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.charts import Palette

_THEME_POLL_S = 2.0


def colours() -> Palette:
    """Return the palette of the theme that the reader sees."""
    return palette(st.context.theme.type)


def show(figure: go.Figure, *, alt: str, key: str) -> None:
    """Show `figure` in its own colours; `alt` tells it in words to people who do not see it."""
    st.plotly_chart(figure, theme=None, config=dict(CONFIG), alt=alt, key=key)


def show_selectable(figure: go.Figure, *, alt: str, key: str) -> float | None:
    """Show `figure` and return where across the point is that the reader has clicked, None before a click."""
    shown = st.plotly_chart(
        figure,
        theme=None,
        config=dict(CONFIG),
        alt=alt,
        key=key,
        on_select="rerun",
        selection_mode="points",
    )
    points = shown["selection"]["points"]
    return float(points[0]["x"]) if points else None


def redraw_for_another_theme() -> None:
    """Draw the page anew when the reader has changed light to dark: Streamlit itself reruns nothing then."""
    _redraw_unless(st.context.theme.type)


@st.fragment(run_every=_THEME_POLL_S)
def _redraw_unless(drawn: str | None) -> None:
    if st.context.theme.type != drawn:
        st.rerun()
