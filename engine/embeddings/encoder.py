"""Turn texts into vectors with the Matryoshka-trained model that ships inside the wordllama wheel; no network."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.errors import EngineError, ParameterError
from engine.progress import Cancelled, Progress, ignore_progress, never_cancelled, stop_if

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ENCODER_NAME = "wordllama 0.4.0.post1 (l2_supercat)"
ENCODER_DIM = 256
ENCODER_TRAINED_DIMS = (64, 128, 256)
"""The prefixes the model was trained for; shorter ones are extrapolation."""

_BATCH_TEXTS = 256
_BATCH_CHARACTERS = 1_000_000  # tokens cost about 100 bytes each while a batch is in hand
_SHOUTED_SHARE = 0.7

_lock = threading.Lock()
_model: Any = None


def encode(
    texts: Sequence[str], *, progress: Progress = ignore_progress, cancelled: Cancelled = never_cancelled
) -> npt.NDArray[np.float32]:
    """Encode `texts` into float32 vectors (n, 256), not normalised: the mean of their token vectors.

    The model is cased, so a shouted text (two words or more, 70 % of its letters upper case) is lower-cased first. A
    text without tokens becomes the zero vector. About 1,000 abstracts a second on one core.

    Raises
    ------
    ParameterError
        When `texts` is one string, or holds something else than strings.
    CancelledError
        When `cancelled` answers true between two batches.
    """
    if isinstance(texts, str):
        raise ParameterError("texts must be a sequence of strings", found="one string", hint="Put it into a list")
    model = _shared_model()
    vectors = np.zeros((len(texts), ENCODER_DIM), dtype=np.float32)
    for start, batch in _batches(texts):
        stop_if(cancelled)
        progress(start / len(texts), f"Encoding texts, {start:,} of {len(texts):,}")
        encodings = model.tokenizer.encode_batch_fast(batch, add_special_tokens=False)
        for row, encoding in enumerate(encodings, start):
            vectors[row] = _mean_of_tokens(model.embedding, encoding.ids)
    progress(1.0, f"Encoded {len(texts):,} texts")
    return vectors


def _batches(texts: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    start, characters = 0, 0
    batch: list[str] = []
    for row in range(len(texts)):
        text = _prepared(texts[row], row)
        if batch and (len(batch) == _BATCH_TEXTS or characters + len(text) > _BATCH_CHARACTERS):
            yield start, batch
            start, batch, characters = row, [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield start, batch


def _prepared(text: object, row: int) -> str:
    if not isinstance(text, str):
        raise ParameterError("every text to encode must be a string", found=f"{type(text).__name__} in row {row}")
    if not text.isascii():
        # The tokenizer refuses lone surrogates, which JSON files can hold as \ud800.
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text.lower() if _is_shouted(text) else text


def _is_shouted(text: str) -> bool:
    # A single capital word is more likely an acronym (SVM, NASA) than a raised voice.
    letters = sum(map(str.isalpha, text))
    return sum(map(str.isupper, text)) > _SHOUTED_SHARE * letters and len(text.split(maxsplit=2)) > 1


def _mean_of_tokens(embedding: npt.NDArray[np.float32], ids: Sequence[int]) -> npt.NDArray[np.float32]:
    # WordLlama's own embed() pads a batch to its longest text: one long text among 64 takes gigabytes. Counting the
    # tokens bounds the memory by the vocabulary and gives the same mean.
    if not ids:
        return np.zeros(embedding.shape[1], dtype=np.float32)
    tokens, counts = np.unique(np.asarray(ids), return_counts=True)
    mean: npt.NDArray[np.float32] = counts.astype(np.float32) @ embedding[tokens] / np.float32(len(ids))
    return mean


def _shared_model() -> Any:
    global _model  # noqa: PLW0603  # one model for the process: it takes 60 MB and half a second to load
    with _lock:
        if _model is None:
            _model = _load_model()
        return _model


def _load_model() -> Any:
    try:
        with _untouched_root_logger():
            import wordllama  # half a second, and only texts need it
        package = Path(wordllama.__file__).parent
        # Plain load() would look in the user's cache first and then download.
        model = wordllama.WordLlama.load(cache_dir=package, disable_download=True)
    except (ImportError, FileNotFoundError) as error:
        raise EngineError(
            "the bundled text encoder needs the wordllama package with its weights",
            found=error,
            hint="Reinstall it with: pip install --force-reinstall wordllama==0.4.0.post1",
        ) from error
    model.tokenizer.no_padding()
    return model


@contextmanager
def _untouched_root_logger() -> Iterator[None]:
    # Importing wordllama calls logging.basicConfig(level=INFO), which would put every library's chatter on stderr.
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in root.handlers[:]:
            if handler not in handlers:
                root.removeHandler(handler)
