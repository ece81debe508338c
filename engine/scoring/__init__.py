"""Numeric kernels only: the nested sweep, top-k, ranking metrics, the prefix store. Knows no file and no database."""

from engine.scoring.nested import TILE_ROWS, NestedTopK, complete_topk, nested_topk, partial_topk, usable_processors
from engine.scoring.partial import PartialTopK, merge_topk
from engine.scoring.prefix_store import PrefixHits, PrefixStore

__all__ = [
    "TILE_ROWS",
    "NestedTopK",
    "PartialTopK",
    "PrefixHits",
    "PrefixStore",
    "complete_topk",
    "merge_topk",
    "nested_topk",
    "partial_topk",
    "usable_processors",
]
