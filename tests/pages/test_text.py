"""Words from files and users on a page."""

from __future__ import annotations

import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import printable
from pages.shell.text import local_time, plain, sentence, told_apart

JOINER = "\u2060"
MOMENT = datetime(2026, 11, 2, 23, 30, tzinfo=UTC)


def as_shown(text: str) -> str:
    """Undo what Markdown undoes: a backslash before punctuation; the joiner has no width."""
    shown, rest = "", iter(text)
    for character in rest:
        shown += next(rest) if character == "\\" else character
    return shown.replace(JOINER, "")


@given(st.text(max_size=80).filter(lambda text: JOINER not in text))
def test_plain_text_is_shown_letter_for_letter(text: str) -> None:
    """Whatever the text, Markdown shows exactly its printable form."""
    assert as_shown(plain(text)) == printable(text)


@given(st.text(alphabet=string.punctuation + "ab 1", max_size=40))
def test_no_punctuation_is_left_to_act(text: str) -> None:
    """Every punctuation mark that could begin Markdown, LaTeX, HTML or a directive has a backslash before it."""
    rest = iter(plain(text))
    for character in rest:
        if character == "\\":
            assert next(rest) in string.punctuation
        else:
            assert character not in string.punctuation


@pytest.mark.parametrize("text", [":smile:", ":material/home:", "a:b_c:", "http://a.b", "www.a.b", "me@a.org"])
def test_what_is_looked_for_after_unescaping_is_broken_up(text: str) -> None:
    """Shortcodes, icons and bare links, which Streamlit finds in the finished text, are split by a joiner."""
    assert JOINER in plain(text)


def test_plain_text_is_bounded() -> None:
    """A very long name does not flood the page."""
    assert len(as_shown(plain("x" * 10_000, longest=50))) == 50


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("no such run; found x", "No such run; found x"),
        ("a.npy: the file must not be empty", "a.npy: the file must not be empty"),
        ("a: the file must not be empty", "a: the file must not be empty"),
        ("k must be at least 1", "k must be at least 1"),
        ("a path may not leave its folder", "A path may not leave its folder"),
        ("", ""),
    ],
)
def test_a_sentence_begins_with_a_capital_unless_a_file_is_named_first(words: str, shown: str) -> None:
    """Errors begin like sentences; a file's name keeps its letters."""
    assert as_shown(sentence(words)) == shown


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("Europe/Berlin", "3 Nov 2026, 00:30"),
        ("UTC", "2 Nov 2026, 23:30"),
        (None, "2 Nov 2026, 23:30 UTC"),
        ("../../etc/passwd", "2 Nov 2026, 23:30 UTC"),
        ("No/Where", "2 Nov 2026, 23:30 UTC"),
    ],
)
def test_times_are_the_readers(zone: str | None, shown: str) -> None:
    """Moments are written in the browser's zone; without a known one in UTC, and the text says so."""
    assert local_time(MOMENT, zone) == shown


@given(st.dictionaries(st.text("0123456789abcdef-", min_size=9, max_size=12), st.sampled_from("abc"), max_size=8))
def test_a_later_run_changes_no_title_of_the_earlier_ones(titles: dict[str, str]) -> None:
    """No two of a list are alike, and those of the runs before are the same whatever is added after them."""
    told = {last: told_apart({key: titles[key] for key in sorted(titles)[:last]}) for last in range(len(titles) + 1)}
    whole = told[len(titles)]
    assert all(part.items() <= whole.items() for part in told.values())
    endings = {(title, key[-8:]) for key, title in titles.items()}
    assert len(set(whole.values())) == len(whole) or len(endings) < len(titles)
