"""What is scored: embedding sets, their readers, health, fingerprints and samples."""

from engine.embeddings.embedding_set import DTYPES, METRICS, RECIPES, EmbeddingSet, Judgements, Metric, Recipe, Vectors
from engine.embeddings.encoder import ENCODER_DIM, ENCODER_NAME, ENCODER_TRAINED_DIMS, encode
from engine.embeddings.fingerprint import fingerprint
from engine.embeddings.health import Health, check_finite, inspect_health
from engine.embeddings.health_checks import Finding, Severity
from engine.embeddings.paths import resolve_below
from engine.embeddings.readers import MAX_EXPANDED_BYTES, Columns, FormatInfo, formats, load, load_upload
from engine.embeddings.samples import SampleInfo, load_sample, sample_sets, synthetic

__all__ = [
    "DTYPES",
    "ENCODER_DIM",
    "ENCODER_NAME",
    "ENCODER_TRAINED_DIMS",
    "MAX_EXPANDED_BYTES",
    "METRICS",
    "RECIPES",
    "Columns",
    "EmbeddingSet",
    "Finding",
    "FormatInfo",
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
    "formats",
    "inspect_health",
    "load",
    "load_sample",
    "load_upload",
    "resolve_below",
    "sample_sets",
    "synthetic",
]
