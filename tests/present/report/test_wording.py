"""How a report writes numbers, and what it makes of texts."""

from __future__ import annotations

import doctest
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.present.report import sections as report_sections
from engine.present.report import wording as report_wording
from engine.present.report.blocks import Column, Form
from engine.present.report.wording import cell, harmless, iso_moment, sentence, written


@pytest.mark.parametrize("module", [report_wording, report_sections])
def test_examples_in_the_docstrings_hold(module: object) -> None:
    """The doctests give what they show."""
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]  # both are modules


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        (None, "score", "–"),
        (math.nan, "ms", "–"),
        ("", "data", "–"),
        (math.inf, "signed", "∞"),
        (0.9996, "score", "1.000"),
        (-0.0417, "change", "−4.2\u00a0%"),
        (0.042, "change", "+4.2\u00a0%"),
        (0.0376, "ms", "0.0376"),
        (12_345.6, "ms", "12,346"),
        (1234.5, "number", "1,234.50"),
        (31.25, "count", "31.25"),
        (True, "yes_no", "yes"),
        ("safe", "verdict", "● safe"),
        ("running", "verdict", "running"),
    ],
)
def test_values_are_written_with_their_units(value: object, form: Form, expected: str) -> None:
    """Each form has its digits, its unit, a true minus, and a dash where there is nothing."""
    assert written(value, form) == expected  # type: ignore[arg-type]  # parametrised


def test_a_cell_has_its_interval_or_says_that_there_is_none() -> None:
    """Bounds stand in brackets; where one is missing the cell says so; no value has no interval either."""
    column = Column(name="n", values=[0.5, 0.5, None], low=[0.4, None, 0.1], high=[0.6, 0.6, 0.2], form="score")
    assert [cell(column, row) for row in range(3)] == ["0.500 (0.400 to 0.600)", "0.500 (no interval)", "–"]


def test_sentences_keep_numbers_and_their_units_together() -> None:
    """A hyphen before a digit is a minus, in dates it stays, and no line breaks before a percent sign."""
    said = sentence("fell by -4.2 % on 2026-03-01 (-5 to 3), 12 ms, well-known")
    assert said == "fell by −4.2\u00a0% on 2026-03-01 (−5 to 3), 12\u00a0ms, well-known"


@given(st.text(max_size=200), st.integers(min_value=2, max_value=50))
def test_harmless_text_is_short_and_can_be_written(text: str, longest: int) -> None:
    """It fits, encodes as UTF-8, and holds no control character."""
    made = harmless(text, longest=longest)
    assert len(made) <= longest
    made.encode()
    assert not any(ord(letter) < 32 or letter in "\u202e\u2066\u2028" for letter in made)


def test_moments_are_in_utc() -> None:
    """An ISO text with another zone is moved, one without a zone is taken for UTC."""
    assert iso_moment("2026-03-01T10:00:00+02:00") == "2026-03-01 08:00 UTC"
    assert iso_moment("2026-03-01T10:00:00") == "2026-03-01 10:00 UTC"
