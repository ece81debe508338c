"""What a report is made of: sections of words, figures, tables and charts, alike for HTML, Markdown and files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.tradeoff.percentiles import Percentile
    from engine.tradeoff.results import Interval, Verdict

Value = str | int | float | bool | None
Form = Literal[
    "text", "data", "words", "verdict", "yes_no", "count", "number", "score", "signed", "share", "change", "ms"
]
"""How values are written: ``data`` is text out of a data set, ``words`` are sentences, ``share`` 0..1 as percent,
``change`` a relative change with its sign, ``score`` 0..1 with three digits, ``signed`` a change of a score."""

Tone = Literal["lead", "plain", "note", "warning"]

MOST_SHOWN = 60


@dataclass(frozen=True, eq=False, kw_only=True)
class Column:
    """One column of a table, a value a row; None and NaN mean that there is none.

    With `low` and `high` the values have intervals. What is not `is_shown` is in the files only.
    """

    name: str
    values: Sequence[Value]
    form: Form = "text"
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None
    is_shown: bool = True


@dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """Columns of one length; `key` names its files. Of more than `most_shown` rows the others are in the files only.

    `labels` (``simulated``) stand above it, and in a column of the files.
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    labels: tuple[str, ...] = ()
    note: str = ""
    most_shown: int = MOST_SHOWN

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self.columns[0].values)


@dataclass(frozen=True, eq=False, kw_only=True)
class Chart:
    """A figure of `engine.charts`, drawn when the report is rendered, and what it shows in words."""

    title: str
    description: str
    draw: Callable[[Palette], go.Figure]


@dataclass(frozen=True, kw_only=True)
class Words:
    """A sentence or a few."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, kw_only=True)
class Points:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Heading:
    """The title of what follows within a section, with its labels."""

    text: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Card:
    """A headline figure: what it is, its value, and its interval or what it is compared with."""

    name: str
    value: str
    below: str = ""


@dataclass(frozen=True, kw_only=True)
class Cards:
    """Headline figures side by side."""

    items: tuple[Card, ...]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A verdict with what it says and why; `aside` stands beside the verdict's word."""

    verdict: Verdict
    title: str
    reason: str
    labels: tuple[str, ...] = ()
    aside: str = ""


Block = Words | Points | Heading | Cards | Statement | Table | Chart


@dataclass(frozen=True, eq=False, kw_only=True)
class Section:
    """One section: `key` says which of the report's sections it is, whatever `title` it was given."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Report:
    """Everything that a report says, ready to be written in any form.

    `subject` names the data set, `left_out` the sections that were asked for and have no data.
    """

    title: str
    subject: str
    labels: tuple[str, ...]
    run_id: str
    made_at: datetime
    version: str
    sections: tuple[Section, ...]
    left_out: tuple[str, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table, in the order of the report."""
        return tuple(block for section in self.sections for block in section.blocks if isinstance(block, Table))

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Every chart, in the order of the report."""
        return tuple(block for section in self.sections for block in section.blocks if isinstance(block, Chart))


def intervals(name: str, found: Iterable[Interval | None], *, form: Form = "score", is_shown: bool = True) -> Column:
    """Return a column of means with their intervals."""
    listed = list(found)
    return Column(
        name=name,
        values=[None if one is None else one.mean for one in listed],
        low=[None if one is None else one.low for one in listed],
        high=[None if one is None else one.high for one in listed],
        form=form,
        is_shown=is_shown,
    )


def percentiles(name: str, found: Iterable[Percentile]) -> Column:
    """Return a column of percentiles in milliseconds with their intervals."""
    listed = list(found)
    return Column(
        name=name,
        values=[one.value for one in listed],
        low=[one.low for one in listed],
        high=[one.high for one in listed],
        form="ms",
    )
