"""What charts share: axes that say what they show, ordered colours, escaped words."""

from __future__ import annotations

import math

import pytest

from engine.charts import PALETTES, Mode, parts
from engine.tradeoff import Interval


@pytest.mark.parametrize("mode", PALETTES)
def test_ramp_runs_between_the_palettes_own_colours(mode: Mode) -> None:
    """The ramp begins at amber, passes teal in the middle and ends at the accent; each step is another colour."""
    colours = PALETTES[mode]
    ramp = parts.ramp(colours, 7)
    assert (ramp[0], ramp[3], ramp[6]) == (colours.undecided, colours.safe, colours.accent)
    assert len(set(ramp)) == 7
    assert parts.ramp(colours, 1) == (colours.accent,)


def test_series_are_told_apart_without_colour() -> None:
    """Every series has a marker and a dash of its own."""
    styles = parts.series_styles(PALETTES["light"])
    assert len({style.symbol for style in styles}) == len({style.dash for style in styles}) == len(styles) == 4


@pytest.mark.parametrize(
    ("values", "first"), [((0.9, 0.97), 0.85), ((0.2, 0.9), 0.0), ((), 0.0), ((math.nan, 0.9), 0.85)]
)
def test_a_truncated_score_axis_says_so(values: tuple[float, ...], first: float) -> None:
    """The axis starts at 0, or says where it starts."""
    figure = parts.new_figure(PALETTES["light"], height=300)
    parts.score_axis(figure, values, title="Recall@10")
    axis = figure.layout.yaxis
    assert axis.range[0] == pytest.approx(first)
    assert axis.range[1] >= max((value for value in values if math.isfinite(value)), default=1.0)
    assert ("axis starts at" in axis.title.text) == (first > 0)


def test_log_ticks_surround_what_is_drawn() -> None:
    """Ticks are 1, 2 and 5 times powers of ten around the values; zero, NaN and infinity are left out."""
    ticks = parts.log_ticks([0.07, 0.3, 0.0, math.nan, math.inf])
    assert ticks[0] <= 0.07
    assert ticks[-1] >= 0.3
    assert {0.1, 0.2} <= {round(tick, 6) for tick in ticks}
    assert parts.log_ticks([]) == [1.0]


def test_log_range_holds_every_value() -> None:
    """The range of a log axis holds every positive value, also a single one."""
    low, high = parts.log_range([2.0, 500.0])
    assert low < math.log10(2) < math.log10(500) < high
    low, high = parts.log_range([8.0])
    assert low < math.log10(8) < high


def test_whiskers_reach_from_the_mean_to_the_bounds() -> None:
    """Error bars are the distances from the mean, upwards and downwards apart."""
    bars = parts.whiskers([Interval(mean=0.5, low=0.4, high=0.7)], colour="#000000")
    assert bars["array"] == [pytest.approx(0.2)]
    assert bars["arrayminus"] == [pytest.approx(0.1)]


def test_words_of_others_are_escaped_and_cut() -> None:
    """Tags stay text, and a long name is cut where it would push the chart aside."""
    assert parts.escaped("<b>&x") == "&lt;b&gt;&amp;x"
    assert len(parts.escaped("x" * 100)) == 40


def test_changes_have_a_true_minus_and_missing_values_words() -> None:
    """A change carries its sign; what was not measured says so."""
    assert parts.signed(-0.12) == "−0.120"
    assert parts.signed(0.12) == "+0.120"
    assert parts.signed(math.nan) == parts.written(math.nan) == "not measured"
