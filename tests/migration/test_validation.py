"""How much of a large source the validation of search asks."""

from __future__ import annotations

import pytest

from engine.migration.validation import queries_asked


@pytest.mark.parametrize(("n_rows", "asked"), [(0, 200), (50_000, 200), (200_000, 50), (500_000, 20), (10**9, 20)])
def test_fewer_queries_ask_a_larger_source(n_rows: int, asked: int) -> None:
    """Exact search over millions of rows is asked 20 times instead of 200, so that validation comes to an end."""
    assert queries_asked(n_rows) == asked
