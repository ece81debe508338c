"""Sizes in bytes, written for people."""

from __future__ import annotations


def written_size(n_bytes: int) -> str:
    """Write a size with the unit that keeps it short.

    >>> written_size(1_572_864)
    '1.5 MiB'
    """
    size = float(n_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"
