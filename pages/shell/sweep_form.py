"""The form of a new sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import streamlit as st

from engine.embeddings import METRICS, RECIPES
from engine.errors import EngineError
from engine.tradeoff import check_dims, check_ks, default_dims
from pages.shell import jobs, state
from pages.shell.sweeping import SweepRequest, sources
from pages.shell.text import sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.embeddings import EmbeddingSet
    from pages.shell.sweeping import Source

RECIPE_NAMES = {"prefix": "prefix: the first d components", "layer_norm": "layer-norm first, then the prefix (nomic)"}


def new_sweep() -> None:
    """Offer the form behind a button; it opens by itself for a set that another page sends here."""
    state.settle_new_sweep()
    popover = st.popover(
        "New sweep", type="primary", icon=":material/add:", key=state.NEW_SWEEP_KEY, on_change="rerun", width="stretch"
    )
    if popover.open:
        with popover:
            _form()


def _form() -> None:
    offered = sources()
    if st.session_state.get(state.SOURCE_KEY) not in offered:
        st.session_state.pop(state.SOURCE_KEY, None)
    key = st.selectbox("Data set", list(offered), format_func=lambda key: offered[key].title, key=state.SOURCE_KEY)
    source = offered[key]
    try:
        chosen = source.load()
    except EngineError as error:
        st.error(sentence(error))
        return
    st.caption(f"{chosen.n_docs:,} documents · {chosen.n_queries:,} queries · {chosen.dim:,} dimensions")
    dims = st.multiselect(
        "Dimensions to try",
        list(default_dims(chosen.dim)),
        default=list(default_dims(chosen.dim)),
        key=f"dims_{key}",
        accept_new_options=True,
        help=f"Type a number to add one, up to {chosen.dim:,}. The full dimension is always measured.",
    )
    ks = st.multiselect(
        "k",
        [1, 5, 10, 20, 50, 100],
        default=[1, 10, 100],
        key="ks",
        accept_new_options=True,
        help="How many results count. Type a number to add one.",
    )
    _submit(source, chosen, dims=dims, ks=ks)


def _submit(source: Source, chosen: EmbeddingSet, *, dims: Sequence[object], ks: Sequence[object]) -> None:
    left, right = st.columns(2)
    metric = left.selectbox("Metric", METRICS, index=METRICS.index(chosen.metric), key=f"metric_{source.key}")
    recipe = right.selectbox(
        "Recipe",
        RECIPES,
        index=RECIPES.index(chosen.recipe),
        key=f"recipe_{source.key}",
        format_func=lambda name: RECIPE_NAMES[name],
        help="How the model wants its vectors truncated; its card says so.",
    )
    left, right = st.columns(2)
    n_queries = left.number_input(
        "Queries", 1, max(1, chosen.n_queries), None, key=f"n_queries_{source.key}", placeholder="all"
    )
    seed = right.number_input("Seed", 0, 2**31, 0, key="seed", help="Of the query sample and the intervals.")
    if not st.button("Run sweep", type="primary", width="stretch", key="run_sweep"):
        return
    try:
        request = SweepRequest(
            source=source,
            dims=check_dims(cast("list[int]", _numbers(dims)), chosen.dim),
            ks=check_ks(cast("list[int]", _numbers(ks))),
            metric=metric,
            recipe=recipe,
            n_queries=n_queries,
            seed=seed,
        )
    except EngineError as error:
        st.error(sentence(error))
        return
    jobs.start_sweep(request)
    state.fold_new_sweep()
    st.rerun()


def _numbers(entries: Sequence[object]) -> list[object]:
    """Turn typed-in digits into ascending numbers and leave words for the engine to refuse by name."""
    numbers = [int(entry) if isinstance(entry, str) and entry.strip().isdecimal() else entry for entry in entries]
    return sorted(numbers, key=lambda entry: (not isinstance(entry, int), entry if isinstance(entry, int) else 0))
