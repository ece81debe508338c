"""Find the data set that a stored run was made of: open in this tab, bundled, or kept in the workspace."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.embeddings.samples import sample_sets
from engine.errors import EngineError
from pages.shell import services, state
from pages.shell.state import AtHand

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.embeddings import EmbeddingSet
    from engine.workspace import Run
    from pages.shell.state import Place


def set_of(run: Run) -> AtHand | None:
    """Return the data set that `run` was made of, or None where it is nowhere at hand."""
    sha256 = str(run.dataset["sha256"])
    known = state.set_at_hand(sha256)
    if known is not None:
        return known
    for place, candidate in _candidates(run.dataset):
        # A sweep may have asked for another recipe than the set's own, and the digest covers the recipe.
        recipe = run.parameters.get("recipe", candidate.recipe)
        found = candidate if recipe == candidate.recipe else replace(candidate, recipe=recipe)
        if found.sha256 == sha256:
            known = AtHand(embedding_set=found, place=place, sha256=sha256)
            state.remember_at_hand(known)
            return known
    return None


def _candidates(wanted: dict[str, Any]) -> Iterator[tuple[Place, EmbeddingSet]]:
    """Yield the sets that could be the one: a digest of large vectors takes a while, so the obvious ones only."""
    held = state.held_set()
    if held is not None and _has_size(held.embedding_set, wanted):
        yield held.place, held.embedding_set
    for info in sample_sets():
        if info.title == wanted.get("name"):
            yield "bundled", services.sample(info.key)
    kept = [each for each in services.services().workspace.datasets() if _has_size(each, wanted)]
    for each in sorted(kept, key=lambda each: each.sha256 != wanted["sha256"]):
        try:
            yield "workspace", services.stored_set(each.sha256)
        except EngineError:
            continue  # its files are damaged: as good as not there, and the Datasets page says why


def _has_size(one: Any, wanted: dict[str, Any]) -> bool:
    return (one.n_docs, one.dim) == (wanted.get("n_docs"), wanted.get("dim"))
