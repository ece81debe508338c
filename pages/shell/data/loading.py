"""What can be loaded as a data set, and the job that reads and inspects it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from engine.embeddings import Columns, inspect_health, load, load_upload
from engine.embeddings.samples import load_sample, synthetic
from engine.errors import AmbiguousColumnsError
from engine.progress import stop_if
from pages.shell import state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

    from engine.embeddings import EmbeddingSet, Metric, Recipe
    from engine.progress import Cancelled, Progress
    from engine.workspace import Workspace
    from engine.workspace.jobs import Work

# What a reader may ask for, and the choice that answers it.
_ANSWERS = {"corpus": "corpus", "queries": "queries", "ids": "id", "texts": "text", "segments": "segment"}


_UNDECIDED = Columns()
_SHARE_OF_READING = 0.6


@dataclass(frozen=True, eq=False, kw_only=True)
class Loading:
    """A data set that was asked for: `read(columns=, progress=, cancelled=)` with the columns chosen so far."""

    label: str
    read: Callable[..., EmbeddingSet]
    columns: Columns = _UNDECIDED
    place: state.Place = "tab"

    def with_column(self, question: Question, column: str) -> Loading:
        """Ask for the same again with `column` as the answer to `question`."""
        answer = _ANSWERS.get(question.wanted, "vector")
        if answer == "vector" and question.role == "queries":
            answer = "queries"
        return replace(self, columns=replace(self.columns, **{answer: column}))


@dataclass(frozen=True, kw_only=True)
class Question:
    """A file leaves open which column is meant; `role` says whether it is the corpus or the queries."""

    sentence: str
    role: str
    wanted: str
    candidates: tuple[str, ...]


@dataclass(eq=False, kw_only=True)
class Slot:
    """Where a job leaves what it found: with the tab, since the job runner keeps results for a while."""

    found: state.HeldSet | Question | None = None


def bundled(key: str, title: str) -> Loading:
    """Ask for a bundled set."""
    return Loading(label=title, read=lambda **_options: load_sample(key), place="bundled")


def generated(n: int, d: int, *, n_queries: int, spectrum: float, clusters: int, seed: int) -> Loading:
    """Ask for a synthetic set."""
    make = partial(synthetic, n, d, n_queries=n_queries, spectrum=spectrum, clusters=clusters, seed=seed)
    return Loading(label=f"Synthetic {n:,} × {d:,}", read=lambda **_options: make())


def uploaded(files: Mapping[str, tuple[str, BinaryIO]], *, metric: Metric | None, recipe: Recipe) -> Loading:
    """Ask for a set in uploaded files, by role: corpus, queries, qrels."""
    return Loading(label=files["corpus"][0], read=partial(load_upload, files, metric=metric, recipe=recipe))


def below_root(root: str, corpus: str, *, queries: str, qrels: str, metric: Metric | None, recipe: Recipe) -> Loading:
    """Ask for a set by paths below the data root; `queries` and `qrels` may be empty."""
    read = partial(load, corpus, queries=queries or None, qrels=qrels or None, metric=metric, recipe=recipe, below=root)
    return Loading(label=corpus, read=read)


def stored(workspace: Workspace, sha256: str, name: str) -> Loading:
    """Ask for a set that the workspace keeps."""
    return Loading(label=name, read=lambda **_options: workspace.load_dataset(sha256), place="workspace")


def load_work(asked: Loading, slot: Slot) -> Work:
    """Return the job: read, inspect, and leave a `HeldSet` in `slot`; or a `Question` where columns are ambiguous."""

    def work(progress: Progress, cancelled: Cancelled) -> None:
        def reading(share: float, message: str) -> None:
            progress(_SHARE_OF_READING * share, message)

        def inspecting(share: float, message: str) -> None:
            progress(_SHARE_OF_READING + (1 - _SHARE_OF_READING) * share, message)

        reading(0.0, "Reading")
        try:
            found = asked.read(columns=asked.columns, progress=reading, cancelled=cancelled)
        except AmbiguousColumnsError as error:
            slot.found = Question(
                sentence=str(error), role=error.role, wanted=error.wanted, candidates=error.candidates
            )
            return
        stop_if(cancelled)
        health = inspect_health(found, progress=inspecting, cancelled=cancelled)
        for vectors in (found.corpus, found.queries):
            if vectors is not None:
                vectors.setflags(write=False)  # sweeps in other threads read the same memory
        slot.found = state.HeldSet(embedding_set=found, health=health, place=asked.place)

    return work
