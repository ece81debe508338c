"""What an error's sentence may and may not contain."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from engine.errors import AmbiguousColumnsError, CancelledError, EngineError, FormatError, printable


@given(st.text(), st.text(max_size=1000), st.text())
def test_a_message_is_one_printable_line(rule, found, hint):
    """Whatever a user put in, the sentence has no line break, control or bidirectional character."""
    sentence = str(EngineError(rule, found=found, hint=hint))
    assert len(sentence.splitlines()) <= 1
    assert not any(unicodedata.category(character) == "Cc" for character in sentence)
    assert not any(
        unicodedata.bidirectional(character) in {"RLO", "LRO", "RLE", "LRE", "PDF"} for character in sentence
    )


def test_found_is_cut_to_a_readable_length():
    """A very long value is shortened with an ellipsis, and its beginning is kept."""
    assert printable("x" * 1000) == "x" * 199 + "…"


def test_parts_are_joined_in_order():
    """Rule, found and hint make one sentence; each is also an attribute."""
    error = FormatError.in_file("a\nb.npy", "the file must not be empty", found="0 bytes", hint="Upload it again.")
    assert str(error) == "a b.npy: the file must not be empty; found 0 bytes. Upload it again."
    assert (error.found, error.hint) == ("0 bytes", "Upload it again.")


def test_an_ambiguous_column_lists_its_candidates():
    """The candidates are there for a page to offer, and in the sentence for a shell."""
    error = AmbiguousColumnsError("t.parquet", wanted="vectors", candidates=["emb", "openai"])
    assert error.candidates == ("emb", "openai")
    assert "emb, openai" in str(error)


def test_cancelling_is_an_engine_error():
    """Cancelled work raises an error that the same boundary shows as a sentence."""
    assert isinstance(CancelledError(), EngineError)
