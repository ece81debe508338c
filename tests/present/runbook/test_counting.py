"""Whether the full vectors are still in the source of a migration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.errors import MigrationError
from engine.migration import open_store
from engine.present.runbook import count_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.migration import MigrationReport
    from engine.present.runbook import Check, Runbook, SourceCount
    from engine.workspace import Workspace
    from tests.present.runbook.conftest import Clock


@pytest.fixture
def count(workspace: Workspace) -> Callable[[], SourceCount]:
    """Return what counts the source of the newest migration anew."""
    return lambda: count_source(workspace, actor="bob", open_source=open_store)


def backup(look: Callable[..., Runbook]) -> Check:
    return look().check("backup")


def test_the_validation_counts_until_it_is_stale_and_a_fresh_count_says_when(
    moved: Callable[[], MigrationReport],
    count: Callable[[], SourceCount],
    look: Callable[..., Runbook],
    clock: Clock,
) -> None:
    """A validated migration is evidence of its moment; later only a fresh count is, with who asked for it and when."""
    assert (backup(look).state, moved().validation.verdict) == ("open", "equal")
    validated = backup(look)
    assert validated.state == "done"
    assert "60 rows of 16 dims when the migration was validated; it has not been counted since" in validated.reason
    clock.pass_days(31)
    assert backup(look).state == "stale"
    found = count()
    assert (found.n_rows, found.dim, found.expected_rows, found.expected_dim) == (60, 16, 60, 16)
    assert (found.n_probed, found.n_whole, found.shortfall) == (60, 60, "")
    counted = backup(look)
    assert (counted.state, counted.said_by, counted.said_at) == ("done", "bob", clock.moment)
    assert "the full vectors are there" in counted.reason


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[:50], "held 60 rows when the migration was validated"),
        (lambda rows: rows[:, :8], "the full vectors had 16 dims"),
        (lambda rows: np.where(np.arange(60)[:, None] < 10, np.nan, rows), "50 of 60 rows that were read had a whole"),
    ],
)
def test_a_source_that_lost_something_is_not_met(
    moved: Callable[[], MigrationReport],
    count: Callable[[], SourceCount],
    look: Callable[..., Runbook],
    source: Path,
    change: Callable[[np.ndarray], np.ndarray],
    said: str,
) -> None:
    """Rows that are gone, dims that were cut, and vectors that are no numbers are each found and named."""
    moved()
    np.save(source, change(np.load(source)).astype(np.float32))
    assert said in count().shortfall
    assert (backup(look).state, said in backup(look).reason) == ("not met", True)


def test_a_source_that_cannot_be_reached_is_evidence_too(
    moved: Callable[[], MigrationReport],
    count: Callable[[], SourceCount],
    look: Callable[..., Runbook],
    source: Path,
) -> None:
    """When the source is away the item is stale and says why and when it was tried, without an exception."""
    moved()
    source.unlink()
    found = count()
    assert found.n_rows is None
    assert found.problem
    assert backup(look).state == "stale"
    assert "could not be counted" in backup(look).reason
    assert backup(look).said_by == "bob"


def test_without_a_migration_there_is_nothing_to_count(
    workspace: Workspace, count: Callable[[], SourceCount], look: Callable[..., Runbook]
) -> None:
    """No migration, or an unknown one, is refused by name, and the item stays open for a person."""
    with pytest.raises(MigrationError, match="only the source of a migration .* found no migration"):
        count()
    with pytest.raises(MigrationError, match="found nope"):
        count_source(workspace, actor="bob", open_source=open_store, migration="nope")
    assert backup(look).state == "open"
