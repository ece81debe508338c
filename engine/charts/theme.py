"""The one palette of app, charts and report, and the Plotly template made of it.

Verdict colours stay apart for people who do not see red or green (teal, amber, brick: the Okabe-Ito hues, moved in
lightness until every mark reaches 3:1 on its background), and never stand alone: each verdict has a symbol and a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import plotly.graph_objects as go

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.tradeoff.results import Verdict

Mode = Literal["light", "dark"]

BRAND = "#6676dd"
"""The logo's one colour, legible as a large mark on both backgrounds."""
FONT = "Source Sans, system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif"
CONFIG: Mapping[str, Any] = {
    "displaylogo": False,
    "showSendToCloud": False,
    "responsive": True,
    "scrollZoom": False,
    "modeBarButtons": [["toImage"]],
    "toImageButtonOptions": {"format": "png", "filename": "dimshift", "scale": 2},
}
"""What every chart is shown with: no logo, no upload to a cloud, one button (save as PNG)."""


@dataclass(frozen=True, kw_only=True)
class Palette:
    """The colours of one mode as ``#rrggbb``.

    `accent` draws lines and links, `fill` is behind the white text of primary buttons; `text` and `muted` are for
    words, `line` for borders and grids. `undecided_text` is amber that is dark enough for words.
    """

    mode: Mode
    background: str
    surface: str
    text: str
    muted: str
    line: str
    accent: str
    fill: str
    safe: str
    undecided: str
    undecided_text: str
    harmful: str

    def verdict(self, verdict: Verdict) -> str:
        """Return the colour of `verdict`."""
        return {"safe": self.safe, "undecided": self.undecided, "harmful": self.harmful}[verdict]


LIGHT = Palette(
    mode="light",
    background="#ffffff",
    surface="#f5f6fa",
    text="#0f1524",
    muted="#5b6478",
    line="#dfe3ec",
    accent="#3d4fb0",
    fill="#3d4fb0",
    safe="#0b7d74",
    undecided="#b98500",
    undecided_text="#7a5800",
    harmful="#a8201a",
)
DARK = Palette(
    mode="dark",
    background="#0f1218",
    surface="#1a1f2a",
    text="#e8ebf2",
    muted="#a3acbf",
    line="#323a4a",
    accent="#a3b2ff",
    fill="#5c6bd4",
    safe="#2ec4b6",
    undecided="#f2c14e",
    undecided_text="#f2c14e",
    harmful="#f07a5f",
)
PALETTES: Mapping[Mode, Palette] = {"light": LIGHT, "dark": DARK}


@dataclass(frozen=True, kw_only=True)
class VerdictStyle:
    """How a verdict is marked besides its colour: a `symbol` for text, a `marker` for charts, a `meaning` in words."""

    symbol: str
    marker: str
    meaning: str


VERDICTS: Mapping[Verdict, VerdictStyle] = {
    "safe": VerdictStyle(symbol="●", marker="circle", meaning="the whole interval meets the target"),
    "undecided": VerdictStyle(symbol="◆", marker="diamond", meaning="these queries do not settle it"),
    "harmful": VerdictStyle(symbol="✕", marker="x", meaning="the whole interval misses the target"),
}


def palette(mode: str | None) -> Palette:
    """Return the palette of `mode`; the light one for anything but ``dark``."""
    return DARK if mode == "dark" else LIGHT


def translucent(colour: str, opacity: float) -> str:
    """Return `colour` (``#rrggbb``) as an ``rgba(...)`` of the given opacity.

    >>> translucent("#ff8000", 0.2)
    'rgba(255, 128, 0, 0.2)'
    """
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"


@cache
def template(colours: Palette) -> go.layout.Template:
    """Build the Plotly template of one palette: quiet grid, the page's background, the app's font.

    Built once, for it takes longer than most charts; a figure takes a copy of it.
    """
    axis = {
        "gridcolor": colours.line,
        "linecolor": colours.line,
        "tickcolor": colours.line,
        "zeroline": False,
        "title": {"font": {"size": 13, "color": colours.muted}, "standoff": 12},
        "tickfont": {"size": 12, "color": colours.muted},
        "automargin": True,
        "fixedrange": True,
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": colours.text},
            # Opaque: a chart drawn just before the user changes the theme stays legible until it is drawn anew.
            "paper_bgcolor": colours.background,
            "plot_bgcolor": colours.background,
            "colorway": [colours.accent, colours.safe, colours.undecided, colours.harmful, colours.muted],
            "margin": {"l": 8, "r": 16, "t": 40, "b": 8},
            "dragmode": False,
            "hovermode": "closest",
            "hoverlabel": {
                "bgcolor": colours.surface,
                "bordercolor": colours.line,
                "font": {"family": FONT, "size": 13, "color": colours.text},
                "align": "left",
            },
            "legend": {
                "orientation": "h",
                "traceorder": "normal",
                "entrywidth": 74,
                "x": 0,
                "xanchor": "left",
                "y": 1.02,
                "yanchor": "bottom",
                "font": {"size": 12, "color": colours.text},
                "itemclick": False,
                "itemdoubleclick": False,
            },
            "xaxis": {**axis, "showgrid": False, "showline": True, "ticks": "outside", "ticklen": 4},
            "yaxis": {**axis, "showline": False},
        }
    )


def streamlit_theme(colours: Palette) -> dict[str, Any]:
    """Return the section of ``.streamlit/config.toml`` that gives the app the same colours."""
    return {
        "primaryColor": colours.fill,
        "backgroundColor": colours.background,
        "secondaryBackgroundColor": colours.surface,
        "textColor": colours.text,
        "linkColor": colours.accent,
        "borderColor": colours.line,
        "blueColor": colours.accent,
        "greenColor": colours.safe,
        "yellowColor": colours.undecided,
        "yellowTextColor": colours.undecided_text,
        "redColor": colours.harmful,
        "grayColor": colours.muted,
        "chartCategoricalColors": [colours.accent, colours.safe, colours.undecided, colours.harmful, colours.muted],
    }
