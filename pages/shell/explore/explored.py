"""Bounded caches of what the Explore section reads out of stored results, so that a moved widget costs little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from engine.embeddings.encoder_check import made_by_bundled_encoder
from engine.errors import EngineError
from engine.scoring.prefix_store import PrefixStore
from engine.tradeoff.panels import PanelAnswer, panel_answer, panel_runs
from engine.tradeoff.queries.losses import Losses, losses
from engine.tradeoff.queries.score_scale import CutoffTranslation, ScoreScale, translate_cutoff
from engine.tradeoff.size.comparison import Comparison, compare_equal_bytes
from pages.shell.services import estimates, services

if TYPE_CHECKING:
    from engine.embeddings import EmbeddingSet
    from engine.tradeoff import Quantity, SweepResult
    from engine.tradeoff.queries.segments import QueryClusters
    from engine.tradeoff.size.footprint import FootprintResult
    from engine.workspace import Run, Workspace
    from pages.shell.state import AtHand


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredAnswers:
    """What is stored beside a sweep by the panel's key: answers, and why others cannot be read."""

    answers: dict[str, PanelAnswer]
    unreadable: dict[str, str]


def stored_answers(run: Run) -> StoredAnswers:
    """Read every answer that is stored for the sweep `run`."""
    workspace = services().workspace
    found = StoredAnswers(answers={}, unreadable={})
    for key, stored in panel_runs(workspace, run).items():
        try:
            found.answers[key] = _answer(f"{workspace.id}/{stored.id}", workspace, stored)
        except EngineError as error:
            found.unreadable[key] = str(error)
    return found


def swept(run: Run) -> SweepResult:
    """Return the sweep itself. Raises RunNotFoundError or WorkspaceError."""
    return estimates(run.id).result


def equal_bytes(answer: PanelAnswer, quantity: Quantity) -> tuple[Comparison, ...]:
    """Return the comparisons of smaller codes with float32 of fewer dims at equal bytes."""
    return _equal_bytes(f"{services().workspace.id}/{answer.run_id}", answer.result, quantity)


def translation(answer: PanelAnswer, cutoff: float) -> CutoffTranslation:
    """Return what `cutoff` becomes at every dimension of a stored score scale."""
    return _translation(f"{services().workspace.id}/{answer.run_id}", answer.result, cutoff)


def losses_at(
    run: Run, dim: int, *, k: int, quantity: Quantity, clusters: PanelAnswer | None, n_worst: int = 50
) -> Losses:
    """Return how the queries of a sweep change at `dim`, grouped by `clusters` where given, else by their labels."""
    labels = None if clusters is None else clusters.result
    key = f"{services().workspace.id}/{run.id}/{None if clusters is None else clusters.run_id}"
    return _losses(key, swept(run), labels, dim, k, quantity, n_worst)


def prefix_store(found: AtHand, dims: tuple[int, ...], metric: str) -> PrefixStore:
    """Return the store that searches `found` at any of `dims`; that of a set held by a tab ends with the tab."""
    build = _private_store if found.place == "tab" else _shared_store
    return build(found.sha256, dims, metric, found.embedding_set)


def takes_text(found: AtHand) -> bool:
    """Tell whether typed text can be searched in `found`. Raises EngineError when the encoder is not installed."""
    return _takes_text(found.sha256, found.embedding_set)


@st.cache_resource(max_entries=64, show_spinner=False)
def _answer(key: str, _workspace: Workspace, _run: Run) -> PanelAnswer:  # noqa: ARG001  # what the cache looks up
    return panel_answer(_workspace, _run)


@st.cache_resource(max_entries=32, show_spinner=False)
def _equal_bytes(key: str, _result: FootprintResult, quantity: Quantity) -> tuple[Comparison, ...]:  # noqa: ARG001
    return compare_equal_bytes(_result, quantity=quantity)


@st.cache_resource(max_entries=32, show_spinner=False)
def _translation(key: str, _scale: ScoreScale, cutoff: float) -> CutoffTranslation:  # noqa: ARG001
    return translate_cutoff(_scale, cutoff)


@st.cache_resource(max_entries=32, show_spinner=False)
def _losses(
    key: str,  # noqa: ARG001  # what the cache looks up
    _result: SweepResult,
    _clusters: QueryClusters | None,
    dim: int,
    k: int,
    quantity: Quantity,
    n_worst: int,
) -> Losses:
    return losses(_result, dim, k=k, quantity=quantity, clusters=_clusters, n_worst=n_worst)


@st.cache_resource(max_entries=2, show_spinner="Preparing the search")
def _shared_store(sha256: str, dims: tuple[int, ...], metric: str, _found: EmbeddingSet) -> PrefixStore:  # noqa: ARG001
    return _built(_found, dims, metric)


@st.cache_resource(max_entries=1, show_spinner="Preparing the search", scope="session")
def _private_store(sha256: str, dims: tuple[int, ...], metric: str, _found: EmbeddingSet) -> PrefixStore:  # noqa: ARG001
    return _built(_found, dims, metric)


def _built(found: EmbeddingSet, dims: tuple[int, ...], metric: str) -> PrefixStore:
    return PrefixStore(found.corpus, metric=metric, recipe=found.recipe, dims=dims)


@st.cache_data(max_entries=64, show_spinner="Loading the text encoder")
def _takes_text(sha256: str, _found: EmbeddingSet) -> bool:  # noqa: ARG001
    return made_by_bundled_encoder(_found)
