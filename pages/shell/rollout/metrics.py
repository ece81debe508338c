"""The metrics of a rollout over time: what the monitor read at every look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import rollout_metrics as charts
from engine.experiment.wording import as_start
from engine.rollout.thresholds import METRIC_NAMES, METRICS
from pages.shell import figures
from pages.shell.rollout import view as rollout_view
from pages.shell.services import services
from pages.shell.text import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.rollout import LookPoint, Replay, RolloutControl, RolloutStatus
    from engine.rollout.monitor_results import WindowName

_WINDOWS: Mapping[str, WindowName] = {"latest day": "latest", "stage so far": "stage"}


def show(status: RolloutStatus, replay: Replay) -> None:
    """Draw every metric with what it is compared with, thresholds and intervals, and what the monitor says now."""
    key = f"{services().workspace.id}/{status.rollout.key}/{services().workspace.audit_head()}/{status.now}"
    has_begun = status.rollout.started_at is not None
    points = _series(key, services().rollouts, status.rollout.key) if has_begun else ()
    if not points:
        how = "Step the simulated clock." if status.rollout.is_simulated else "Append observations in the tab Data."
        how = how if has_begun else "It has not been started."
        st.info(f"Nothing has been observed yet. {how}", icon=":material/query_stats:")
        return
    window = st.segmented_control(
        "Window",
        list(_WINDOWS),
        default="latest day",
        required=True,
        key="metric_window",
        help="The monitor judges both: the latest day sees a sudden fault, the whole stage a small one.",
    )
    colours, at = figures.colours(), rollout_view.zone()
    for metric in METRICS:
        name = METRIC_NAMES[metric]
        st.subheader(as_start(name), anchor=False)
        figures.show(
            charts.metric_chart(
                points, metric, colours=colours, zone=at, window=_WINDOWS[window], labels=status.labels
            ),
            alt=charts.describe_metric(points, metric, zone=at, window=_WINDOWS[window]),
            key=f"{metric}_chart",
        )
    last = next((entry.sentences for entry in reversed(replay.entries) if entry.sentences), ())
    title, sentences = ("said last", last) if status.report is None else ("says now", status.report.sentences)
    with st.expander(f"What the monitor {title}", icon=":material/monitor_heart:"):
        st.markdown("\n".join(f"- {plain(words, longest=900)}" for words in sentences))
    st.caption(
        "Bars are intervals that allow for every look of the rollout. Lines end where a stage ends: shares change, and "
        "pooling over two stages can turn the sign of a difference."
    )


@st.cache_resource(max_entries=16, show_spinner=False)
def _series(key: str, _control: RolloutControl, rollout: str) -> tuple[LookPoint, ...]:  # noqa: ARG001  # the lookup
    return _control.series(rollout)
