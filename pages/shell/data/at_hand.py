"""Find the data set that a stored run was made of: open in this tab, bundled, or kept in the workspace."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.embeddings.samples import sample_sets
from engine.errors import EngineError
from pages.shell import services, state
from pages.shell.state import AtHand

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.embeddings import EmbeddingSet
    from engine.workspace import Run
    from engine.workspace.datasets import StoredDataset
    from pages.shell.state import Place


def set_of(run: Run) -> AtHand | None:
    """Return the data set that `run` was made of, or None where it is nowhere at hand."""
    sha256 = str(run.dataset["sha256"])
    known = state.set_at_hand(sha256)
    if known is None:
        known = _find(run, sha256)
        if known is not None:
            state.remember_at_hand(known)
    return known


def _find(run: Run, sha256: str) -> AtHand | None:
    kept = services.services().workspace.datasets()
    if any(each.sha256 == sha256 for each in kept):
        try:
            return AtHand(embedding_set=services.stored_set(sha256), place="workspace", sha256=sha256)
        except EngineError:
            pass  # its files are damaged: as good as not there, and the Datasets page says why
    for place, candidate in _candidates(run, kept):
        # A sweep may have asked for another recipe than the set's own, and the digest covers the recipe.
        recipe = run.parameters.get("recipe", candidate.recipe)
        found = candidate if recipe == candidate.recipe else replace(candidate, recipe=recipe)
        if found.sha256 == sha256:
            return AtHand(embedding_set=found, place=place, sha256=sha256)
    return None


def _candidates(run: Run, kept: Sequence[StoredDataset]) -> Iterator[tuple[Place, EmbeddingSet]]:
    """Yield the sets that could be the one: a digest of large vectors takes a while, so the obvious ones only."""
    wanted = (run.dataset.get("n_docs"), run.dataset.get("dim"))
    held = state.held_set()
    if held is not None and (held.embedding_set.n_docs, held.embedding_set.dim) == wanted:
        yield held.place, held.embedding_set
    for info in sample_sets():
        if info.title == run.dataset.get("name"):
            yield "bundled", services.sample(info.key)
    for each in kept:
        if (each.n_docs, each.dim) == wanted and each.recipe != run.parameters.get("recipe"):
            try:
                yield "workspace", services.stored_set(each.sha256)
            except EngineError:
                continue  # damaged as well
