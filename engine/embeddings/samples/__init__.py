"""Embedding sets that need no file of the user's: bundled, computed from scikit-learn's data, or synthetic."""

from engine.embeddings.samples.catalog import SampleInfo, load_sample, sample_sets
from engine.embeddings.samples.generator import synthetic

__all__ = ["SampleInfo", "load_sample", "sample_sets", "synthetic"]
