"""The thresholds of a read-out: change them and the same events are read again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError
from engine.experiment.settings import METRICS, Margin, metric_name, parse_stages
from engine.experiment.wording import as_start
from pages.shell.ab import events as ab_events
from pages.shell.ab import view as ab_view
from pages.shell.ab.form import as_stated
from pages.shell.ab.ramp import ramp_field
from pages.shell.text import sentence

if TYPE_CHECKING:
    from engine.experiment.results import Analysis
    from engine.experiment.settings import AnalysisSettings
    from engine.workspace import Run

_PER = 10_000


def read_again(found: Analysis, run: Run) -> Analysis:
    """Offer the thresholds; return the read-out under them, or the stored one when they are its own or refused."""
    popover = st.popover("Thresholds", icon=":material/tune:", key="ab_thresholds", width="stretch")
    with popover:
        try:
            settings = _settings(found, run)
        except EngineError as error:
            st.error(sentence(error))
            return found
    if settings == found.settings:
        return found
    try:
        return ab_events.read_again(run, found, settings)
    except EngineError as error:
        st.error(sentence(error))
        return found


def notice(stored: Analysis, found: Analysis) -> None:
    """Say when the read-out is not the stored one."""
    if found.settings != stored.settings:
        st.caption(
            f":material/tune: Read with your thresholds. With the stored ones it is {ab_view.chip(stored.verdict)}; "
            "store this reading to give others its address."
        )


def _settings(found: Analysis, run: Run) -> AnalysisSettings:
    """Let the reader edit what the stored read-out was made with. Raises ParameterError."""
    st.caption("The largest loss that you accept. Reading again takes the events as they are; nothing is simulated.")
    margins = _margins(found, run)
    levels = _levels(found, run)
    typed = ramp_field(key=f"ab_ramp_{run.id}", usual=found.settings.stages, seen=found.detected_stages)
    offered = [*(one.key for one in found.metrics), *(one.key for one in found.latencies if one.is_judged)]
    names = {key: as_start(metric_name(key)) for key in offered or found.settings.judged}
    judged = st.multiselect(
        "The overall verdict counts",
        list(names),
        [key for key in found.settings.judged if key in names],
        format_func=lambda key: names[key],
        key=f"ab_judged_{run.id}",
    )
    st.button("Back to the stored thresholds", icon=":material/undo:", key="ab_reset", on_click=_reset, args=(run.id,))
    kept = [key for key in found.settings.judged if key in judged or key not in names]
    counted = (*kept, *(key for key in judged if key not in kept))
    return replace(found.settings, **margins, **levels, stages=parse_stages(typed), judged=counted)


def _margins(found: Analysis, run: Run) -> dict[str, Margin]:
    settings = found.settings
    fields = [*METRICS, "latency"]
    given: dict[str, Margin] = {}
    columns = st.columns(2)
    for place, name in enumerate(fields):
        margin: Margin = getattr(settings, name)
        label = "Latency" if name == "latency" else as_start(metric_name(name))
        relative = columns[place % 2].number_input(
            f"{label}, %",
            value=100 * margin.relative,
            step=0.5,
            format="%.2f",
            key=f"ab_margin_{name}_{run.id}",
        )
        given[name] = replace(margin, relative=as_stated(relative, margin.relative, 100))
    absolute = columns[len(fields) % 2].number_input(
        f"Errors, or in {_PER:,} queries",
        value=_PER * settings.error_rate.absolute,
        step=1.0,
        format="%.1f",
        key=f"ab_absolute_{run.id}",
        help="The larger of the two margins counts: from no error at all to one is an infinite relative increase.",
    )
    given["error_rate"] = replace(given["error_rate"], absolute=as_stated(absolute, settings.error_rate.absolute, _PER))
    return given


def _levels(found: Analysis, run: Run) -> dict[str, float]:
    settings = found.settings
    left, right = st.columns(2)
    alpha = left.number_input(
        "alpha, one-sided",
        value=settings.alpha,
        step=0.01,
        format="%.3f",
        key=f"ab_alpha_{run.id}",
        help="How often a loss of the whole margin may be called safe.",
    )
    confidence = right.number_input(
        "Interval, %", value=100 * settings.confidence, step=1.0, format="%.1f", key=f"ab_confidence_{run.id}"
    )
    crossed = left.number_input(
        "Users of both arms, % at most",
        value=100 * settings.max_multi_exposure,
        step=0.5,
        format="%.2f",
        key=f"ab_crossed_{run.id}",
    )
    speedup = right.number_input(
        "Speed-up hoped for, ×",
        value=settings.expected_speedup,
        step=0.5,
        format="%.1f",
        key=f"ab_speedup_{run.id}",
        help="What the reduced arm should gain in p99 latency; whether it does is said and changes no verdict.",
    )
    return {
        "alpha": alpha,
        "expected_speedup": speedup,
        "confidence": as_stated(confidence, settings.confidence, 100),
        "max_multi_exposure": as_stated(crossed, settings.max_multi_exposure, 100),
    }


def _reset(run_id: str) -> None:
    for key in [key for key in st.session_state if str(key).startswith("ab_") and str(key).endswith(f"_{run_id}")]:
        del st.session_state[key]
