"""How a corpus becomes tasks."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engine.scoring import TILE_ROWS
from engine.tradeoff.distributed.cutting import cut


@given(st.integers(1, 10**9), st.integers(1, 4096), st.integers(1, 5_000), st.integers(1, 500))
def test_stretches_cover_every_row_once_in_whole_tiles(n_rows: int, dim: int, k: int, n_threads: int) -> None:
    """They follow each other from the first row to the last, begin at tiles, and each finds k beside one excluded."""
    stretches = cut(n_rows, dim, k, n_threads=n_threads)
    assert (stretches[0][0], stretches[-1][1]) == (0, n_rows)
    assert all(before[1] == after[0] for before, after in pairwise(stretches))
    assert all(start % TILE_ROWS == 0 for start, _ in stretches)
    assert len(stretches) == 1 or min(stop - start for start, stop in stretches) > k


def test_tasks_are_enough_for_the_threads_and_small_enough_to_lose() -> None:
    """A large corpus gives every thread several tasks, and no task more than about 1 GiB of rows."""
    stretches = cut(5_000_000, 3_072, 100, n_threads=16)
    assert len(stretches) >= 4 * 16 * 0.9
    assert max((stop - start) * 3_072 * 4 for start, stop in stretches) <= (1 << 30) + TILE_ROWS * 3_072 * 4
    assert len(cut(1_000_000_000, 768, 100, n_threads=64)) < 4_000
