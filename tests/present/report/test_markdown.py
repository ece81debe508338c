"""The Markdown report: the same sections in words and tables, and no text that acts as Markdown or HTML."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.present.report.blocks import Column, Heading, Points, Report, Section, Table, Words
from engine.present.report.markdown import render_markdown
from engine.present.report.wording import LONGEST_CELL, harmless
from tests.present.report.empty import EMPTY

if TYPE_CHECKING:
    from collections.abc import Callable

TAGS = ["h1", "p", "h2", "p", "ul", "li", "h3", "h4", "table", "thead", "tr", "th", "tbody", "tr", "td"]


class Rendered(HTMLParser):
    """The elements and texts that a Markdown renderer made."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002 -- the parser's own signature
        """Note an element."""
        self.tags.append(tag)
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        """Note the text of a cell."""
        if self.tags[-1] == "td":
            self.cells[-1] += data


@pytest.fixture(scope="module")
def render() -> Callable[[str], Rendered]:
    """Return what a renderer of CommonMark with tables, bare links and raw HTML makes of a document."""
    markdown_it = pytest.importorskip("markdown_it", reason="comes with rich, which typer brings")
    renderer = markdown_it.MarkdownIt("commonmark", {"html": True}).enable("table")
    return lambda document: Rendered(renderer.render(document))


def report_of(text: str) -> Report:
    """Return a report with `text` as a paragraph, in a list, as a title and in a cell."""
    table = Table(key="t", title="T", columns=(Column(name="id", values=[text], form="data"),))
    blocks = (Words(text=text), Points(items=(text,)), Heading(text=f"a {text}"), table)
    return replace(EMPTY, sections=(Section(key="verdict", title="S", blocks=blocks),))


def test_it_has_the_sections_and_tables_of_the_report(told_report: Report) -> None:
    """Every section is a heading in the same order, every table a table, and every chart its description."""
    document = render_markdown(told_report)
    titles = [line.removeprefix("## ") for line in document.splitlines() if line.startswith("## ")]
    assert titles == [section.title for section in told_report.sections]
    assert document.count("| ---") >= len(told_report.tables)
    assert "Recall@10 against dimensions with 95\u00a0% intervals" in document
    assert "<" not in document.replace("\\<", "")


def test_hostile_texts_stay_texts(told_report: Report, render: Callable[[str], Rendered]) -> None:
    """Rendered with raw HTML allowed, the report of the hostile set has no element but those of Markdown itself."""
    tags = set(render(render_markdown(told_report)).tags)
    assert tags <= {"h1", "h2", "h3", "h4", "p", "ul", "li", "strong", "blockquote"} | set(TAGS)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40) | st.text(alphabet="-+=#>*_`[]()!<&|\\~1.):/ \tahtpw@", max_size=30))
@example("1. one")
@example("- - -")
@example("===")
@example("https://evil.example www.evil.example a@b.example")
@example("[a](javascript:x) ![b](c) <b>")
def test_any_text_is_read_back_letter_for_letter(render: Callable[[str], Rendered], text: str) -> None:
    """A renderer makes the same elements of any text, and a cell reads as the text itself."""
    shown = harmless(f"x{text}x", longest=LONGEST_CELL)
    page = render(render_markdown(report_of(f"x{text}x")))
    assert page.tags == TAGS
    assert page.cells[0].replace("\u2060", "").split() == shown.split()
    start = render(render_markdown(report_of(f"{text}x")))
    assert start.tags == TAGS
