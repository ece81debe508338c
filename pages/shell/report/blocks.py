"""Draw the blocks of a report on a page: the same words, figures and charts that its file holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import VERDICTS
from engine.present.report.blocks import Cards, Chart, Heading, Points, Statement, Table, Words
from engine.present.report.wording import cell
from engine.present.report.wording import sentence as worded
from pages.shell import figures
from pages.shell.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Literal

    from engine.present.report.blocks import Block, Column
    from engine.tradeoff import Verdict

    Colour = Literal["green", "yellow", "red"]

VERDICT_COLOURS: Mapping[Verdict, Colour] = {"safe": "green", "undecided": "yellow", "harmful": "red"}

_ROWS_SHOWN = 10
_ROW_PX = 35
_LONGEST = 2_000
_CARD_PX = 150  # so that two fit beside each other on a phone


def show_blocks(blocks: Iterable[Block], *, key: str) -> None:
    """Draw blocks from top to bottom; `key` begins the keys of what they hold."""
    for place, block in enumerate(blocks):
        show_block(block, key=f"{key}_{place}")


def show_block(block: Block, *, key: str) -> None:
    """Draw one block; a chart or table under the key `key`."""
    match block:
        case Words():
            _words(block)
        case Points():
            _points(block)
        case Heading():
            _titled(block.text, block.labels)
        case Cards():
            _cards(block)
        case Statement():
            _statement(block)
        case Chart():
            _chart(block, key=key)
        case Table():
            _table(block, key=key)


def said(text: str) -> str:
    """Return a sentence of the engine as it stands in the report, with nothing in it acting as Markdown."""
    return plain(worded(text), longest=_LONGEST)


def _words(block: Words) -> None:
    words = said(block.text)
    if block.tone == "warning":
        st.warning(words, icon=":material/warning:")
    elif block.tone == "note":
        st.caption(words)
    else:
        st.markdown(words)


def _points(block: Points) -> None:
    if block.items:
        st.markdown("\n".join(f"- {said(item)}" for item in block.items))


def _cards(block: Cards) -> None:
    with st.container(horizontal=True, gap="small"):
        for card in block.items:
            # What stands below may be a sentence, which st.metric would cut off in its delta.
            with st.container(border=True, width=_CARD_PX, height="stretch", gap="xsmall"):
                st.metric(said(card.name), said(card.value))
                if card.below:
                    st.caption(said(card.below))


def _statement(block: Statement) -> None:
    style = VERDICTS[block.verdict]
    with st.container(gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(plain(block.title, longest=200), anchor=False, width="content")
            st.badge(f"{style.symbol} {block.verdict}", color=VERDICT_COLOURS[block.verdict])
            _badges(block.labels)
        if block.aside:
            st.caption(said(block.aside))
        st.markdown(said(block.reason))


def _chart(block: Chart, *, key: str) -> None:
    st.markdown(f"**{said(block.title)}**")
    figures.show(block.draw(figures.colours()), alt=block.description, key=key)


def _table(block: Table, *, key: str) -> None:
    _titled(block.title, block.labels, is_small=True)
    shown = [column for column in block.columns if column.is_shown]
    n_rows = min(block.n_rows, block.most_shown)
    if n_rows <= _ROWS_SHOWN and any(column.form == "words" for column in shown):
        # Sentences wrap in a table of text; in a grid they are cut off.
        rows = [{said(column.name): said(cell(column, row)) for column in shown} for row in range(n_rows)]
        st.table(rows, hide_index=True, border="horizontal", alt=block.title)
    else:
        _grid(block, shown, n_rows, key=key)
    if block.n_rows > n_rows:
        st.caption(f"The first {n_rows:,} of {block.n_rows:,} rows; the files of the tables have them all.")
    if block.note:
        st.caption(said(block.note))


def _grid(block: Table, shown: Sequence[Column], n_rows: int, *, key: str) -> None:
    # By place, not by name: names may repeat, and may hold anything.
    named = {str(place): column for place, column in enumerate(shown)}
    st.dataframe(
        [{name: cell(column, row) for name, column in named.items()} for row in range(n_rows)],
        hide_index=True,
        height="content" if n_rows <= _ROWS_SHOWN else _ROW_PX * (_ROWS_SHOWN + 1),
        key=key,
        column_config={name: st.column_config.TextColumn(column.name) for name, column in named.items()},
        alt=f"{block.title}, {block.n_rows:,} rows",
    )


def _titled(title: str, labels: Sequence[str], *, is_small: bool = False) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        words = plain(title, longest=200)
        if is_small:
            st.markdown(f"**{words}**", width="content")
        else:
            st.subheader(words, anchor=False, width="content")
        _badges(labels)


def _badges(labels: Sequence[str]) -> None:
    for label in labels:
        st.badge(plain(label, longest=60), color="gray")
