"""Prove that the target holds what it should: counts, ids both ways, values, payloads, and search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.migration.comparing import Comparison
from engine.migration.ids import shown_id
from engine.migration.results import Check, DiffersRow, SearchCheck, Validation
from engine.migration.transform import FLOAT16_BOUND, FLOAT32_BOUND
from engine.tradeoff.bootstrap import bootstrap_means

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy.typing as npt

    from engine.migration.ids import Id
    from engine.migration.patience import Patience
    from engine.migration.planning import Settled
    from engine.migration.stores.protocol import StoreInfo, VectorStore
    from engine.progress import Cancelled, Progress
    from engine.tradeoff.results import Interval

_LEAST_VALUES = 1000
_LISTED = 100
_K = 10
_N_QUERIES, _FEWEST_QUERIES = 200, 20
_MOST_COMPARED = 10_000_000
# Rows that exact search compares in all: without an end to it, 200 queries of millions of rows take an hour.


def validate(
    source: VectorStore,
    target: VectorStore,
    settled: Settled,
    *,
    info: StoreInfo,
    patience: Patience,
    held: Collection[Id],
    share: float,
    seed: int,
    queries: npt.NDArray[np.float32] | None = None,
    predicted: Interval | None = None,
    progress: Progress,
    cancelled: Cancelled,
) -> Validation:
    """Compare source and target and search through the target's index; `share` of the values is compared.

    At least 1,000 values are, or all where there are fewer. `queries` (q, D) are full-dimension, sampled down to
    `queries_asked`; without them a seeded sample of the source's own vectors asks. `predicted` is the recall@10 that a
    sweep promises at these dims.
    """
    n_rows = max(patience.call(source.count), 1)
    comparison = Comparison(
        source,
        target,
        settled.transform,
        patience=patience,
        held=held,
        value_share=max(share, min(1.0, _LEAST_VALUES / n_rows)),
        with_payload=info.has_payload,
        seed=seed,
    )
    listed: list[DiffersRow] = []
    for found in comparison.differences(n_rows=n_rows, progress=progress, cancelled=cancelled):
        rows = [DiffersRow(id=shown_id(one.id), what=one.what, largest=one.largest) for one in found]
        listed += rows[: _LISTED - len(listed)]
    search = _search_check(source, target, settled, patience=patience, queries=queries, predicted=predicted, seed=seed)
    checks = _checks(comparison, held=held, info=info, bound=_bound(settled))
    tally = comparison.tally
    return Validation(
        verdict="equal" if all(check.passed for check in checks) else "differs",
        checks=checks,
        n_source=tally.n_source,
        n_target=tally.n_target,
        n_held=len(held),
        n_values=tally.n_values,
        largest_difference=tally.largest_difference,
        bound=_bound(settled),
        n_differing=sum(tally.n_found.values()),
        differing=tuple(listed),
        search=search,
    )


def _bound(settled: Settled) -> str:
    if settled.transform.dtype == "float16":
        return f"{FLOAT16_BOUND:.1e} of the largest component (float16)"
    return f"{FLOAT32_BOUND:.0e} (float32)"


def _checks(comparison: Comparison, *, held: Collection[Id], info: StoreInfo, bound: str) -> tuple[Check, ...]:
    tally, found = comparison.tally, comparison.tally.n_found
    away = len(set(held) | set(comparison.immovable))
    expected = tally.n_source - away
    apart = f", and {away:,} in quarantine" if away else ""
    checks = [
        Check(
            name="counts",
            passed=tally.n_target == expected,
            sentence=f"{tally.n_source:,} rows in the source, {tally.n_target:,} in the target{apart}.",
        ),
        Check(
            name="ids",
            passed=not found.get("missing") and not found.get("unexpected"),
            sentence=f"{found.get('missing', 0):,} ids miss in the target, {found.get('unexpected', 0):,} too many.",
        ),
        Check(
            name="values",
            passed=not found.get("vector"),
            sentence=(
                f"{tally.n_values:,} vectors compared component by component: {found.get('vector', 0):,} are off by "
                f"more than {bound}; the largest difference is {tally.largest_difference:.2g}."
            ),
        ),
    ]
    if info.has_payload:
        sentence = f"{tally.n_payloads:,} payloads compared: {found.get('payload', 0):,} differ."
        checks.append(Check(name="payloads", passed=not found.get("payload"), sentence=sentence))
    return tuple(checks)


def _search_check(
    source: VectorStore,
    target: VectorStore,
    settled: Settled,
    *,
    patience: Patience,
    queries: npt.NDArray[np.float32] | None,
    predicted: Interval | None,
    seed: int,
) -> SearchCheck | None:
    asked = "given" if queries is not None else "rows of the source"
    most = queries_asked(patience.call(source.count))
    if queries is None:
        queries = _sampled(source, patience, most=most, seed=seed)
    elif len(queries) > most:
        queries = queries[np.sort(np.random.default_rng(seed).choice(len(queries), most, replace=False))]
    if not len(queries):
        return None
    cut = settled.transform.cut(queries)
    through_index = patience.call(lambda: target.search(cut, _K)).ids
    exact = patience.call(lambda: target.search(cut, _K, exact=True)).ids
    full = patience.call(lambda: source.search(queries, _K, exact=True)).ids
    recalls = np.array([_recalls(through_index, exact), _recalls(through_index, full)], dtype=np.float32)
    (means,) = bootstrap_means(recalls, seed=seed)
    return SearchCheck(
        k=_K,
        n_queries=len(queries),
        queries=asked,
        index_recall=means.interval(0),
        neighbour_recall=means.interval(1),
        predicted=predicted,
    )


def _recalls(found: tuple[tuple[Id, ...], ...], wanted: tuple[tuple[Id, ...], ...]) -> list[float]:
    return [
        len(set(mine) & set(best)) / len(best) if best else float("nan")
        for mine, best in zip(found, wanted, strict=True)
    ]


def queries_asked(n_rows: int) -> int:
    """Return how many queries ask a source of `n_rows`: 200, and fewer, down to 20, where exact search takes long.

    >>> queries_asked(5_000), queries_asked(200_000), queries_asked(5_000_000)
    (200, 50, 20)
    """
    return min(max(_MOST_COMPARED // max(n_rows, 1), _FEWEST_QUERIES), _N_QUERIES)


def _sampled(source: VectorStore, patience: Patience, *, most: int, seed: int) -> npt.NDArray[np.float32]:
    """Draw rows from the first batches: enough to see whether the index answers, where nobody gave queries."""
    batch = next(patience.scan(source, after=None, batch_size=10 * _N_QUERIES, dim=None, with_payload=False), None)
    if batch is None:
        return np.empty((0, 0), dtype=np.float32)
    good = batch.vectors[np.isfinite(batch.vectors).all(axis=1) & (batch.vectors != 0).any(axis=1)]
    rows = np.random.default_rng(seed).permutation(len(good))[:most]
    return np.ascontiguousarray(good[np.sort(rows)])
