"""Ranked documents as a page lists them: rank, where the other dimension has them, score, id and text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from pages.shell.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.embeddings import EmbeddingSet
    from engine.tradeoff.queries.losses import RankedDocument
    from pages.shell.explore.frame import Opened

_LONGEST_TEXT = 160
_MOST_WITHOUT_SCROLLING = 12
_SCROLLED_PX = 760


@dataclass(frozen=True, eq=False, kw_only=True)
class Documents:
    """The set of a run with the queries that were swept, where it is at hand; without it rows have numbers only."""

    chosen: EmbeddingSet | None

    @classmethod
    def of(cls, opened: Opened) -> Documents:
        """Take the set that the run was made of, and draw from it the queries that the sweep drew."""
        if opened.found is None:
            return cls(chosen=None)
        sweep = opened.sweep
        return cls(chosen=opened.found.embedding_set.with_query_sample(sweep.dataset.n_queries, seed=sweep.seed))

    def name(self, row: int) -> str:
        """Return the id of a document, or its row."""
        return f"row {row:,}" if self.chosen is None else self.chosen.doc_id(row)

    def text(self, row: int) -> str | None:
        """Return the text of a document, where the set has texts."""
        return None if self.chosen is None or self.chosen.corpus_texts is None else self.chosen.corpus_texts[row]

    @property
    def has_query_texts(self) -> bool:
        """Whether queries have texts to show."""
        return self.chosen is not None and self.chosen.query_texts is not None

    def query_text(self, row: int) -> str | None:
        """Return the text of a swept query, where the set has texts."""
        return None if self.chosen is None or self.chosen.query_texts is None else self.chosen.query_texts[row]


def ranking(listed: Sequence[RankedDocument], known: Documents, *, is_full: bool, there: int, depth: int) -> None:
    """List documents of one ranking, best first; `there` is the other dimension, which told ranks up to `depth`."""
    height = _SCROLLED_PX if len(listed) > _MOST_WITHOUT_SCROLLING else "content"
    lines = [_line(one, known, is_full=is_full, there=there, depth=depth) for one in listed]
    with st.container(height=height, border=height != "content"):
        st.markdown("\n\n".join(lines))


def _line(one: RankedDocument, known: Documents, *, is_full: bool, there: int, depth: int) -> str:
    score = f"{one.score:.3f}"
    if one.other_score is not None:
        score += f", at {there:,} {one.other_score:.3f}"
    head = (
        f"**{one.rank}** · **{plain(known.name(one.doc_row), longest=120)}** {_move(one, is_full=is_full, depth=depth)}"
    )
    text = known.text(one.doc_row)
    below = f"score {plain(score)}" + ("" if text is None else f" · {plain(text, longest=_LONGEST_TEXT)}")
    return f"{head}  \n:small[:gray[{below}]]"


def _move(one: RankedDocument, *, is_full: bool, depth: int) -> str:
    """Say in a badge what happened to the document on the way from the full to the smaller dimension."""
    where = f"beyond {depth:,}" if one.other_rank is None else f"{one.other_rank:,}"
    if one.fate == "lost":
        return f":red-badge[lost, now {where}]"
    if one.fate == "gained":
        return f":green-badge[new, was {where}]"
    other = one.rank if one.other_rank is None else one.other_rank
    climbed = one.rank - other if is_full else other - one.rank
    if not climbed:
        return ":gray-badge[same]"
    arrow = "▲" if climbed > 0 else "▼"
    return f":blue-badge[{arrow} {abs(climbed):,}, {'now' if is_full else 'was'} {where}]"
