"""What the Queries page looks at: a dimension, how many results count, and by which measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from engine.tradeoff import default_criterion
from pages.shell import state
from pages.shell.choices import choose_k, choose_quantity, quantities

if TYPE_CHECKING:
    from engine.tradeoff import Quantity
    from pages.shell.explore.frame import Opened


@dataclass(frozen=True, kw_only=True)
class Looked:
    """The choice of the reader."""

    dim: int
    k: int
    quantity: Quantity


def query_controls(opened: Opened) -> Looked:
    """Draw the controls; the URL keeps all of them, and k and criterion are those of the Sweep page."""
    sweep = opened.sweep
    dims = list(sweep.dims[:-1] or sweep.dims)
    measures = quantities(has_judgements=sweep.has_judgements)
    for key, options in ((state.DIM_KEY, dims), (state.K_KEY, list(sweep.ks)), (state.CRITERION_KEY, measures)):
        state.settle_choice(key, options)
    left, middle, right = st.columns([1.6, 1.2, 1.2], gap="medium", vertical_alignment="bottom")
    if len(dims) > 1:
        dim = left.select_slider(
            f"Dimension, beside the full {sweep.dims[-1]:,}",
            dims,
            None if state.DIM_KEY in st.session_state else opened.dim,
            format_func=lambda dim: f"{dim:,}",
            key=state.DIM_KEY,
            bind="query-params",
        )
    else:
        dim = dims[0]
        left.markdown(f"Dimension: **{dim:,}**")
    with middle:
        k = choose_k(sweep.ks, default=default_criterion(sweep).k)
    with right:
        quantity = choose_quantity(
            "Measure",
            has_judgements=sweep.has_judgements,
            help="recall: neighbours of the full dimension that are still found. nDCG: against the relevance "
            "judgements.",
        )
    return Looked(dim=int(dim), k=k, quantity=quantity)
