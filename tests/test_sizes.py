"""Sizes in bytes, written for people."""

from __future__ import annotations

import pytest

from engine.sizes import written_size


@pytest.mark.parametrize(
    ("n_bytes", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (3 << 30, "3.0 GiB"),
        (5 << 40, "5.0 TiB"),
        (9 << 50, "9,216.0 TiB"),
    ],
)
def test_sizes_have_the_unit_that_keeps_them_short(n_bytes: int, shown: str) -> None:
    """Sizes are written in binary units, the largest of which is TiB."""
    assert written_size(n_bytes) == shown
