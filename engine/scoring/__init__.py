"""Numeric kernels only: the nested sweep, top-k, ranking metrics, the prefix store. Knows no file and no database."""

from engine.scoring.nested import NestedTopK, nested_topk, usable_processors
from engine.scoring.prefix_store import PrefixHits, PrefixStore

__all__ = ["NestedTopK", "PrefixHits", "PrefixStore", "nested_topk", "usable_processors"]
