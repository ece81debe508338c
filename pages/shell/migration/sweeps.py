"""What the workspace's sweeps know about the vectors of a store: dims to keep, the recall to expect, real queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import EngineError
from engine.migration.demonstration import SAMPLE
from engine.tradeoff import Criterion
from pages.shell import services
from pages.shell.data import at_hand
from pages.shell.migration.work import Evidence

if TYPE_CHECKING:
    from engine.embeddings import EmbeddingSet
    from engine.tradeoff import Interval
    from engine.workspace import Run
    from pages.shell.migration.state import Fields

_K = 10
_LEAST_RECALL = 0.95


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """The dims to begin with, where they come from, and the sweep of these very vectors, None without one."""

    dims: int
    words: str
    sweep: str | None


def sweeps_of(dim: int) -> dict[str, Run]:
    """Return the sweeps of vectors with `dim` components by their run, newest first."""
    runs = services.services().workspace.runs(kind="sweep")
    return {run.id: run for run in runs if run.dataset.get("dim") == dim}


def propose(dim: int, n_rows: int) -> Proposal:
    """Propose dims for a source of `n_rows` vectors of `dim` components by the newest sweep that fits."""
    known = sweeps_of(dim)
    same = next((run for run in known.values() if run.dataset.get("n_docs") == n_rows), None)
    chosen = same or next(iter(known.values()), None)
    sweep = None if same is None else same.id
    half = max(dim // 2, 1)
    if chosen is None:
        words = f"Half of the source's {dim:,} dims to begin with: no sweep in this workspace is of {dim:,} dims."
        return Proposal(dims=half, words=words, sweep=sweep)
    name = chosen.dataset.get("name", "unnamed vectors")
    recommended = (chosen.summary.get("recommendation") or {}).get("dim")
    if isinstance(recommended, int) and 0 < recommended < dim:
        return Proposal(dims=recommended, words=f"The newest sweep of {name} recommends {recommended:,}.", sweep=sweep)
    words = f"The newest sweep of {name} recommends none below {dim:,} dims; half of them to begin with."
    return Proposal(dims=half, words=words, sweep=sweep)


def propose_for_demonstration() -> int | None:
    """Return the dims that a sweep recommends for the demonstration's set, None when none recommends fewer."""
    found = services.sample(SAMPLE)
    for run in sweeps_of(found.dim).values():
        recommended = (run.summary.get("recommendation") or {}).get("dim")
        if run.dataset.get("sha256") == found.sha256:
            return recommended if isinstance(recommended, int) and recommended < found.dim else None
    return None


def evidence(fields: Fields, *, is_demonstration: bool) -> Evidence:
    """Return what the finished target's search is compared with: the chosen sweep's prediction and its queries."""
    found = embedding_set(fields.sweep, is_demonstration=is_demonstration)
    queries = None if found is None else np.ascontiguousarray(found.queries, dtype=np.float32)
    return Evidence(queries=queries, predicted=None if fields.sweep is None else _predicted(fields.sweep, fields.dims))


def embedding_set(sweep: str | None, *, is_demonstration: bool) -> EmbeddingSet | None:
    """Return the set that the rows of the source come from, where it is at hand."""
    if is_demonstration:
        return services.sample(SAMPLE)
    if sweep is None:
        return None
    try:
        found = at_hand.set_of(services.services().workspace.run(sweep))
    except EngineError:
        return None  # the run was removed; nothing depends on it
    return None if found is None else found.embedding_set


def _predicted(run_id: str, dims: int) -> Interval | None:
    try:
        swept = services.estimates(run_id).result
        if dims not in swept.dims or _K not in swept.ks:
            return None
        read = services.summary(run_id, Criterion(quantity="recall", k=_K, target=_LEAST_RECALL))
    except EngineError:
        return None  # a prediction that cannot be read is none
    return next(point.recall[_K] for point in read.points if point.dim == dims)
