"""Search: one query at a chosen dimension beside the full one, and how its results move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.embeddings.encoder import ENCODER_NAME, encode
from engine.errors import EngineError
from engine.tradeoff.queries.live_search import search_beside
from engine.tradeoff.queries.losses import changes_of_query
from pages.shell.explore import documents, explored
from pages.shell.explore.documents import Documents
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from engine.tradeoff.queries.live_search import SearchedBeside
    from engine.tradeoff.queries.losses import QueryChanges
    from pages.shell.explore.frame import Opened

_EXAMPLE = "sort an array in place"
_MOST_LISTED = 500
_LONGEST_QUERY = 2000
_TYPED, _PICKED = "Type a query", "Pick one of the set's"


def show(opened: Opened, dim: int, k: int) -> None:
    """Let the reader type a query, or pick one of the set's; show what it finds at `dim` and at the full dimension."""
    try:
        typed = _asks_for_text(opened)
        with st.container(key="search_results"):
            pair = _typed(opened, dim, k) if typed else _picked(opened, dim, k)
            if pair is not None:
                _side_by_side(pair, Documents.of(opened))
    except EngineError as error:
        st.error(sentence(error))


def _asks_for_text(opened: Opened) -> bool:
    """Offer a text box where typed text can be compared with the vectors; say why not otherwise."""
    found = opened.found
    if found is None:
        st.caption("The vectors are not at hand, so only queries that were swept can be looked at.")
        return False
    if found.embedding_set.corpus_texts is None:
        st.caption("This set has no texts, so a typed query has nothing to be compared with: pick one of its queries.")
        return False
    if not explored.takes_text(found):
        st.caption(
            f"These vectors were not made by the bundled encoder, {plain(ENCODER_NAME)}, so a typed query cannot be "
            "compared with them: pick one of the set's queries."
        )
        return False
    asked = st.segmented_control(
        "Search by", [_TYPED, _PICKED], default=_TYPED, required=True, key="search_by", label_visibility="collapsed"
    )
    return bool(asked == _TYPED)


def _typed(opened: Opened, dim: int, k: int) -> SearchedBeside | None:
    found, sweep = opened.found, opened.sweep
    if found is None:
        return None
    text = st.text_input(
        "Query",
        _EXAMPLE if found.place == "bundled" else "",
        type="search",
        max_chars=_LONGEST_QUERY,
        key="q",
        bind="query-params",
        placeholder="Type a query and press Enter",
    )
    if not text or not text.strip():
        st.caption("Type something to search for.")
        return None
    vector = encode([text[:_LONGEST_QUERY]])[0]
    if not vector.any():
        st.info("The encoder knows no word of this query, so there is nothing to search with.", icon=":material/block:")
        return None
    return search_beside(explored.prefix_store(found, sweep.dims, sweep.metric), vector, dim, k=k)


def _picked(opened: Opened, dim: int, k: int) -> QueryChanges | None:
    """Offer the queries of the sweep; nothing is scored for one of them."""
    sweep, known = opened.sweep, Documents.of(opened)
    place = {query_id: row for row, query_id in enumerate(sweep.query_ids)}
    listed = list(place)[:_MOST_LISTED]
    more = len(place) - len(listed)
    chosen = st.selectbox(
        "Query",
        listed,
        key="query_id",
        format_func=lambda query_id: _title(known, place, query_id),
        accept_new_options=True,
        help=f"{more:,} more can be typed in by their id." if more else "Or type an id.",
    )
    if chosen not in place:
        st.info("No query of this run has that id.", icon=":material/block:")
        return None
    return changes_of_query(sweep, place[chosen], dim, k=k)


def _title(known: Documents, place: dict[str, int], query_id: str) -> str:
    text = known.query_text(place[query_id]) if query_id in place else None
    return query_id if text is None else f"{query_id}: {text}"


def _side_by_side(pair: SearchedBeside | QueryChanges, known: Documents) -> None:
    kept = sum(document.fate == "kept" for document in pair.reduced)
    st.markdown(f"**{kept} of {len(pair.full)}** results of the full dimension are kept at {pair.dim:,} dimensions.")
    left, right = st.columns(2, gap="large")
    for column, listed, here, there in (
        (left, pair.reduced, pair.dim, pair.full_dim),
        (right, pair.full, pair.full_dim, pair.dim),
    ):
        with column:
            st.header(f"{here:,} dimensions", anchor=False)
            documents.ranking(listed, known, is_full=here == pair.full_dim, there=there, depth=pair.depth)
    st.caption("Scores of different dimensions are not comparable; ranks are.")
