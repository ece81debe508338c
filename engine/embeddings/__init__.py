"""What is scored: embedding sets, their readers, health, fingerprints and samples."""

from engine.embeddings.embedding_set import DTYPES, METRICS, RECIPES, EmbeddingSet, Judgements, Metric, Recipe, Vectors
from engine.embeddings.fingerprint import fingerprint

__all__ = [
    "DTYPES",
    "METRICS",
    "RECIPES",
    "EmbeddingSet",
    "Judgements",
    "Metric",
    "Recipe",
    "Vectors",
    "fingerprint",
]
