"""What a plan warns of before anything moves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.migration import IndexSpec, MigrationSettings, open_store
from engine.migration.planning import _index_warnings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("target", "index", "is_said"),
    [
        ("lancedb:///data/lance#docs", IndexSpec(), True),
        ("qdrant:///data/folder#docs", IndexSpec(), True),
        ("lancedb:///data/lance#docs", None, False),
        ("qdrant://host:6333#docs", IndexSpec(), False),
        ("postgresql://me@host/db#docs", IndexSpec(), False),
    ],
)
def test_an_index_larger_than_memory_is_warned_of(
    tmp_path: Path, target: str, index: IndexSpec | None, is_said: bool
) -> None:
    """A plan says when an engine in this process cannot hold the index that it builds; a server has its own memory."""
    np.save(tmp_path / "few.npy", np.eye(4, dtype=np.float32))
    with open_store(f"file://{tmp_path}/few.npy", role="source") as source:
        info = source.describe()
    settings = MigrationSettings(dims=256, index=index)
    assert _index_warnings(info, target, settings) == []  # four rows fit everywhere
    said = _index_warnings(replace(info, n_rows=10**12), target, settings)
    assert [one.startswith("Building the index takes about 1,907,348.6 GiB") for one in said] == [True] * is_said
