"""One slide on a screen: the way back and on, the words, the figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts.enlarging import enlarged
from pages.shell import figures, frame, state
from pages.shell.runs import choose_run, run_id_field
from pages.shell.slides import stage as slides_stage
from pages.shell.slides import state as slides_state
from pages.shell.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from engine.charts import Palette
    from engine.present.report.blocks import Chart
    from engine.present.slides import Slide
    from engine.workspace import Run
    from pages.shell.slides.stage import Screen

_CHOSEN = "slide_chosen"
_NARROW_PX = 640
_READ_AT_PX = 860
"""The width of a window from which charts are drawn larger than on the other pages."""
_PER_HEIGHT, _LARGEST = 1.35, 2.2
"""Letters are as many times as large as this times the height, but never larger than that."""
_BARS_PX = 130
_WORDS_OF_WIDTH = 0.16
"""What headline and line beneath take of the height, as a share of the width that their letters grow with."""
_LEAST_SHARE = 0.8
"""No chart is made less tall than so much of its usual height."""


def controls(run: Run | None, slides: Sequence[Slide], place: int) -> None:
    """Draw the row above a slide: back, on, where we are, and what there is beside it."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="slide_bar"):
        if slides:
            _step("Back", "Left", slides, place - 1, key="slide_back")
            _step("Next", "Right", slides, place + 1, key="slide_next")
        label = f"{place + 1} / {len(slides)}" if slides else "Run"
        with st.popover(label, icon=":material/view_list:", type="tertiary", key="slide_menu"):
            choose_run(run)
            run_id_field()
            if slides:
                _chooser(slides, place)
        if st.button("Leave", icon=":material/close:", type="tertiary", key="slide_leave"):
            frame.go_to("report", None if run is None else {state.RUN_KEY: run.id})


def draw(slides: Sequence[Slide], place: int) -> None:
    """Draw the slide at `place`: its words, then its figure, as large as the screen allows."""
    missed = slides_state.missed(slides)
    if missed:
        said = f"There is no slide named {plain(missed, longest=100)}; the first one is shown instead."
        st.warning(said, icon=":material/link_off:")
    one, colours = slides[place], figures.colours()
    screen = slides_stage.show(one, colours, on_step=slides_state.stepper(slides, place))
    if one.chart is not None:
        figures.show(_fitted(one.chart, colours, screen), alt=one.chart.description, key=f"slide_{one.key}")


def _step(label: str, shortcut: str, slides: Sequence[Slide], to: int, *, key: str) -> None:
    is_there = 0 <= to < len(slides)
    st.button(
        label,
        shortcut=shortcut,
        key=key,
        disabled=not is_there,
        on_click=slides_state.go_to,
        args=(slides[to].key if is_there else "",),
    )


def _chooser(slides: Sequence[Slide], place: int) -> None:
    titles = {one.key: f"{number} · {one.headline}" for number, one in enumerate(slides, 1)}
    st.session_state[_CHOSEN] = slides[place].key  # whoever changed the slide
    st.selectbox("Slide", list(titles), format_func=titles.__getitem__, key=_CHOSEN, on_change=_go_to_chosen)
    st.caption("Keys: ← and →, Page Up and Page Down, Home and End; F11 fills the screen.")


def _go_to_chosen() -> None:
    slides_state.go_to(st.session_state[_CHOSEN])


def _fitted(chart: Chart, colours: Palette, screen: Screen) -> go.Figure:
    """Draw `chart` so that it fills what the words leave of the screen."""
    figure = chart.draw(colours)
    if screen.width < _NARROW_PX:
        return figure
    usual = float(figure.layout.height)
    left = screen.height - _BARS_PX - _WORDS_OF_WIDTH * screen.width
    height = max(left, _LEAST_SHARE * usual)
    # Letters grow with the height too, or those of charts with many rows would run into each other.
    factor = min(screen.width / _READ_AT_PX, _PER_HEIGHT * height / usual, _LARGEST)
    return enlarged(figure, factor=max(factor, 1.0), height=int(height))
