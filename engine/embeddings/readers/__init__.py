"""Readers: one file a format behind one registry; `load` and `load_upload` are the ways in."""

from engine.embeddings.readers.loading import load, load_upload
from engine.embeddings.readers.options import MAX_EXPANDED_BYTES, Columns
from engine.embeddings.readers.registry import FormatInfo, formats

__all__ = ["MAX_EXPANDED_BYTES", "Columns", "FormatInfo", "formats", "load", "load_upload"]
