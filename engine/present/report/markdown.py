"""A report as Markdown: the same sections in words and tables, every text harmless to whatever renders it."""

from __future__ import annotations

import re
from functools import singledispatch
from typing import TYPE_CHECKING

from engine.charts.theme import VERDICTS
from engine.present.report.blocks import Cards, Chart, Heading, Points, Statement, Table, Words
from engine.present.report.wording import cell, harmless, moment, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.present.report.blocks import Block, Column, Report, Section

# What means something in CommonMark, in tables, in GitHub's mathematics, or begins an HTML tag or entity.
_MARKS = re.compile(r"[\\`*_{}\[\]<>|~#$&^]")
# What means something only where a line begins.
_AT_THE_START = re.compile(r"^([-+](?=[-+\s]|$)|=(?==*$)|\d+(?=[.)](?:\s|$)))")
# Bare addresses become links without any mark; U+2060, word joiner, has no width and breaks no line.
_LINK = re.compile(r"(?i)(?<=://)|(?<=\bwww)(?=\.)|(?<=\w@)(?=[\w-]+\.)|(?<=\bmailto:)|(?<=\bxmpp:)")
_JOINER = "\u2060"
_WORDS = {"text", "data", "words", "verdict", "yes_no"}


def render_markdown(report: Report) -> str:
    """Return `report` as Markdown with tables as GitHub writes them; charts are told in words."""
    facts = (
        _text(report.subject, longest=120),
        *(_text(label) for label in report.labels),
        f"run {_text(report.run_id)}",
        f"report of {_text(moment(report.made_at))}",
        f"Dimshift {_text(report.version)}",
    )
    parts = [f"# {_text(report.title)}", " · ".join(facts)]
    for section in report.sections:
        parts += _section(section)
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(section: Section) -> Iterable[str]:
    yield f"## {_text(section.title)}"
    for block in section.blocks:
        yield _markdown(block)


@singledispatch
def _markdown(block: Block) -> str:
    raise TypeError(f"a report has no {type(block).__name__}")


@_markdown.register
def _(block: Words) -> str:
    said = _said(block.text)
    return f"> {said}" if block.tone == "warning" else said


@_markdown.register
def _(block: Points) -> str:
    return "\n".join(f"- {_said(item)}" for item in block.items)


@_markdown.register
def _(block: Heading) -> str:
    return f"### {_text(block.text, longest=200)}{_labels(block.labels)}"


@_markdown.register
def _(block: Cards) -> str:
    return "\n".join(
        f"- **{_said(card.name)}**: {_said(card.value)}" + (f" ({_said(card.below)})" if card.below else "")
        for card in block.items
    )


@_markdown.register
def _(block: Statement) -> str:
    style = VERDICTS[block.verdict]
    aside = f" ({_said(block.aside)})" if block.aside else ""
    return (
        f"### {_text(block.title, longest=200)}{_labels(block.labels)}\n\n"
        f"**{style.symbol} {block.verdict}**{aside}: {_said(block.reason)}"
    )


@_markdown.register
def _(block: Chart) -> str:
    return f"**{_said(block.title)}.** {_said(block.description)}"


@_markdown.register
def _(block: Table) -> str:
    shown = [column for column in block.columns if column.is_shown]
    lines = [
        _row(_said(column.name) for column in shown),
        _row("---" if column.form in _WORDS else "---:" for column in shown),
        *(_row(_cell(column, row) for column in shown) for row in range(min(block.n_rows, block.most_shown))),
    ]
    parts = [f"#### {_said(block.title)}{_labels(block.labels)}", "\n".join(lines)]
    if block.n_rows > block.most_shown:
        parts.append(f"The first {block.most_shown:,} of {block.n_rows:,} rows; the files of the tables have them all.")
    return "\n\n".join([*parts, *([_said(block.note)] if block.note else [])])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(column: Column, row: int) -> str:
    return escaped(cell(column, row))


def _labels(labels: Sequence[str]) -> str:
    return f" ({', '.join(_text(label, longest=60) for label in labels)})" if labels else ""


def _text(text: object, *, longest: int = 2_000) -> str:
    return escaped(harmless(text, longest=longest))


def _said(text: str) -> str:
    return escaped(sentence(text))


def escaped(line: str) -> str:
    """Return one harmless `line` so that no renderer of Markdown finds a mark, a tag or a link in it."""
    line = _MARKS.sub(r"\\\g<0>", _LINK.sub(_JOINER, line))
    # A mark takes the backslash before it, a number after its digits.
    return _AT_THE_START.sub(lambda found: f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}", line)
