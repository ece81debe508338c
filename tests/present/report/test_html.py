"""The HTML report: one file, nothing loaded, nothing run but its own two scripts, whatever the data set's texts are."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.charts import LIGHT, target_chart
from engine.charts.theme import CONFIG
from engine.present.report.blocks import Card, Cards, Column, Heading, Points, Report, Section, Statement, Table, Words
from engine.present.report.html import render_html
from engine.tradeoff import load_sweep, summarize
from tests.present.report.empty import EMPTY

if TYPE_CHECKING:
    from engine.workspace import Workspace

MOST_BYTES = 8_000_000
BIDI = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def report_of(text: str) -> Report:
    """Return a report that holds `text` wherever a text of a data set, a person or a title can stand."""
    table = Table(
        key="t",
        title=text,
        labels=(text,),
        note=text,
        columns=(Column(name=text, values=[text, None], form="data"), Column(name="n", values=[1.0, text])),
    )
    blocks = (
        Words(text=text),
        Points(items=(text, text)),
        Heading(text=text, labels=(text,)),
        Cards(items=(Card(name=text, value=text, below=text),)),
        Statement(verdict="safe", title=text, reason=text, labels=(text,), aside=text),
        table,
    )
    return replace(
        EMPTY,
        title=text,
        subject=text,
        labels=(text,),
        sections=(Section(key="verdict", title=text, blocks=blocks),),
    )


def test_it_is_one_file_under_eight_megabytes(told_html: str, told_page: Any) -> None:
    """With every section there is it stays under 8 MB, holds Plotly once, and names no other resource."""
    assert len(told_html.encode()) < MOST_BYTES
    assert len(told_page.scripts) == 2
    loading = [
        (tag, name)
        for tag, attributes in told_page.elements
        for name in attributes
        if name in {"src", "srcset", "data", "action", "formaction", "background", "poster"}
    ]
    assert loading == []
    links = [attributes["href"] for tag, attributes in told_page.elements if "href" in attributes]
    assert links
    assert all(str(link).startswith("#") for link in links)


def test_its_policy_allows_its_own_scripts_by_digest_and_nothing_else(told_page: Any) -> None:
    """The policy forbids every request, inline handler and eval; the digests are those of the two scripts."""
    (policy,) = (
        str(attributes["content"])
        for tag, attributes in told_page.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in told_page.scripts]
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == [f"'sha256-{digest}'" for digest in digests]
    assert rules["img-src"] == "data: blob:"
    assert set(rules) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}


def test_no_text_of_the_data_set_became_markup(told_page: Any, told_html: str) -> None:
    """No element but the report's own, no handler, no control that turns text around; the texts are there to read."""
    tags = {tag for tag, _ in told_page.elements}
    assert not tags & {"img", "svg", "iframe", "object", "embed", "link", "form", "b", "i", "input", "base"}
    assert not [name for _, attributes in told_page.elements for name in attributes if name.startswith("on")]
    assert not BIDI.search(told_html)
    for text in ("<script>window.hacked=1</script>", '"><img src=x onerror=window.hacked=1>', "=cmd|' /C calc'!A0"):
        assert text in told_page.text
    assert "שלום עולם" in told_page.text
    assert "👩‍👩‍👧‍👦 family" in told_page.text
    assert "x" * 170 not in told_page.text


def test_figures_are_those_of_the_pages_in_both_palettes(told_page: Any, told: Workspace, told_report: Report) -> None:
    """Each chart is there as data, light and dark, equal to what `engine.charts` draws of the stored result."""
    names = [attributes["data-chart"] for _, attributes in told_page.elements if "data-chart" in attributes]
    assert len(names) == len(told_report.charts)
    assert set(told_page.data) == {"chart-config", *(f"{name}-{mode}" for name in names for mode in ("light", "dark"))}
    summary = summarize(load_sweep(told, told.runs(kind="sweep")[0].id))
    drawn = json.loads(str(target_chart(summary, colours=LIGHT).to_json(engine="json")))
    assert json.loads(told_page.data["chart-curves-0-light"]) == drawn
    assert json.loads(told_page.data["chart-config"]) == CONFIG
    assert all("<" not in document for document in told_page.data.values())


def test_every_chart_is_told_in_words(told_page: Any, told_report: Report) -> None:
    """Each chart has its description as an accessible name and to open below it."""
    named = [attributes for _, attributes in told_page.elements if attributes.get("role") == "img"]
    assert len(named) == len(told_report.charts)
    assert all(len(str(attributes["aria-label"])) > 40 for attributes in named)


@pytest.fixture(scope="module")
def plain_shape(parse: Any) -> list[tuple[str, list[str]]]:
    """Return the elements of a page whose texts are plain, with the names of their attributes."""
    return shape_of(parse, "plain")


def shape_of(parse: Any, text: str) -> list[tuple[str, list[str]]]:
    """Return the elements of a page with `text` everywhere, before its scripts."""
    page = parse(render_html(report_of(text)).partition("<script>")[0])
    return [(tag, sorted(attributes)) for tag, attributes in page.elements]


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=80) | st.sampled_from(["</script>", "<!--", "]]>", "&lt;", "\ud800", "\x00", "a\u2028b"]))
def test_any_text_anywhere_adds_no_element(parse: Any, plain_shape: list[Any], text: str) -> None:
    """The elements and attributes of a page are the same whatever its texts are, and it can be written as UTF-8."""
    assert shape_of(parse, f"t{text}") == plain_shape
    render_html(report_of(text)).encode()


def test_a_long_table_shows_its_first_rows_and_says_so() -> None:
    """Of 100 rows 60 are shown, in a part to open; the rest is said to be in the files."""
    values = [f"row {row}" for row in range(100)]
    table = Table(key="t", title="Many", columns=(Column(name="id", values=values, form="data"),))
    page = render_html(replace(EMPTY, sections=(Section(key="curves", title="C", blocks=(table,)),)))
    assert "row 59<" in page
    assert "row 60<" not in page
    assert "The first 60 of 100 rows" in page
    assert '<details class="rows">' in page
