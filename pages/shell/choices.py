"""What several pages let the reader choose in the same way, and keep in the address: k, and recall or nDCG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.shell import state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.tradeoff import Quantity

_RECALL, _NDCG = "recall", "nDCG"


def choose_k(ks: Sequence[int], *, default: int, help: str = "How many results count.") -> int:  # noqa: A002  # Streamlit's name
    """Let the reader choose one of `ks`."""
    chosen = st.segmented_control(
        "k", list(ks), default=default, required=True, key=state.K_KEY, bind="query-params", wrap=True, help=help
    )
    return int(chosen)


def quantities(*, has_judgements: bool) -> list[str]:
    """Return what there is to choose from: nDCG takes relevance judgements."""
    return [_RECALL, _NDCG] if has_judgements else [_RECALL]


def choose_quantity(label: str, *, has_judgements: bool, help: str) -> Quantity:  # noqa: A002  # Streamlit's name
    """Let the reader choose what is looked at."""
    chosen = st.segmented_control(
        label,
        quantities(has_judgements=has_judgements),
        default=_RECALL,
        required=True,
        key=state.CRITERION_KEY,
        bind="query-params",
        help=help,
    )
    return "ndcg" if chosen == _NDCG else "recall"
