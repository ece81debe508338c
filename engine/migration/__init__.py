"""Move vectors between databases without losing a row, and search both while they move."""

from engine.migration.dual_control import DualControl
from engine.migration.dual_search import DualAnswer, DualSearch
from engine.migration.dual_settings import DualSettings
from engine.migration.dual_statistics import DualStatistics
from engine.migration.fusion import Fused, fuse
from engine.migration.migrator import Migrator
from engine.migration.results import MigrationPlan, MigrationReport, Validation
from engine.migration.settings import MigrationSettings
from engine.migration.stores.opening import open_store
from engine.migration.stores.protocol import Batch, IndexSpec, TableSpec, VectorStore
from engine.migration.stores.urls import parse_url, store_name

__all__ = [
    "Batch",
    "DualAnswer",
    "DualControl",
    "DualSearch",
    "DualSettings",
    "DualStatistics",
    "Fused",
    "IndexSpec",
    "MigrationPlan",
    "MigrationReport",
    "MigrationSettings",
    "Migrator",
    "TableSpec",
    "Validation",
    "VectorStore",
    "fuse",
    "open_store",
    "parse_url",
    "store_name",
]
