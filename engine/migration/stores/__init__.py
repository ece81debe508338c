"""One adapter a vector database, behind one protocol; opening a store loads its driver and no other."""

from engine.migration.stores.opening import open_store
from engine.migration.stores.payloads import same_payload
from engine.migration.stores.protocol import (
    Batch,
    BrokenRow,
    IndexInfo,
    IndexSpec,
    RejectedRow,
    SearchAnswer,
    StoreInfo,
    TableSpec,
    VectorStore,
    Written,
)
from engine.migration.stores.urls import StoreSecrets, StoreUrl, parse_url, shown

__all__ = [
    "Batch",
    "BrokenRow",
    "IndexInfo",
    "IndexSpec",
    "RejectedRow",
    "SearchAnswer",
    "StoreInfo",
    "StoreSecrets",
    "StoreUrl",
    "TableSpec",
    "VectorStore",
    "Written",
    "open_store",
    "parse_url",
    "same_payload",
    "shown",
]
