"""Whether typed text can be compared with a set is found out from its vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.embeddings import EmbeddingSet
from engine.embeddings.encoder import encode
from engine.embeddings.encoder_check import made_by_bundled_encoder
from engine.embeddings.samples import load_sample

TEXTS = [f"document number {row} about {topic}" for row, topic in enumerate(("cats", "ships", "sorting", "tea") * 6)]


@pytest.fixture(scope="module")
def encoded():
    """Encode a few texts."""
    return EmbeddingSet(name="encoded", corpus=encode(TEXTS), corpus_texts=TEXTS)


def test_vectors_of_the_bundled_encoder_are_known(encoded):
    """Texts that give the stored vectors again settle it, also in half precision and scaled."""
    assert made_by_bundled_encoder(encoded)
    assert made_by_bundled_encoder(replace(encoded, corpus=(3 * encoded.corpus).astype(np.float16)))


def test_a_few_edited_texts_do_not_matter(encoded):
    """A minority of texts that changed since leaves the answer as it is."""
    texts = ["something else entirely" if row % 4 == 0 else text for row, text in enumerate(TEXTS)]
    assert made_by_bundled_encoder(replace(encoded, corpus_texts=texts))


def test_vectors_of_another_model_are_not_taken_for_its_own(encoded):
    """Other vectors of the same size, another size, or no texts: typed text cannot be compared with them."""
    rng = np.random.default_rng(0)
    other = rng.standard_normal(encoded.corpus.shape).astype(np.float32)
    assert not made_by_bundled_encoder(replace(encoded, corpus=other))
    assert not made_by_bundled_encoder(replace(encoded, corpus=encoded.corpus[:, :128]))
    assert not made_by_bundled_encoder(replace(encoded, corpus_texts=None))
    assert not made_by_bundled_encoder(replace(encoded, corpus=np.zeros_like(encoded.corpus)))


@pytest.mark.parametrize(("key", "expected"), [("api-reference", True), ("api-reference-rotated", False)])
def test_the_bundled_set_is_and_its_rotation_is_not(key, expected):
    """The rotated control keeps texts and size, and is still told apart."""
    assert made_by_bundled_encoder(load_sample(key)) is expected
