"""What a sweep can be asked for in the app, and the job that does it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.embeddings.samples import sample_sets
from engine.progress import stop_if
from engine.tradeoff import estimate, save_sweep
from engine.tradeoff.distributed import can_be_shared, sweeper
from engine.workspace import JobNote
from pages.shell import services, state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.embeddings import EmbeddingSet, Metric, Recipe
    from engine.progress import Cancelled, Progress
    from engine.workspace import Workspace
    from engine.workspace.jobs import Work


HELD = "held"
"""The key of the set that is open in this tab."""
_SAMPLE = "sample:"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A data set that can be swept from here; `title` is its name and where it is."""

    key: str
    name: str
    title: str
    load: Callable[[], EmbeddingSet]


@dataclass(frozen=True, eq=False, kw_only=True)
class SweepRequest:
    """One sweep as asked for; None leaves the choice to the engine."""

    source: Source
    dims: tuple[int, ...] | None = None
    ks: tuple[int, ...] = (1, 10, 100)
    metric: Metric | None = None
    recipe: Recipe | None = None
    n_queries: int | None = None
    seed: int = 0


def sources() -> dict[str, Source]:
    """Return every set that can be swept by its key: the one open in this tab, then bundled ones, then stored ones."""
    found: list[Source] = []
    held = state.held_set()
    if held is not None:
        opened = held.embedding_set
        found.append(Source(key=HELD, name=opened.name, title=f"{opened.name} (open in this tab)", load=lambda: opened))
    found += [
        Source(key=_SAMPLE + info.key, name=info.title, title=info.title, load=partial(services.sample, info.key))
        for info in sample_sets()
    ]
    found += [
        Source(
            key=stored.sha256,
            name=stored.name,
            title=f"{stored.name} (stored, {stored.n_docs:,} × {stored.dim:,})",
            load=partial(services.stored_set, stored.sha256),
        )
        for stored in services.services().workspace.datasets()
    ]
    return {source.key: source for source in found}


def first_request() -> SweepRequest:
    """Return the sweep that an empty workspace begins with: the first bundled set, as it is."""
    return SweepRequest(source=next(source for source in sources().values() if source.key.startswith(_SAMPLE)))


def note_of(request: SweepRequest) -> JobNote:
    """Return what is kept about a sweep while it runs; it names no set that only this tab has."""
    key, name = request.source.key, request.source.name
    held = state.held_set()
    if key == HELD and held is not None:
        titles = {info.title: _SAMPLE + info.key for info in sample_sets()}
        key = titles.get(name, "") if held.place == "bundled" else held.embedding_set.sha256
        name = "a set that was not kept" if held.place == "tab" else name
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(request).items()}
    return JobNote(label=f"Sweep of {name}", purpose="sweep", request={**fields, "source": key})


def request_again(fields: Mapping[str, Any]) -> SweepRequest | None:
    """Return the sweep that `note_of` wrote down; None when its set is not to be had any more, or never was kept."""
    source = sources().get(str(fields["source"]))
    if source is None:
        return None
    listed = {name: None if fields[name] is None else tuple(fields[name]) for name in ("dims", "ks")}
    return SweepRequest(**{**fields, **listed, "source": source})


def scheduler() -> str | None:
    """Return the address of the Dask cluster that sweeps for this app; None when none is configured."""
    return os.environ.get("DIMSHIFT_SCHEDULER") or None


def scheduler_for(chosen: EmbeddingSet) -> str | None:
    """Return the cluster that sweeps `chosen`; None where this machine does: a set in memory is in no file to share."""
    return scheduler() if can_be_shared(chosen) else None


def sweep_work(request: SweepRequest, workspace: Workspace) -> Work:
    """Return the job: sweep, store the run, return its id."""

    def work(progress: Progress, cancelled: Cancelled) -> str:
        progress(0.0, "Reading the vectors")
        chosen = request.source.load()
        if request.recipe is not None and request.recipe != chosen.recipe:
            chosen = replace(chosen, recipe=request.recipe)
        progress(0.0, "Scoring")
        result = sweeper(scheduler_for(chosen))(
            chosen,
            request.dims,
            request.ks,
            metric=request.metric,
            n_queries=request.n_queries,
            seed=request.seed,
            progress=progress,
            cancelled=cancelled,
        )
        estimates = estimate(result)
        stop_if(cancelled)
        run = save_sweep(workspace, result, estimates=estimates)
        services.keep_estimates(workspace, run.id, estimates)  # so that no page waits for them
        return run.id

    return work
