"""Which sections a report has, as they are written in a shell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ParameterError
from engine.present.report.sections import SECTIONS, SectionChoice, format_sections, parse_sections


@given(st.permutations([kind.key for kind in SECTIONS]), st.text(max_size=20))
def test_what_is_written_is_what_is_chosen(keys: list[str], title: str) -> None:
    """Keys keep their order, and a title in quotes may hold anything that is printable."""
    quoted = title.replace('"', '""')
    written = ",".join(keys[:3]) + f',"{keys[3]}=T{quoted}T"'
    if any(mark in title for mark in "\r\n\x00"):
        return
    chosen = parse_sections(written)
    assert [one.key for one in chosen] == keys[:4]
    assert [one.title for one in chosen] == [None, None, None, f"T{title}T"]


@given(
    st.lists(st.tuples(st.sampled_from([kind.key for kind in SECTIONS]), st.none() | st.text(max_size=20)), min_size=1)
)
def test_a_choice_is_written_as_it_is_read(pairs: list[tuple[str, str | None]]) -> None:
    """What is written of a choice reads back as the same sections under the titles that a reader sees."""
    named = [(key, None if title is None else f"T{title}T") for key, title in pairs]
    chosen = tuple(SectionChoice(key=key, title=title) for key, title in named)
    again = parse_sections(format_sections(chosen))
    assert [one.key for one in again] == [one.key for one in chosen]
    assert [one.shown_title for one in again] == [one.shown_title for one in chosen]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "sections are listed with commas"),
        ("verdict,", "a section is one of verdict, curves"),
        ("weather", "found weather"),
        ("verdict=", "1 to 200 characters"),
        ('"verdict', "sections are listed with commas"),
        ("verdict\nab", "sections are listed with commas"),
    ],
)
def test_other_texts_are_one_sentence(text: str, sentence: str) -> None:
    """An empty list, an unknown section, an empty title and an open quote are refused."""
    with pytest.raises(ParameterError, match=sentence):
        parse_sections(text)


def test_a_title_is_shown_on_one_line() -> None:
    """Control and bidi characters of a title become spaces."""
    assert SectionChoice(key="ab", title="a\u202eb\nc").shown_title == "a b c"
