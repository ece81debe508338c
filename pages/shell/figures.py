"""Put a figure on a page the one way the app does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import CONFIG, palette

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from engine.charts import Palette


def colours() -> Palette:
    """Return the palette of the theme that the reader sees."""
    return palette(st.context.theme.type)


def show(figure: go.Figure, *, alt: str, key: str) -> None:
    """Show `figure` in its own colours; `alt` tells it in words to people who do not see it."""
    st.plotly_chart(figure, theme=None, config=dict(CONFIG), alt=alt, key=key)
