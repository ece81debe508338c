"""What a migration shall do: dims, type, batches, patience, and how much may stay behind."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.errors import ParameterError
from engine.migration.stores.protocol import DTYPES, MOST_DIMS, Dtype, IndexSpec

if TYPE_CHECKING:
    from engine.embeddings.embedding_set import Metric

BATCH_BYTES = 16 << 20
"""Source vectors of one batch, where the batch size is left to us: five such batches are alive at once."""


@dataclass(frozen=True, kw_only=True)
class MigrationSettings:
    """Everything about a migration that is not a store.

    `metric` None is the source's, or cosine where it says none; `normalise` None re-normalises for cosine and for no
    other metric (`engine.scoring` scores in the same way). `batch_size` None takes about 16 MiB of vectors. A batch
    that fails is tried `attempts` times with a wait that doubles from `first_wait_s`, then halved until single rows
    are set aside; a store that is away is waited for up to `wait_for_store_s`. Above `quarantine_share` of the source's
    rows the job stops. `validate_share` is the share of rows whose values are compared in the end, 1 for all, at least
    1,000 of them. `overwrite` is the name of the target's table, typed to say that what it holds may go.

    Raises
    ------
    ParameterError
        When a value is outside its range.
    """

    dims: int
    dtype: Dtype = "float32"
    metric: Metric | None = None
    normalise: bool | None = None
    batch_size: int | None = None
    rows_per_s: float | None = None
    attempts: int = 5
    first_wait_s: float = 0.1
    wait_for_store_s: float = 600.0
    quarantine_share: float = 0.01
    validate_share: float = 0.01
    most_passes: int = 5
    index: IndexSpec | None = field(default_factory=IndexSpec)
    overwrite: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every range: settings also come from forms and shells."""
        if not 1 <= self.dims <= MOST_DIMS:
            raise ParameterError(f"the dims to keep must be from 1 to {MOST_DIMS:,}", found=self.dims)
        if self.dtype not in DTYPES:
            raise ParameterError(f"the dtype is one of {', '.join(DTYPES)}", found=self.dtype)
        if self.batch_size is not None and not 1 <= self.batch_size <= 100_000:
            raise ParameterError("the batch size must be from 1 to 100,000 rows", found=self.batch_size)
        if self.rows_per_s is not None and not (math.isfinite(self.rows_per_s) and self.rows_per_s > 0):
            raise ParameterError("the rate limit must be above 0 rows a second", found=self.rows_per_s)
        for what, number in (("attempts", self.attempts), ("passes", self.most_passes)):
            if not 1 <= number <= 100:
                raise ParameterError(f"the number of {what} must be from 1 to 100", found=number)
        for what, seconds in (("first wait", self.first_wait_s), ("wait for a store", self.wait_for_store_s)):
            if not (math.isfinite(seconds) and seconds >= 0):
                raise ParameterError(f"the {what} must be 0 seconds or more", found=seconds)
        for what, share in (("quarantine", self.quarantine_share), ("validated rows", self.validate_share)):
            if not (math.isfinite(share) and 0 <= share <= 1):
                raise ParameterError(f"the share of {what} must be between 0 and 1", found=share)

    def rows_a_batch(self, source_dim: int) -> int:
        """Return the batch size that was set, or the one that suits vectors of `source_dim` components."""
        return self.batch_size or min(max(BATCH_BYTES // (4 * source_dim), 64), 16_384)
