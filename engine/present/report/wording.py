"""How a report writes numbers and moments, and how it makes the text of data sets harmless."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engine.charts.theme import VERDICTS
from engine.errors import printable
from engine.experiment.wording import signed as signed_percent

if TYPE_CHECKING:
    from engine.present.report.blocks import Column, Form, Value
    from engine.tradeoff.results import Interval

NOTHING = "–"
LONGEST_SENTENCE = 2_000
LONGEST_CELL = 160
LONGEST_KEPT = 1_000
"""Characters of a text that the files of tables keep."""

_MINUS = re.compile(r"(?<![\w.])-(?=\d)")
_UNIT = re.compile(r"(?<=\d) (?=%|ms\b)")


def harmless(text: object, *, longest: int = LONGEST_SENTENCE) -> str:
    r"""Return `text` on one line without control and bidi characters, cut to `longest`; it still has to be escaped.

    Letters of every script and emoji stay; half a surrogate pair, which no file can hold, becomes ``�``.

    >>> harmless("right\u202eto left\n", longest=9)
    'right to…'
    """
    return printable(text, longest=longest)


def sentence(text: object) -> str:
    """Return a sentence of the engine: harmless, with a true minus, and numbers that keep their unit on one line."""
    return _UNIT.sub("\u00a0", _MINUS.sub("−", harmless(text)))


def cell(column: Column, row: int) -> str:
    """Write one cell of a table, its interval in brackets."""
    value = written(column.values[row], column.form)
    if column.low is None or column.high is None or value == NOTHING:
        return value
    low, high = column.low[row], column.high[row]
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return f"{value} (no interval)"
    return f"{value} ({written(low, column.form)} to {written(high, column.form)})"


def written(value: Value, form: Form) -> str:
    r"""Write one value.

    >>> written(0.6631, "share"), written(-0.012, "signed"), written(12345, "count"), written(None, "score")
    ('66.3\xa0%', '−0.012', '12,345', '–')
    """
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return NOTHING
    if isinstance(value, str):
        return _word(value, form)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _number(value, form)


def interval_words(interval: Interval, form: Form = "score") -> str:
    """Write the bounds of an interval: ``95 % interval 0.901 to 0.922``."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return "no interval"
    return f"95\u00a0% interval {written(interval.low, form)} to {written(interval.high, form)}"


def moment(at: datetime) -> str:
    """Write a moment in UTC, as ``2026-03-01 09:00 UTC``.

    >>> from datetime import datetime
    >>> moment(datetime(2026, 3, 1, 9, tzinfo=UTC))
    '2026-03-01 09:00 UTC'
    """
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def iso_moment(text: str) -> str:
    """Write a moment that a result keeps as an ISO text; one without a zone is in UTC."""
    at = datetime.fromisoformat(text)
    return moment(at if at.tzinfo is not None else at.replace(tzinfo=UTC))


def _word(value: str, form: Form) -> str:
    if form == "verdict":
        style = next((style for name, style in VERDICTS.items() if name == value), None)
        return value if style is None else f"{style.symbol} {value}"
    return harmless(value, longest=LONGEST_CELL) if form == "data" else sentence(value)


def _number(value: float, form: Form) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = {
        "score": lambda: f"{value:.3f}",
        "signed": lambda: f"{value:+.3f}",
        "share": lambda: f"{100 * value:.1f}\u00a0%",
        "change": lambda: signed_percent(value).replace(" ", "\u00a0"),
        "ms": lambda: f"{value:.3g}" if value < 1000 else f"{value:,.0f}",
        "number": lambda: f"{value:,.2f}",
    }.get(form, lambda: f"{value:,.0f}" if value == int(value) else f"{value:,.4g}")()
    return _MINUS.sub("−", text)
