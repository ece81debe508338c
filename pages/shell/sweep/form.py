"""The form of a new sweep."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import streamlit as st

from engine.embeddings import METRICS, RECIPES
from engine.errors import EngineError, ParameterError
from engine.tradeoff import check_dims, check_ks, default_dims
from pages.shell import jobs, state
from pages.shell.company.allowed import shown
from pages.shell.sweep.sweeping import SweepRequest, scheduler, scheduler_for, sources
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.embeddings import EmbeddingSet
    from pages.shell.sweep.sweeping import Source

RECIPE_NAMES = {"prefix": "prefix: the first d components", "layer_norm": "layer-norm first, then the prefix (nomic)"}

_DEFAULT_KS = (1, 10, 100)
_WHOLE = re.compile(r"[+-]?\d+")
_MOST_DIGITS = 9


def new_sweep() -> None:
    """Offer the form behind a button; it opens by itself for a set that another page sends here."""
    state.settle(state.NEW_SWEEP_KEY)
    popover = st.popover(
        "New sweep", type="primary", icon=":material/add:", key=state.NEW_SWEEP_KEY, on_change="rerun", width="stretch"
    )
    if popover.open:
        with popover:
            _form()


def _form() -> None:
    offered = sources()
    state.settle(state.SOURCE_KEY)
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
    _say_where(chosen)
    # Text, since a multiselect completes what is typed: 2 would become 20.
    dims = st.text_input(
        "Dimensions to try",
        _listed(default_dims(chosen.dim)),
        key=f"dims_{key}",
        help=f"Whole numbers up to {chosen.dim:,}, with commas between. The full dimension is always measured.",
    )
    ks = st.text_input(
        "k", _listed(_DEFAULT_KS), key="ks", help="How many results count: whole numbers, with commas between."
    )
    _submit(source, chosen, dims=dims, ks=ks)


def _say_where(chosen: EmbeddingSet) -> None:
    """Say who will sweep, where a cluster is configured."""
    address = scheduler()
    if address is None:
        return
    if scheduler_for(chosen) is None:
        st.caption("Swept on this machine: the vectors are in memory, and a cluster reads files.")
    else:
        st.caption(f"Swept on the Dask cluster at {plain(address)}, whose workers read the file.")


def _submit(source: Source, chosen: EmbeddingSet, *, dims: str, ks: str) -> None:
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
    if not st.button("Run sweep", type="primary", width="stretch", key="run_sweep", **shown("job", "start")):
        return
    try:
        request = SweepRequest(
            source=source,
            dims=check_dims(cast("list[int]", _numbers(dims, "dims")), chosen.dim),
            ks=check_ks(cast("list[int]", _numbers(ks, "the values of k"))),
            metric=metric,
            recipe=recipe,
            n_queries=n_queries,
            seed=seed,
        )
    except EngineError as error:
        st.error(sentence(error))
        return
    jobs.start_sweep(request)
    state.set_next(state.NEW_SWEEP_KEY, False)
    st.rerun()


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers)


def _numbers(typed: str, what: str) -> list[object]:
    """Turn typed-in digits into ascending numbers and leave words for the engine to refuse by name."""
    entries = [entry for entry in re.split(r"[\s,;]+", typed) if entry]
    whole = [entry for entry in entries if _WHOLE.fullmatch(entry)]
    for entry in whole:
        if len(entry) > _MOST_DIGITS:  # Python itself refuses to read thousands of digits
            raise ParameterError(f"{what} must have at most {_MOST_DIGITS} digits each", found=entry)
    words = [entry for entry in entries if entry not in whole]
    return [*sorted(int(entry) for entry in whole), *words]
