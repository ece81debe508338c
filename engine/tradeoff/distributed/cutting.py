"""How a corpus is cut into stretches, a task each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.scoring import TILE_ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

Stretch = tuple[int, int]

_TASKS_A_THREAD = 4  # so that the last one keeps few threads waiting, and a worker that dies loses little
_MOST_BYTES = 1 << 30


def cut(n_rows: int, dim: int, k: int, *, n_threads: int) -> Sequence[Stretch]:
    """Return the first and the last row (exclusive) of every stretch, ascending.

    Each but the last is whole tiles of the scan, so that no product has another shape than on one machine; and each,
    unless it is the only one, has more than `k` rows, so that a query that may not retrieve one of them still finds k.

    >>> cut(10_000, 64, 10, n_threads=1)
    [(0, 3072), (3072, 6144), (6144, 9216), (9216, 10000)]
    """
    wanted = max(_TASKS_A_THREAD * n_threads, -(-4 * dim * n_rows // _MOST_BYTES))
    rows = TILE_ROWS * max(-(-(k + 1) // TILE_ROWS), -(-n_rows // (wanted * TILE_ROWS)))
    starts = list(range(0, n_rows, rows))
    if len(starts) > 1 and n_rows - starts[-1] <= k:
        starts.pop()
    return list(zip(starts, [*starts[1:], n_rows], strict=True))
