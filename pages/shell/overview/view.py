"""The first screen of the Overview: how far the migration is, alerts, what to do now, and the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.shell import frame
from pages.shell.following import follow
from pages.shell.text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from engine.present.journey import Action, Figure, Journey
    from engine.present.journey.results import StepState
    from pages.shell.services import Services

    Colour = Literal["green", "blue", "gray", "red"]

MARKS: Mapping[StepState, tuple[Colour, str]] = {
    "done": ("green", ":material/check_circle:"),
    "rehearsed": ("gray", ":material/science:"),
    "under way": ("blue", ":material/play_circle:"),
    "stopped": ("red", ":material/error:"),
    "next": ("blue", ":material/arrow_circle_right:"),
    "waiting": ("gray", ":material/radio_button_unchecked:"),
    "left out": ("gray", ":material/do_not_disturb_on:"),
}
"""How a step is marked: by colour, by symbol, and always by its word too."""

_MOST_IN_A_ROW = 4


def head(journey: Journey) -> None:
    """State the decision that the migration rests on, on whose data, and how far along the path it is."""
    with st.container(gap="xsmall", key="overview_head"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.title(_title(journey), anchor=False, width="content")
            for label in _labels(journey):
                st.badge(plain(label), color="gray", icon=":material/science:")
        st.markdown(_path_in_a_line(journey))


def alerts(journey: Journey) -> None:
    """Show what somebody must know; the kill switch has a banner of its own on every page."""
    for place, one in enumerate(one for one in journey.alerts if one.kind != "kill switch"):
        said = kept_together(one.sentence) + "".join(f" ({plain(label)})" for label in one.labels)
        with st.container(key=f"overview_alert_{place}", gap="xsmall"):
            if one.severity == "critical":
                st.error(said, icon=":material/error:")
            else:
                st.warning(said, icon=":material/warning:")


def next_step(journey: Journey) -> None:
    """Say where the current step stands and what is missing, and offer to do it; nothing in an empty workspace."""
    if journey.is_empty:
        return
    step = journey.current
    with st.container(border=True, key="overview_next", gap="small"):
        st.markdown(f"**{_what_is_next(journey)}**")
        st.markdown(kept_together(step.sentence))
        if journey.missing:
            st.markdown("\n".join(f"- Missing: {kept_together(one)}" for one in journey.missing))
        with st.container(horizontal=True):
            # One primary button a screen: where nothing was tried yet, that is the demonstration's.
            go_button(journey.next_action, key="next_action", kind="secondary" if journey.is_untried else "primary")
            if journey.other_action is not None:
                go_button(journey.other_action, key="other_action")


def figures(journey: Journey) -> None:
    """Show the headline figures, each with its interval, a few in a row."""
    shown = journey.figures
    if not shown:
        return
    st.header("In numbers", anchor=False)
    width = 3 if len(shown) % 3 == 0 else _MOST_IN_A_ROW
    for start in range(0, len(shown), width):
        with st.container(horizontal=True, gap="small", key=f"figures_{start}"):
            for figure in shown[start : start + width]:
                _card(figure)


def go_button(action: Action, *, key: str, kind: Literal["primary", "secondary", "tertiary"] = "secondary") -> None:
    """Draw a button that leads to the page of `action`, where the app has that page."""
    if not frame.is_listed(action.page):
        return
    if st.button(action.label, key=key, type=kind, icon=frame.icon_of(action.page)):
        frame.go_to(action.page, action.query)


def kept_together(words: str) -> str:
    """Return a sentence as plain text whose numbers keep their unit on one line."""
    return plain(words, longest=2000).replace(" \\%", "\u00a0\\%")


def newest_change(shared: Services) -> tuple[int, str]:
    """Return what tells whether anything of the workspace has changed: the newest audit event and the newest run."""
    workspace = shared.workspace
    return workspace.audit_head(), next((run.id for run in workspace.runs(limit=1)), "")


def watch_changes(drawn: tuple[int, str]) -> None:
    """Draw the page anew when anybody, also another process, has changed or stored something since `drawn`."""
    seq, run = drawn
    # A run stored elsewhere waits for the poll: to ask for it is too slow for many times a second.
    follow(drawn, newest_change, at_once=lambda shared: (max(seq, shared.flags.snapshot().audit_seq), run))


def _title(journey: Journey) -> str:
    return "From full vectors to fewer dimensions" if journey.is_empty else journey.headline


def _labels(journey: Journey) -> tuple[str, ...]:
    demonstrated = ("demonstration",) if journey.demonstration != "no" else ()
    return (*demonstrated, *(label for label in journey.step("data").labels))


def _path_in_a_line(journey: Journey) -> str:
    marks = []
    for step in journey.steps:
        colour, symbol = MARKS[step.state]
        marks.append(f":{colour}-badge[{symbol} {plain(step.title)}]")
    return " :gray[→] ".join(marks)


def _what_is_next(journey: Journey) -> str:
    step = journey.current
    if step.key == "decision" and step.state == "stopped":  # by what was measured, and nobody broke anything
        return "Step 3 of 7, Decision: no smaller dimension is shown to be safe"
    place = f"Step {journey.steps.index(step) + 1} of {len(journey.steps)}, {step.title}"
    return {
        "done": "Done",
        "rehearsed": f"{place}: rehearsed{' on example data' if journey.is_example else ''}, not done yet",
        "under way": f"{place}: under way",
        "stopped": f"{place}: stopped, and somebody has to look",
        "next": f"{place}: next",
        "waiting": place,
        "left out": place,
    }[step.state]


def _card(figure: Figure) -> None:
    labels = f" ({', '.join(figure.labels)})" if figure.labels else ""
    with st.container(border=True, height="stretch", gap="xxsmall", key=f"figure_{figure.key}"):
        st.metric(plain(figure.name + labels), figure.text, help=plain(figure.explained) if figure.explained else None)
        st.caption(plain(figure.below))
