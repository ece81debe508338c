"""Which slide the Present page shows: the one in the address, else the first; and how to get to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.present.slides import slides_of
from pages.shell.services import services
from pages.shell.slides import stage as slides_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.present.slides import Slide
    from engine.workspace import Run, Workspace

SLIDE_KEY = "slide"
"""Its name in the URL."""
_KEPT_S = 60.0
"""Rollouts on real time go on while nothing is written, so slides of a moment ago are told anew."""


def slides_for(run: Run) -> tuple[Slide, ...]:
    """Return the slides of a sweep as the workspace tells them now. Raises WorkspaceError."""
    workspace = services().workspace
    newest = next(iter(workspace.runs(limit=1)), None)
    told = f"{workspace.id}/{run.id}/{workspace.audit_head()}/{'' if newest is None else newest.id}"
    return _slides(told, workspace, run.id)


def shown(slides: Sequence[Slide]) -> int:
    """Return the place of the slide that the address names; the first where it names none of them."""
    asked = st.query_params.get(SLIDE_KEY, "")
    return next((place for place, one in enumerate(slides) if one.key == asked), 0)


def missed(slides: Sequence[Slide]) -> str:
    """Return the slide that the address asks for when there is none of that name; empty otherwise."""
    asked = st.query_params.get(SLIDE_KEY, "")
    return "" if any(one.key == asked for one in slides) else asked


def go_to(key: str) -> None:
    """Show the slide `key` from now on."""
    st.query_params[SLIDE_KEY] = key


def stepper(slides: Sequence[Slide], place: int) -> Callable[[], None]:
    """Return what moves from the slide at `place` the way that the pressed clicker says."""
    keys = [one.key for one in slides]

    def move() -> None:
        way = slides_stage.step()
        places = {"next": place + 1, "back": place - 1, "first": 0, "last": len(keys) - 1}
        if way in places:
            go_to(keys[min(max(places[way], 0), len(keys) - 1)])

    return move


@st.cache_resource(max_entries=4, ttl=_KEPT_S, show_spinner=False)
def _slides(key: str, _workspace: Workspace, run_id: str) -> tuple[Slide, ...]:  # noqa: ARG001  # what the cache looks up
    return slides_of(_workspace, run_id)
