"""The list of sample sets."""

from __future__ import annotations

from pathlib import Path

import pytest

import engine
from engine.embeddings import load_sample, sample_sets
from engine.errors import ParameterError

KEYS = ("api-reference", "api-reference-rotated", "digits-pca", "digits-pixels")


def test_the_api_reference_is_the_default():
    """The catalogue lists the four sets with the API reference first, each with a title and a description."""
    assert tuple(info.key for info in sample_sets()) == KEYS
    assert all(info.title and info.description.endswith(".") for info in sample_sets())
    assert len({info.title for info in sample_sets()}) == len(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_a_loaded_set_is_what_the_catalogue_says(key: str):
    """Name and labels are those of the catalogue, vectors are read-only, and a second load is the same set."""
    info = next(info for info in sample_sets() if info.key == key)
    loaded = load_sample(key)
    assert loaded.name == info.title
    assert loaded.labels == info.labels
    assert loaded.queries is not None
    assert not loaded.corpus.flags.writeable
    assert not loaded.queries.flags.writeable
    assert load_sample(key).sha256 == loaded.sha256
    assert len(loaded.corpus_texts or ()) == loaded.n_docs
    assert loaded.n_queries >= 300


@pytest.mark.parametrize("key", ["", "API-REFERENCE", "../api-reference", "digits"])
def test_an_unknown_key_is_refused_with_the_list(key: str):
    """The error names every key there is."""
    with pytest.raises(ParameterError, match=", ".join(KEYS)):
        load_sample(key)


def test_every_sample_has_a_card():
    """Each set's folder holds a card with its source, licence, counts and how it is built."""
    datasets = Path(engine.__file__).parents[1] / "datasets"
    cards = {folder.name: (folder / "README.md").read_text() for folder in datasets.iterdir() if folder.is_dir()}
    assert set(cards) == {"api-reference", "digits", "synthetic"}
    for card in cards.values():
        assert all(f"| {row} |" in card for row in ("Source", "Licence", "Documents", "Queries", "Judgements"))
    assert all(any(key in card for card in cards.values()) for key in KEYS)
