"""List the sample sets and load one by its key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.embeddings.samples.api_reference import load_api_reference, rotated
from engine.embeddings.samples.digits import load_digits
from engine.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.embeddings.embedding_set import EmbeddingSet


@dataclass(frozen=True, kw_only=True)
class SampleInfo:
    """A sample set to choose; `labels` are those of the loaded set."""

    key: str
    title: str
    description: str
    labels: tuple[str, ...] = ()


_SAMPLES: dict[SampleInfo, Callable[[], EmbeddingSet]] = {
    SampleInfo(
        key="api-reference",
        title="API reference",
        description=(
            "The docstrings of numpy, scipy, pandas and scikit-learn with a Matryoshka-trained text encoder (256 "
            "dims). A query is a summary, its document the rest of the same entry."
        ),
    ): load_api_reference,
    SampleInfo(
        key="api-reference-rotated",
        title="API reference, rotated",
        description=(
            "The same vectors after a random rotation: equal results at the full dimension, but no dim matters more "
            "than another, so a prefix is worth what any other choice of dims is."
        ),
        labels=("control",),
    ): lambda: rotated(load_api_reference()),
    SampleInfo(
        key="digits-pca",
        title="Digits, principal components",
        description="Handwritten digits (64 dims), turned so that the first dims carry most of the variance.",
    ): lambda: load_digits(order="pca"),
    SampleInfo(
        key="digits-pixels",
        title="Digits, pixels",
        description="The same digits as raw pixels: the first dims are the top rows of the image.",
    ): lambda: load_digits(order="pixels"),
}


def sample_sets() -> tuple[SampleInfo, ...]:
    """Return what `load_sample` can load, the default first."""
    return tuple(_SAMPLES)


def load_sample(key: str) -> EmbeddingSet:
    """Load the sample set `key`, in memory and read-only.

    Raises
    ------
    ParameterError
        When no sample set has that key.
    FormatError
        When the bundled files are missing or were altered.
    """
    for info, load in _SAMPLES.items():
        if info.key == key:
            return replace(load(), name=info.title, labels=info.labels)
    keys = ", ".join(info.key for info in _SAMPLES)
    raise ParameterError(f"the sample set is one of {keys}", found=key)
