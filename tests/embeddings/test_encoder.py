"""The bundled text encoder."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.embeddings import encoder
from engine.embeddings.encoder import ENCODER_DIM, ENCODER_NAME, ENCODER_TRAINED_DIMS, encode
from engine.errors import CancelledError, ParameterError

SENTENCES = ["wing in a propeller slipstream", "Return the indices that would sort an array.", "naïve café — 東京"]


def _as_wordllama_does(text: str) -> np.ndarray:
    # One text at a time: its own embed() pads, and padding has been switched off.
    return encoder._shared_model().embed([text], norm=False)[0]


def test_vectors_are_those_of_wordllama():
    """A text gets the un-normalised vector that WordLlama's own embed() gives it."""
    expected = np.array([_as_wordllama_does(text) for text in SENTENCES])
    vectors = encode(SENTENCES)
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, ENCODER_DIM)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).min() > 0.01


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_encoded_like_wordllama_or_as_zero(text: str):
    """Whatever the characters, the vector is finite, and WordLlama's own where that exists and nobody shouts."""
    vector = encode([text])[0]
    assert np.isfinite(vector).all()
    if text == "":
        assert not vector.any()
    elif not encoder._is_shouted(text):
        np.testing.assert_allclose(vector, _as_wordllama_does(text), atol=1e-5)


def test_name_and_trained_dims_describe_the_installed_model():
    """The constants name the installed version, and the last trained dim is the model's own width."""
    from importlib.metadata import version

    assert version("wordllama") in ENCODER_NAME
    assert ENCODER_TRAINED_DIMS[-1] == ENCODER_DIM == encoder._shared_model().embedding.shape[1]


def test_a_text_has_one_vector_in_every_batch():
    """Neither the batch nor a very long neighbour changes a vector."""
    texts = [f"{SENTENCES[row % 3]} {row}" for row in range(600)]
    texts[300] = "a long text " * 100_000
    vectors = encode(texts)
    for row in (0, 255, 256, 299, 300, 301, 599):
        np.testing.assert_array_equal(vectors[row], encode([texts[row]])[0])


def test_a_long_text_does_not_multiply_memory():
    """One long text among 64 takes megabytes; padding all 64 to its length would take 3 GB."""
    encode(["load the model first"])
    texts = ["short"] * 63 + ["word " * 50_000]
    tracemalloc.start()
    encode(texts)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100e6


def test_shouted_text_is_lowered():
    """Two words or more in upper case count as shouted, even with a few lower-case letters."""
    loud, quiet = encode(["FAST FOURIER TRANSFORM OF A (2-D) x", "fast fourier transform of a (2-d) x"])
    np.testing.assert_array_equal(loud, quiet)


@pytest.mark.parametrize("text", ["SVM", "Fit an SVM", "42 + 17", ""])
def test_acronyms_and_ordinary_text_keep_their_case(text: str):
    """A lone acronym, a sentence and a text without letters are encoded as they stand."""
    assert encoder._prepared(text, 0) == text


def test_no_texts_and_empty_texts():
    """No texts give no rows; an empty text gives the zero vector."""
    assert encode([]).shape == (0, ENCODER_DIM)
    np.testing.assert_array_equal(encode(["", "x"]).any(axis=1), [False, True])


def test_lone_surrogates_are_replaced():
    """A lone surrogate, which JSON can hold, is encoded as a question mark."""
    np.testing.assert_array_equal(encode(["wing \ud800 flow"]), encode(["wing ? flow"]))


def test_what_is_not_text_is_refused_with_its_row():
    """One string, or a number among the strings, is refused in one sentence."""
    with pytest.raises(ParameterError, match="sequence of strings; found one string"):
        encode("a single text")
    with pytest.raises(ParameterError, match="found float in row 1"):
        encode(["a", float("nan")])  # type: ignore[list-item]  # what a spreadsheet makes of an empty cell


def test_progress_ends_at_one_and_cancel_stops():
    """Progress only grows and ends at 1; cancelling between batches raises and returns nothing."""
    shares: list[float] = []
    encode(["text"] * 600, progress=lambda share, _message: shares.append(share))
    assert shares == sorted(shares)
    assert len(shares) == 4
    assert shares[-1] == 1.0
    answers = iter([False, True])
    with pytest.raises(CancelledError):
        encode(["text"] * 600, cancelled=lambda: next(answers))


def test_a_new_process_encodes_offline_from_threads_and_leaves_logging_alone():
    """With sockets forbidden, four threads share one model, and the root logger keeps its level and handlers."""
    code = """
import logging, socket
from concurrent.futures import ThreadPoolExecutor

def refuse(*_args, **_kwargs):
    raise AssertionError("network")

socket.socket.connect = socket.getaddrinfo = refuse
from engine.embeddings import encoder
with ThreadPoolExecutor(4) as pool:
    models = list(pool.map(lambda _: encoder._shared_model(), range(4)))
    vectors = list(pool.map(lambda _: encoder.encode(["a wing"]).tobytes(), range(4)))
print(len({id(model) for model in models}), len(set(vectors)))
print(logging.getLogger().handlers, logging.getLogger().level)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "1 1\n[] 30\n"
