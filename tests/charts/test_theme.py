"""The palette: one source, legible on its backgrounds, apart for people who see fewer colours."""

from __future__ import annotations

import tomllib
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from engine.charts import CONFIG, PALETTES, VERDICTS, Mode, palette, streamlit_theme
from engine.charts.theme import BRAND, template

ROOT = Path(__file__).resolve().parents[2]
VERDICT_NAMES = ("safe", "undecided", "harmful")
# Machado, Oliveira & Fernandes (2009), severity 1.0, for linear RGB.
SIGHTS = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio."""
    darker, lighter = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of linear RGB."""
    matrix = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    x, y, z = matrix @ np.clip(rgb, 0, 1) / [0.95047, 1, 1.08883]
    fx, fy, fz = (np.cbrt(t) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


def test_contrast_of_black_and_white_is_21() -> None:
    """The contrast used below is WCAG's: black on white is 21."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("mode", PALETTES)
def test_config_repeats_the_palette(mode: Mode) -> None:
    """.streamlit/config.toml gives the app exactly the colours of engine/charts/theme.py."""
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["theme"][mode] == streamlit_theme(PALETTES[mode])


@pytest.mark.parametrize("mode", PALETTES)
@pytest.mark.parametrize("ground", ["background", "surface"])
@pytest.mark.parametrize("ink", ["text", "muted", "accent", "undecided_text", "safe", "harmful"])
def test_words_are_legible(mode: Mode, ground: str, ink: str) -> None:
    """Every colour that words are written in has at least 4.5:1 on page and panels, in light and in dark."""
    colours = PALETTES[mode]
    assert contrast(getattr(colours, ink), getattr(colours, ground)) >= 4.5


@pytest.mark.parametrize("mode", PALETTES)
@pytest.mark.parametrize("ground", ["background", "surface"])
def test_captions_are_legible(mode: Mode, ground: str) -> None:
    """Streamlit writes captions in the text's colour at an opacity of 0.6: still 4.5:1 on page and panels."""
    under, text = getattr(PALETTES[mode], ground), PALETTES[mode].text
    parts = [(int(text[i : i + 2], 16), int(under[i : i + 2], 16)) for i in (1, 3, 5)]
    seen = "#" + "".join(f"{round(0.6 * ink + 0.4 * paper):02x}" for ink, paper in parts)
    assert contrast(seen, under) >= 4.5


@pytest.mark.parametrize("mode", PALETTES)
def test_white_is_legible_on_primary_buttons(mode: Mode) -> None:
    """Streamlit writes white on primary buttons: 4.5:1, and the button stands out from the page by 3:1."""
    colours = PALETTES[mode]
    assert contrast("#ffffff", colours.fill) >= 4.5
    assert contrast(colours.fill, colours.background) >= 3


@pytest.mark.parametrize("mode", PALETTES)
@pytest.mark.parametrize("mark", ["accent", "safe", "undecided", "harmful"])
def test_marks_are_visible(mode: Mode, mark: str) -> None:
    """Every mark of a chart has at least 3:1 on its background."""
    colours = PALETTES[mode]
    assert contrast(getattr(colours, mark), colours.background) >= 3


@pytest.mark.parametrize("mode", PALETTES)
@pytest.mark.parametrize("sight", SIGHTS)
def test_verdicts_stay_apart_for_every_sight(mode: Mode, sight: str) -> None:
    """Verdict colours differ by at least 20 (CIE 1976) also in full protanopia, deuteranopia and tritanopia."""
    seen = [lab(SIGHTS[sight] @ linear(PALETTES[mode].verdict(verdict))) for verdict in VERDICT_NAMES]
    assert min(float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2)) >= 20


def test_verdicts_differ_without_colour() -> None:
    """Each verdict has a marker and a symbol of its own."""
    assert set(VERDICTS) == set(VERDICT_NAMES)
    assert len({style.marker for style in VERDICTS.values()}) == 3
    assert len({style.symbol for style in VERDICTS.values()}) == 3


@pytest.mark.parametrize(("mode", "expected"), [("dark", "dark"), ("light", "light"), (None, "light")])
def test_palette_of_an_unknown_mode_is_the_light_one(mode: str | None, expected: str) -> None:
    """Before the browser has told its theme, charts are drawn in light colours."""
    assert palette(mode).mode == expected


@pytest.mark.parametrize("mode", PALETTES)
def test_template_is_opaque(mode: Mode) -> None:
    """A chart brings its own background, so that its text stays legible when the page's theme changes under it."""
    layout = template(PALETTES[mode]).layout
    assert layout.paper_bgcolor == layout.plot_bgcolor == PALETTES[mode].background


def test_charts_offer_no_upload() -> None:
    """No chart shows a vendor's logo or offers to send the data to a cloud."""
    assert CONFIG["displaylogo"] is False
    assert CONFIG["showSendToCloud"] is False


@pytest.mark.parametrize("name", ["logo.svg", "icon.svg"])
def test_logo_is_self_contained(name: str) -> None:
    """The logo uses the brand's one colour and refers to nothing outside of itself."""
    svg = (ROOT / "pages" / "assets" / name).read_text(encoding="utf-8")
    assert f'fill="{BRAND}"' in svg
    assert "href" not in svg
    assert "<script" not in svg
    assert svg.count("http") == 1  # the namespace
