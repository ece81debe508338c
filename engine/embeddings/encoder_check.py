"""Whether a typed text can be compared with a set: only when the bundled encoder made its vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.embeddings.encoder import ENCODER_DIM, encode

if TYPE_CHECKING:
    from engine.embeddings.embedding_set import EmbeddingSet

_N_TEXTS = 16
_ALIKE = 0.99


def made_by_bundled_encoder(embedding_set: EmbeddingSet, *, seed: int = 0) -> bool:
    """Encode a seeded sample of 16 documents again and tell whether most of the stored vectors come out.

    A label could be wrong, and vectors of another model with 256 dims look alike; texts that were encoded do not lie.
    False without texts or at another dimension. Most, not all: documents may have been edited since.

    Raises
    ------
    EngineError
        When the encoder is not installed.
    """
    if embedding_set.corpus_texts is None or embedding_set.dim != ENCODER_DIM:
        return False
    n = min(_N_TEXTS, embedding_set.n_docs)
    rows = np.sort(np.random.default_rng(seed).choice(embedding_set.n_docs, size=n, replace=False))
    again = encode([embedding_set.corpus_texts[int(row)] for row in rows])
    stored = np.stack([embedding_set.corpus[int(row)] for row in rows]).astype(np.float32)
    norms = np.linalg.norm(again, axis=1) * np.linalg.norm(stored, axis=1)
    cosines = np.divide((again * stored).sum(axis=1), norms, out=np.zeros(n, np.float32), where=norms > 0)
    return bool((cosines > _ALIKE).mean() > 0.5)
