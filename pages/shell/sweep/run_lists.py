"""Choose several runs, which the address keeps by their ids with commas between."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import RunNotFoundError
from pages.shell import state
from pages.shell.runs import title_of
from pages.shell.services import services
from pages.shell.text import told_apart

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from engine.workspace import Run

_CHOICE = "_chosen_"
_LONGEST_LIST = 400


def asked_runs(key: str) -> tuple[str, ...]:
    """Return the ids that the address or this tab asks for under `key`."""
    asked = str(st.session_state.get(key) or "") if key in st.session_state else st.query_params.get(key, "")
    return tuple(dict.fromkeys(one.strip() for one in asked.split(",") if one.strip()))


def open_runs(key: str, run_ids: Sequence[str]) -> None:
    """Ask for these runs from now on; to be called before the page draws their field."""
    state.open_bound(key, ",".join(run_ids))


def offered_sweeps(asked: Collection[str]) -> dict[str, Run]:
    """Return the newest sweeps, newest first, and those of `asked` that are older, by their ids."""
    workspace = services().workspace
    offered = {run.id: run for run in workspace.runs(kind="sweep")}
    for run_id in asked:
        with suppress(RunNotFoundError):  # whoever asks for it says so when it is opened
            if run_id not in offered and (run := workspace.run(run_id)).kind == "sweep":
                offered[run_id] = run
    return offered


def choose_runs(
    label: str, offered: Mapping[str, Run], *, key: str, most: int, explained: str, placeholder: str
) -> None:
    """Offer the runs `offered`, in whatever order they are chosen; what is chosen is asked for under `key`."""
    zone = st.context.timezone
    titles = told_apart({run_id: title_of(run, zone) for run_id, run in offered.items()})
    # The list follows the address, whoever changed it.
    st.session_state[_CHOICE + key] = [run_id for run_id in asked_runs(key) if run_id in offered][:most]
    st.multiselect(
        label,
        list(offered),
        format_func=lambda run_id: titles[run_id],
        key=_CHOICE + key,
        max_selections=most,
        on_change=_take_choice,
        args=(key,),
        placeholder=placeholder,
        help=explained,
        wrap=True,
    )


def runs_field(label: str, key: str) -> None:
    """Show the ids, which the URL carries; others open other runs."""
    st.text_input(
        label,
        key=key,
        bind="query-params",
        max_chars=_LONGEST_LIST,
        help="Ids with commas between; part of this page's address.",
    )


def _take_choice(key: str) -> None:
    open_runs(key, st.session_state[_CHOICE + key])
