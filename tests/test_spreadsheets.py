"""Texts of users in CSV files: no spreadsheet runs them."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.spreadsheets import csv_text, defused, defused_text

ROOT = Path(__file__).resolve().parents[1]

FORMULAS = (
    "=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\u00a0=1", "\ufeff=1", "\u202e=1", "\u200b=1",
    "＝1", "=cmd|' /C calc'!A0", '=HYPERLINK("http://x")', "\tplain", "\u3000+1", "=",
)  # fmt: skip
PLAIN = ("", "a=1", "1-2", "someone@example.com", "–1", "dims = 64", "'=1", "שלום", "0.5", " a")


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_would_run_gets_an_apostrophe(text):
    """Signs, tabs and line ends at the beginning, also behind blanks, bidi and zero-width characters."""
    assert defused_text(text) == f"'{text}"


@pytest.mark.parametrize("text", PLAIN)
def test_other_texts_stay_as_they_are(text):
    """Signs further in, an apostrophe already there and every script are left alone."""
    assert defused_text(text) == text


@given(st.lists(st.text(max_size=8) | st.none(), max_size=20))
def test_arrow_and_text_agree(texts):
    """The vectorized rule is that of a single text, missing values stay missing."""
    kept = [text for text in texts if text is None or text.isprintable()]
    expected = [None if text is None else defused_text(text) for text in kept]
    assert defused(pa.array(kept, pa.string())).to_pylist() == expected


def test_csv_keeps_numbers_and_defuses_texts_and_names():
    """Negative numbers stay numbers; texts, also among numbers, and names of columns are defused."""
    table = pd.DataFrame({"=name": ["=1", "a"], "loss": [-0.5, 1.0], "mixed": [-1, "-1"], "none": [None, "@x"]})
    header, first, second = csv.reader(io.StringIO(csv_text(table)))
    assert header == ["'=name", "loss", "mixed", "none"]
    assert first == ["'=1", "-0.5", "-1", ""]
    assert second == ["a", "1.0", "'-1", "'@x"]
    assert "=name" in table.columns


def test_every_csv_of_the_product_is_written_through_here():
    """Nobody calls `to_csv` beside `csv_text`, and whoever writes CSV with Arrow defuses its texts."""
    for path in [*(ROOT / "engine").rglob("*.py"), *(ROOT / "pages").rglob("*.py")]:
        source = path.read_text(encoding="utf-8")
        if path.name != "spreadsheets.py":
            assert ".to_csv(" not in source, path
        if re.search(r"\b(write_csv|CSVWriter)\(?", source):
            assert "from engine.spreadsheets import defused" in source, path
