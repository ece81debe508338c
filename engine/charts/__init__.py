"""Figures of the engine's results: a result in, a Plotly figure out; no numbers are computed here."""

from __future__ import annotations

from engine.charts.sweep import companion_chart, describe, describe_companion, target_chart
from engine.charts.theme import CONFIG, DARK, LIGHT, PALETTES, VERDICTS, Mode, Palette, palette, streamlit_theme

__all__ = [
    "CONFIG",
    "DARK",
    "LIGHT",
    "PALETTES",
    "VERDICTS",
    "Mode",
    "Palette",
    "companion_chart",
    "describe",
    "describe_companion",
    "palette",
    "streamlit_theme",
    "target_chart",
]
