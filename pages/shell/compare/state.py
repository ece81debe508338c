"""Which runs the Compare page sets side by side, at which k and in which quantity; the address keeps all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.tradeoff.run_comparison import MOST_RUNS, compare_runs
from pages.shell import state
from pages.shell.choices import choose_k, choose_quantity, quantities
from pages.shell.services import services
from pages.shell.sweep import run_lists

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.tradeoff import Quantity
    from engine.tradeoff.run_comparison import RunComparison
    from engine.workspace import Run, Workspace

RUNS_KEY = "runs"
"""Also the name in the URL."""


def chosen_runs() -> tuple[dict[str, Run], tuple[str, ...]]:
    """Return the sweeps to choose from and the ids that are chosen.

    At first the run that this tab looks at, else the newest, and beside it the newest of another data set.
    """
    asked = run_lists.asked_runs(RUNS_KEY)
    offered = run_lists.offered_sweeps(asked)
    if not asked and RUNS_KEY not in st.session_state and len(offered) > 1:
        asked = _usual(offered)
        run_lists.open_runs(RUNS_KEY, asked)
    return offered, asked


def controls(offered: Mapping[str, Run], asked: Sequence[str]) -> int | None:
    """Draw the choice of runs and of k; return k, None where the runs have none in common."""
    left, right = st.columns([3, 1], gap="medium")
    with left:
        run_lists.choose_runs(
            "Runs",
            offered,
            key=RUNS_KEY,
            most=MOST_RUNS,
            placeholder="Choose two runs or more",
            explained="The first is what the others are compared with. Take it out and choose it again to put it last.",
        )
    ks = _common_ks(offered, asked)
    with right:
        if len(ks) < 2:
            return ks[0] if ks else None
        state.settle_choice(state.K_KEY, ks)
        nearest_10 = min(ks, key=lambda one: (abs(one - 10), one))
        return choose_k(ks, default=nearest_10, help="How many results count; those that every run swept.")


def quantity_control(found: RunComparison) -> Quantity:
    """Draw the choice of what is compared, where every run has judgements."""
    if "ndcg" not in found.quantities:
        return "recall"
    state.settle_choice(state.CRITERION_KEY, quantities(has_judgements=True))
    return choose_quantity(
        "Measure",
        has_judgements=True,
        help="recall: what each run keeps of its own full dimension. nDCG: how well each answers, against the "
        "relevance judgements.",
    )


def compared(run_ids: Sequence[str], k: int | None) -> RunComparison:
    """Return the runs side by side. Raises EngineError as `compare_runs` does."""
    workspace = services().workspace
    return _compared(f"{workspace.id}/{','.join(run_ids)}/{k}", workspace, tuple(run_ids), k)


def _usual(offered: Mapping[str, Run]) -> tuple[str, str]:
    seen = state.asked_run()
    first = offered[seen] if seen in offered else next(iter(offered.values()))
    others = [run for run in offered.values() if run.id != first.id]
    of_others = (run for run in others if run.dataset.get("sha256") != first.dataset.get("sha256"))
    return first.id, next(of_others, others[0]).id


def _common_ks(offered: Mapping[str, Run], asked: Sequence[str]) -> list[int]:
    swept = [set(offered[run_id].parameters.get("ks", ())) for run_id in asked if run_id in offered]
    return sorted(set.intersection(*swept)) if swept else []


@st.cache_resource(max_entries=8, show_spinner="Comparing")
def _compared(key: str, _workspace: Workspace, _run_ids: tuple[str, ...], _k: int | None) -> RunComparison:  # noqa: ARG001  # what the cache looks up
    return compare_runs(_workspace, _run_ids, k=_k)
