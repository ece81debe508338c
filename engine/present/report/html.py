"""A report as one HTML file that needs nothing beside itself: every text is escaped, every chart is in it."""

from __future__ import annotations

import json
from functools import singledispatch
from html import escape
from typing import TYPE_CHECKING, Any

from engine.charts.theme import CONFIG, DARK, LIGHT, VERDICTS
from engine.present.report.blocks import Cards, Chart, Heading, Points, Statement, Table, Words
from engine.present.report.page import chart_script, page
from engine.present.report.wording import NOTHING, cell, harmless, moment, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import plotly.graph_objects as go

    from engine.present.report.blocks import Block, Column, Report, Section

_WORDS = {"text", "data", "words", "verdict", "yes_no"}
_MOST_OPEN = 12  # rows of a table that need no click; on paper every table is open


def render_html(report: Report) -> str:
    """Return `report` as a whole HTML page, Plotly and every figure within it.

    It asks for nothing: its policy forbids every request and every script but its own two.
    """
    from plotly.offline import get_plotlyjs  # heavy, and only this needs it

    charts: list[str] = []
    sections = [_section(section, charts) for section in report.sections]
    config = _data("chart-config", json.dumps(dict(CONFIG)))
    return page(
        title=harmless(report.title),
        scripts=(get_plotlyjs(), chart_script()),
        parts=('<main class="page">', _header(report), *sections, _footer(report), "</main>", config, *charts),
    )


def _header(report: Report) -> str:
    facts = (
        f"<bdi>{_text(report.subject, longest=120)}</bdi>",
        f"run <code>{_text(report.run_id)}</code>",
        f"report of {_text(moment(report.made_at))}",
    )
    links = "".join(
        f'<li><a href="#{section.key}"><bdi>{_text(section.title)}</bdi></a></li>' for section in report.sections
    )
    return (
        f"<header><h1><bdi>{_text(report.title)}</bdi></h1>"
        f'<p class="facts">{" · ".join(facts)} {_labels(report.labels)}</p></header>'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>'
    )


def _footer(report: Report) -> str:
    return (
        f"<footer><p>Made by Dimshift {_text(report.version)} from stored results; no number was computed for this "
        "report that its runs do not hold. This file loads nothing from any network.</p></footer>"
    )


def _section(section: Section, charts: list[str]) -> str:
    body = []
    for place, block in enumerate(section.blocks):
        if isinstance(block, Chart):
            name = f"chart-{section.key}-{place}"
            light = block.draw(LIGHT)
            charts += [_figure(light, f"{name}-light"), _figure(block.draw(DARK), f"{name}-dark")]
            body.append(_chart(block, name, height=int(light.layout.height)))
        else:
            body.append(_html(block))
    return f'<section id="{section.key}"><h2><bdi>{_text(section.title)}</bdi></h2>{"".join(body)}</section>'


@singledispatch
def _html(block: Block) -> str:
    raise TypeError(f"a report has no {type(block).__name__}")


@_html.register
def _(block: Words) -> str:
    return f'<p class="{block.tone}">{_said(block.text)}</p>'


@_html.register
def _(block: Points) -> str:
    items = "".join(f"<li>{_said(item)}</li>" for item in block.items)
    return f"<ul>{items}</ul>" if items else ""


@_html.register
def _(block: Heading) -> str:
    return f"<h3><bdi>{_text(block.text, longest=200)}</bdi> {_labels(block.labels)}</h3>"


@_html.register
def _(block: Cards) -> str:
    cards = "".join(
        f'<div class="card"><div class="name">{_said(card.name)}</div><div class="value">{_said(card.value)}</div>'
        f'<div class="below">{_said(card.below)}</div></div>'
        for card in block.items
    )
    return f'<div class="cards">{cards}</div>'


@_html.register
def _(block: Statement) -> str:
    style = VERDICTS[block.verdict]
    aside = f' <span class="facts">{_said(block.aside)}</span>' if block.aside else ""
    return (
        f'<div class="statement"><h3><bdi>{_text(block.title, longest=200)}</bdi></h3>'
        f'<p><span class="verdict {block.verdict}">{style.symbol} {block.verdict}</span> {_labels(block.labels)}'
        f'{aside}</p><p class="lead">{_said(block.reason)}</p></div>'
    )


@_html.register
def _(block: Table) -> str:
    shown = [column for column in block.columns if column.is_shown]
    head = "".join(f'<th scope="col"{_numeric(column)}>{_said(column.name)}</th>' for column in shown)
    n_rows = min(block.n_rows, block.most_shown)
    rows = "".join(f"<tr>{''.join(_cell(column, row) for column in shown)}</tr>" for row in range(n_rows))
    notes = [f'<p class="note">{_said(note)}</p>' for note in _notes(block, n_rows)]
    name = f"table-{block.key}"
    title = f"{_said(block.title)} {_labels(block.labels)}"
    table = (
        f'<div class="scroll" tabindex="0" role="region" aria-labelledby="{name}"><table><thead><tr>{head}'
        f"</tr></thead><tbody>{rows}</tbody></table></div>{''.join(notes)}"
    )
    if n_rows > _MOST_OPEN:
        count = f'<span class="facts">{n_rows:,} rows</span>'
        return f'<details class="rows"><summary id="{name}">{title} {count}</summary>{table}</details>'
    return f'<h4 id="{name}">{title}</h4>{table}'


def _notes(block: Table, n_rows: int) -> Iterable[str]:
    if block.n_rows > n_rows:
        yield f"The first {n_rows:,} of {block.n_rows:,} rows; the files of the tables have them all."
    if block.note:
        yield block.note


def _cell(column: Column, row: int) -> str:
    text = cell(column, row)
    if column.form == "verdict":
        return f'<td class="verdict {_text(column.values[row])}">{_text(text)}</td>'
    if column.form in {"data", "words"}:
        return f'<td class="{column.form}"><bdi>{_text(text)}</bdi></td>' if text != NOTHING else f"<td>{text}</td>"
    value, bracket, interval = text.partition(" (")
    range_ = f' <span class="range">({_said(interval)}</span>' if bracket and column.low is not None else ""
    return f"<td{_numeric(column)}>{_said(value if range_ else text)}{range_}</td>"


def _numeric(column: Column) -> str:
    return "" if column.form in _WORDS else ' class="number"'


def _chart(block: Chart, name: str, *, height: int) -> str:
    said = _said(block.description)
    return (
        f"<figure><figcaption>{_said(block.title)}</figcaption>"
        f'<div class="plot" data-chart="{name}" role="img" aria-label="{said}" style="min-height: {height}px"></div>'
        f"<details><summary>In words</summary><p>{said}</p></details></figure>"
    )


def _figure(figure: go.Figure, name: str) -> str:
    """Return a figure as a block of data that no browser runs."""
    return _data(name, str(figure.to_json(engine="json", validate=False)))


def _data(name: str, document: str) -> str:
    # Nothing in it may end the element that it stands in.
    safe = document.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f'\n<script type="application/json" id="{name}">{safe}</script>'


def _labels(labels: Sequence[str]) -> str:
    return "".join(f'<span class="label">{_text(label, longest=60)}</span>' for label in labels)


def _text(text: Any, *, longest: int = 2_000) -> str:
    """Return text of a data set or a person, harmless and escaped."""
    return escape(harmless(text, longest=longest), quote=True)


def _said(text: str) -> str:
    """Return a sentence of the engine, harmless and escaped, with its numbers kept on one line."""
    return escape(sentence(text), quote=True)
