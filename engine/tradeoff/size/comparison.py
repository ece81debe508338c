"""Does int8 beat fewer dims? Storage options compared query by query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.tradeoff.bootstrap import bootstrap_means
from engine.tradeoff.results import QUANTITIES, Interval, Quantity

if TYPE_CHECKING:
    from engine.tradeoff.size.footprint import FootprintResult, StorageOption


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Option `a` less option `b`, query by query: the mean difference with its paired interval, over `n_queries`."""

    a: StorageOption
    b: StorageOption
    quantity: Quantity
    memory_bytes_a: float
    memory_bytes_b: float
    difference: Interval
    n_queries: int

    @property
    def winner(self) -> str:
        """``a`` or ``b`` where the interval lies on one side of 0, else ``undecided``."""
        if self.difference.low > 0:
            return "a"
        return "b" if self.difference.high < 0 else "undecided"


def compare(
    result: FootprintResult, a: StorageOption, b: StorageOption, *, quantity: Quantity = "recall"
) -> Comparison:
    """Return what `a` keeps more than `b`, paired query by query.

    Raises
    ------
    ParameterError
        When an option was not measured, or `quantity` is nDCG and the result has none.
    """
    return _compared(result, [(a, b)], quantity)[0]


def compare_equal_bytes(result: FootprintResult, *, quantity: Quantity = "recall") -> tuple[Comparison, ...]:
    """Compare every smaller code with float32 of fewer dims at equal bytes ("does int8 beat fewer dims?").

    A pair is made where both, without a rerank, take exactly the same bytes of memory a vector; none where the measured
    dims give no such pair. Option `a` is the smaller code, `b` float32.

    Raises
    ------
    ParameterError
        When `quantity` is nDCG and the result has none.
    """
    plain = [row for row in result.rows if not row.option.rerank]
    float32 = {row.memory_bytes_per_vector: row.option for row in plain if row.option.dtype == "float32"}
    pairs = [
        (row.option, float32[row.memory_bytes_per_vector])
        for row in plain
        if row.option.dtype != "float32" and row.memory_bytes_per_vector in float32
    ]
    return _compared(result, pairs, quantity)


def _compared(
    result: FootprintResult, pairs: list[tuple[StorageOption, StorageOption]], quantity: Quantity
) -> tuple[Comparison, ...]:
    if quantity not in QUANTITIES:
        raise ParameterError(f"the quantity is one of {', '.join(QUANTITIES)}", found=quantity)
    values = result.recall if quantity == "recall" else result.ndcg
    if values is None:
        raise ParameterError(
            "nDCG needs relevance judgements, and this result has none", hint="Give qrels, or compare by recall"
        )
    if not pairs:
        return ()
    rows = np.array([(result.position(a), result.position(b)) for a, b in pairs])
    (differences,) = bootstrap_means(
        values[rows[:, 0]] - values[rows[:, 1]], seed=result.seed, n_resamples=result.n_resamples
    )
    return tuple(
        Comparison(
            a=a,
            b=b,
            quantity=quantity,
            memory_bytes_a=result.rows[rows[i, 0]].memory_bytes_per_vector,
            memory_bytes_b=result.rows[rows[i, 1]].memory_bytes_per_vector,
            difference=differences.interval(i),
            n_queries=int(differences.n_values[i]),
        )
        for i, (a, b) in enumerate(pairs)
    )
