"""Reports of a workspace that holds everything, and small workspaces that hold a sweep alone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.embeddings.embedding_set import Judgements
from engine.embeddings.samples import synthetic
from engine.present.report.building import build_report
from engine.present.report.html import render_html
from engine.tradeoff import save_sweep, sweep
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.embeddings import EmbeddingSet
    from engine.present.report.blocks import Report
    from engine.workspace import Run

MOMENT = datetime(2026, 3, 1, 9, tzinfo=UTC)


class Page(HTMLParser):
    """What a browser would find in a page: its elements with their attributes, its scripts, and its text."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.data: dict[str, str] = {}
        self.text = ""
        self._within: tuple[str, dict[str, str | None]] = ("", {})
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self._within = (tag, dict(attrs))
        self.elements.append(self._within)

    def handle_endtag(self, tag: str) -> None:
        """Leave a script or style."""
        if tag == self._within[0]:
            self._within = ("", {})

    def handle_data(self, data: str) -> None:
        """Note a script, a block of data, or text."""
        tag, attributes = self._within
        if tag == "script" and attributes.get("type") == "application/json":
            name = str(attributes["id"])
            self.data[name] = self.data.get(name, "") + data
        elif tag == "script":
            self.scripts.append(data)
        elif tag != "style":
            self.text += data


@pytest.fixture(scope="session")
def told(told_workspace: Path) -> Iterator[Workspace]:
    """Return the workspace in which everything has been measured and done; only read it."""
    with Workspace.open(told_workspace) as workspace:
        yield workspace


@pytest.fixture(scope="session")
def told_report(told: Workspace) -> Report:
    """Return the report of everything."""
    return build_report(told, told.runs(kind="sweep")[0].id, clock=lambda: MOMENT)


@pytest.fixture(scope="session")
def told_html(told_report: Report) -> str:
    """Return the report of everything as HTML."""
    return render_html(told_report)


@pytest.fixture(scope="session")
def told_page(told_html: str) -> Page:
    """Return what a browser finds in the report of everything."""
    return Page(told_html)


@pytest.fixture(scope="session")
def parse() -> type[Page]:
    """Return `Page`."""
    return Page


@pytest.fixture
def workspace(empty_workspace: Path, tmp_path: Path) -> Iterator[Workspace]:
    """Return an empty workspace."""
    with Workspace.open(shutil.copytree(empty_workspace, tmp_path / "workspace")) as opened:
        yield opened


def small_set(*, seed: int = 0, judged: bool = False, n_queries: int = 40) -> EmbeddingSet:
    """Return 300 documents of which 8 of 16 dimensions say nearly everything."""
    made = synthetic(300, 16, n_queries=n_queries, clusters=5, spectrum=4.0, seed=seed)
    if not judged:
        return made
    rows = np.arange(n_queries)
    grades = np.ones(n_queries, dtype=np.float32)
    return replace(made, judgements=Judgements(query_rows=rows, doc_rows=rows, grades=grades))


@pytest.fixture
def save(workspace: Workspace) -> Callable[..., Run]:
    """Return what sweeps a set and keeps the run."""

    def keep(chosen: EmbeddingSet | None = None, *, dims: tuple[int, ...] = (4, 8, 16), **options: int) -> Run:
        return save_sweep(workspace, sweep(small_set() if chosen is None else chosen, dims, (1, 10), **options))

    return keep


@pytest.fixture
def make_set() -> Callable[..., EmbeddingSet]:
    """Return `small_set`."""
    return small_set
