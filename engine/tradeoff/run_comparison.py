"""Stored sweeps side by side: other models, corpora or seeds, paired query by query where the queries are the same."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.errors import ParameterError, printable
from engine.seeds import check_seed
from engine.tradeoff.bootstrap import Resampled, bootstrap_means
from engine.tradeoff.results import QUANTITIES
from engine.tradeoff.storage import load_sweep

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from engine.tradeoff.results import DatasetInfo, Interval, Quantity, SweepResult, Verdict
    from engine.workspace import Run, Workspace

    Int64 = npt.NDArray[np.int64]

MOST_RUNS = 8
_LEAST_SHARED = 0.5  # of the smaller set of queries: below that, pairing throws away more than it gains

_CAVEAT = (
    "Recall is against each run's own full dimension: it says which run keeps more of itself, not which one answers "
    "better. nDCG, where there are judgements, says that."
)


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """One of the runs; `label` tells it from the others.

    `recommended_dim`, None for none, and `verdict` are by the run's own criterion.
    """

    run_id: str
    label: str
    created_at: str
    dataset: DatasetInfo
    metric: str
    recipe: str
    seed: int
    dims: tuple[int, ...]
    recommended_dim: int | None
    verdict: Verdict
    reason: str


@dataclass(frozen=True, kw_only=True)
class RunCurve:
    """What one run reaches at each of its dims, over all of its own queries."""

    run_id: str
    quantity: Quantity
    dims: tuple[int, ...]
    values: tuple[Interval, ...]


@dataclass(frozen=True, kw_only=True)
class RunDifference:
    """One run less the first at one dim, with its 95 % bootstrap interval.

    `is_paired` when the same queries were compared one by one, `n_queries` of them; else the two runs were resampled
    apart and `n_queries` is the smaller number of theirs.
    """

    run_id: str
    quantity: Quantity
    dim: int
    difference: Interval
    is_paired: bool
    n_queries: int

    @property
    def verdict(self) -> Literal["higher", "lower", "the same", "undecided"]:
        """Whether the whole interval lies on one side of 0, or is 0."""
        if self.difference.low == self.difference.high == 0:
            return "the same"
        if self.difference.low > 0:
            return "higher"
        return "lower" if self.difference.high < 0 else "undecided"


@dataclass(frozen=True, kw_only=True)
class RunComparison:
    """Two or more sweeps side by side at `k`; differences are to the first of `runs`.

    nDCG is there only where every run has judgements. `sentences` say what the differences show, `warnings` what keeps
    the runs from being alike.
    """

    k: int
    seed: int
    n_resamples: int
    runs: tuple[ComparedRun, ...]
    curves: tuple[RunCurve, ...]
    differences: tuple[RunDifference, ...]
    sentences: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What is compared."""
        return tuple(one for one in QUANTITIES if any(curve.quantity == one for curve in self.curves))

    def curves_of(self, quantity: Quantity) -> tuple[RunCurve, ...]:
        """Return the curve of every run, in their order."""
        return tuple(curve for curve in self.curves if curve.quantity == quantity)

    def differences_of(self, quantity: Quantity) -> tuple[RunDifference, ...]:
        """Return the differences in one quantity, run by run and dim by dim."""
        return tuple(one for one in self.differences if one.quantity == quantity)

    def run(self, run_id: str) -> ComparedRun:
        """Return one of the runs."""
        return next(one for one in self.runs if one.run_id == run_id)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Side:
    about: ComparedRun
    sweep: SweepResult

    def values(self, quantity: Quantity, k: int) -> npt.NDArray[np.float32]:
        """Return the per-query values (D, q) at k."""
        found = self.sweep.recall if quantity == "recall" or self.sweep.ndcg is None else self.sweep.ndcg
        values: npt.NDArray[np.float32] = found[self.sweep.ks.index(k)]
        return values


def compare_runs(
    workspace: Workspace,
    run_ids: Sequence[str],
    *,
    k: int | None = None,
    seed: int = 0,
    n_resamples: int = 10_000,
) -> RunComparison:
    """Set stored sweeps side by side; the first is what the others are compared with.

    `k` defaults to the one nearest to 10 that all of them swept. Queries are the same where their ids are: when at
    least half of the smaller set is in both, differences are paired over the shared ones, otherwise each run is
    resampled by itself. A dimension that is the full one of either run has no recall to compare: it is 1 by definition.

    Raises
    ------
    RunNotFoundError
        When the workspace has no such run.
    WorkspaceError
        When a run is no sweep, or damaged.
    ParameterError
        When there are fewer than two or more than eight different runs, or no k that all of them swept.
    """
    check_seed(seed)
    if not 2 <= len(run_ids) <= MOST_RUNS or len(set(run_ids)) < len(run_ids):
        raise ParameterError(f"2 to {MOST_RUNS} different runs can be compared", found=", ".join(run_ids) or "none")
    sweeps = [load_sweep(workspace, run_id) for run_id in run_ids]
    runs = [workspace.run(run_id) for run_id in run_ids]
    labels = _labels(runs, sweeps)
    sides = [_side(*parts) for parts in zip(runs, sweeps, labels, strict=True)]
    chosen = _common_k(sweeps, k)
    quantities = [one for one in QUANTITIES if one == "recall" or all(sweep.has_judgements for sweep in sweeps)]
    options = {"seed": seed, "n_resamples": n_resamples}
    differences = tuple(
        difference
        for quantity in quantities
        for other in sides[1:]
        for difference in _differences(sides[0], other, quantity, chosen, **options)
    )
    return RunComparison(
        k=chosen,
        seed=seed,
        n_resamples=n_resamples,
        runs=tuple(side.about for side in sides),
        curves=tuple(_curve(side, quantity, chosen, **options) for quantity in quantities for side in sides),
        differences=differences,
        sentences=tuple(_sentences(sides, differences, chosen)),
        warnings=tuple(_warnings(sides, differences)),
    )


def _side(run: Run, sweep: SweepResult, label: str) -> _Side:
    said = run.summary["recommendation"]
    about = ComparedRun(
        run_id=run.id,
        label=label,
        created_at=run.created_at.isoformat(),
        dataset=sweep.dataset,
        metric=sweep.metric,
        recipe=sweep.recipe,
        seed=sweep.seed,
        dims=sweep.dims,
        recommended_dim=said["dim"],
        verdict=said["verdict"],
        reason=said["reason"],
    )
    return _Side(about=about, sweep=sweep)


def _labels(runs: Sequence[Run], sweeps: Sequence[SweepResult]) -> list[str]:
    """Name every run by its data set, and by what tells it from the others where that is not enough."""
    names = [sweep.dataset.name for sweep in sweeps]
    seeded = [f"{sweep.dataset.name}, seed {sweep.seed}" for sweep in sweeps]
    numbered = [f"{sweep.dataset.name}, run {run.id[-8:]}" for run, sweep in zip(runs, sweeps, strict=True)]
    often, seeded_often = Counter(names), Counter(seeded)
    return [
        name if often[name] == 1 else with_seed if seeded_often[with_seed] == 1 else with_id
        for name, with_seed, with_id in zip(names, seeded, numbered, strict=True)
    ]


def _common_k(sweeps: Sequence[SweepResult], k: int | None) -> int:
    common = set.intersection(*(set(sweep.ks) for sweep in sweeps))
    if not common or (k is not None and k not in common):
        swept = "; ".join(", ".join(map(str, sweep.ks)) for sweep in sweeps)
        raise ParameterError("runs are compared at a k that all of them swept", found=swept if k is None else k)
    return min(common, key=lambda one: (abs(one - 10), one)) if k is None else k


def _curve(side: _Side, quantity: Quantity, k: int, *, seed: int, n_resamples: int) -> RunCurve:
    (means,) = bootstrap_means(side.values(quantity, k), seed=seed, n_resamples=n_resamples)
    dims = side.sweep.dims
    return RunCurve(
        run_id=side.about.run_id,
        quantity=quantity,
        dims=dims,
        values=tuple(means.interval(place) for place in range(len(dims))),
    )


def _differences(
    first: _Side, other: _Side, quantity: Quantity, k: int, *, seed: int, n_resamples: int
) -> Iterable[RunDifference]:
    dims = _shared_dims(first.sweep, other.sweep, quantity)
    if not dims:
        return
    base, found = (side.values(quantity, k)[[side.sweep.dims.index(dim) for dim in dims]] for side in (first, other))
    rows, other_rows = _same_queries(first.sweep.query_ids, other.sweep.query_ids)
    is_paired = len(rows) > 0
    if is_paired:
        (means,) = bootstrap_means(found[:, other_rows] - base[:, rows], seed=seed, n_resamples=n_resamples)
    else:
        means = _apart(base, found, seed=seed, n_resamples=n_resamples)
    for place, dim in enumerate(dims):
        yield RunDifference(
            run_id=other.about.run_id,
            quantity=quantity,
            dim=dim,
            difference=means.interval(place),
            is_paired=is_paired,
            n_queries=int(means.n_values[place]),
        )


def _shared_dims(first: SweepResult, other: SweepResult, quantity: Quantity) -> list[int]:
    shared = [dim for dim in first.dims if dim in other.dims]
    if quantity == "ndcg":
        return shared
    return [dim for dim in shared if dim not in {first.dims[-1], other.dims[-1]}]


def _same_queries(first: Sequence[str], other: Sequence[str]) -> tuple[Int64, Int64]:
    """Return the rows of the queries that are in both, in the same order; none where they are too few."""
    row_of = {query: row for row, query in enumerate(other)}
    pairs = [(row, row_of[query]) for row, query in enumerate(first) if query in row_of]
    if len(pairs) < _LEAST_SHARED * min(len(first), len(other)):
        pairs = []
    rows = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def _apart(base: npt.NDArray[np.float32], found: npt.NDArray[np.float32], *, seed: int, n_resamples: int) -> Resampled:
    """Return `found` less `base`, resampled with draws that have nothing to do with each other."""
    (first,) = bootstrap_means(base, seed=seed, n_resamples=n_resamples)
    (other,) = bootstrap_means(found, seed=seed + 1, n_resamples=n_resamples)
    return Resampled(
        means=other.means - first.means,
        resamples=other.resamples - first.resamples,
        n_values=np.minimum(other.n_values, first.n_values),
    )


def _sentences(sides: Sequence[_Side], differences: Sequence[RunDifference], k: int) -> Iterable[str]:
    first = sides[0].about
    for other in sides[1:]:
        for quantity in QUANTITIES:
            found = [one for one in differences if (one.run_id, one.quantity) == (other.about.run_id, quantity)]
            if found:
                yield _sentence(first, other.about, found, f"recall@{k}" if quantity == "recall" else f"nDCG@{k}")


def _sentence(first: ComparedRun, other: ComparedRun, found: Sequence[RunDifference], name: str) -> str:
    counts = Counter(one.verdict for one in found)
    shown = next((one for one in found if one.dim == first.recommended_dim), found[-1])
    gap = shown.difference
    how = "paired over" if shown.is_paired else "unpaired, over at least"
    if counts["the same"] == len(found):
        return (
            f"{printable(other.label, longest=80)} has the same {name} as {printable(first.label, longest=80)} at "
            f"{len(found)} of {len(found)} dims, {how} {shown.n_queries:,} queries."
        )
    article = "an" if name.startswith("n") else "a"
    return (
        f"{printable(other.label, longest=80)} has {article} {name} above that of "
        f"{printable(first.label, longest=80)} at {counts['higher']} of {len(found)} dims, below it at "
        f"{counts['lower']}, undecided at {counts['undecided']}; "
        f"at {shown.dim:,} dims the difference is {gap.mean:+.3f} (95 % interval {gap.low:+.3f} to {gap.high:+.3f}), "
        f"{how} {shown.n_queries:,} queries."
    )


def _warnings(sides: Sequence[_Side], differences: Sequence[RunDifference]) -> Iterable[str]:
    first = sides[0]
    infos = [side.about.dataset for side in sides]
    if len({info.sha256 for info in infos}) > 1:
        yield _CAVEAT
    if len({info.n_docs for info in infos}) > 1:
        counts = "; ".join(f"{info.n_docs:,}" for info in infos)
        yield f"The corpora differ in size ({counts} documents): the larger one is the harder one."
    if len({(side.about.metric, side.about.recipe) for side in sides}) > 1:
        yield "The runs do not all compare vectors by the same metric and recipe."
    for other in sides[1:]:
        name = printable(other.about.label, longest=80)
        found = [one for one in differences if one.run_id == other.about.run_id]
        if not any(one.quantity == "recall" for one in found):
            yield f"{name}: no dimension below both full ones was swept in both runs, so recall is not compared."
        if other.about.dataset.sha256 == first.about.dataset.sha256 and any(one.is_paired for one in found):
            yield f"{name}: a sweep of the same vectors, so the queries that both asked have the same values in both."
        if any(one.is_paired for one in found) and _are_row_numbers(first.sweep, other.sweep):
            yield f"{name}: the queries have no ids of their own and were paired by their row numbers."


def _are_row_numbers(first: SweepResult, other: SweepResult) -> bool:
    """Tell whether two different sets are paired by ids that are row numbers, which match whatever the queries are."""
    if first.dataset.sha256 == other.dataset.sha256:
        return False
    return all(query.isdecimal() for sweep in (first, other) for query in sweep.query_ids)
