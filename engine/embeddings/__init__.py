"""What is scored: embedding sets, their readers, health, fingerprints and samples."""

from engine.embeddings.embedding_set import DTYPES, METRICS, RECIPES, EmbeddingSet, Judgements, Metric, Recipe, Vectors
from engine.embeddings.encoder import ENCODER_DIM, ENCODER_NAME, ENCODER_TRAINED_DIMS, encode
from engine.embeddings.fingerprint import fingerprint
from engine.embeddings.health import Health, check_finite, inspect_health
from engine.embeddings.health_checks import Finding, Severity
from engine.embeddings.samples import SampleInfo, load_sample, sample_sets, synthetic

__all__ = [
    "DTYPES",
    "ENCODER_DIM",
    "ENCODER_NAME",
    "ENCODER_TRAINED_DIMS",
    "METRICS",
    "RECIPES",
    "EmbeddingSet",
    "Finding",
    "Health",
    "Judgements",
    "Metric",
    "Recipe",
    "SampleInfo",
    "Severity",
    "Vectors",
    "check_finite",
    "encode",
    "fingerprint",
    "inspect_health",
    "load_sample",
    "sample_sets",
    "synthetic",
]
