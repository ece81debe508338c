"""Numeric kernels only: the nested sweep, top-k and ranking metrics. Knows no file and no database."""

from engine.scoring.nested import NestedTopK, nested_topk, usable_processors

__all__ = ["NestedTopK", "nested_topk", "usable_processors"]
