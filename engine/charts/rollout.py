"""The timeline of a rollout: the share of users as it went and as it is planned, now, the stages and the pauses."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from engine.charts import parts
from engine.charts.theme import FONT, translucent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime, tzinfo
    from typing import Literal

    import plotly.graph_objects as go

    from engine.charts.theme import Palette
    from engine.rollout.history import HistoryEntry
    from engine.rollout.status import RolloutStatus, StageView

_HEIGHT_PX = 270
_TOP = 140
"""Of the share's axis: above 100 %, its label and then the day of the line for now have room, one below the other."""
_DAY = timedelta(days=1)
_CHANGES_THE_SHARE = {"start", "advance", "roll back"}
_ROOM = 0.06  # of the time shown, so that the last stage is seen to last


def timeline_chart(
    status: RolloutStatus, history: Sequence[HistoryEntry], *, colours: Palette, zone: tzinfo = UTC
) -> go.Figure:
    """Draw the share of users in treatment as it went and as it is planned, with now, every stage and every pause.

    Moments are drawn as clocks in `zone` show them.
    """
    figure = parts.new_figure(colours, height=_HEIGHT_PX, legend_px=70)
    pauses = list(_pauses(history, status))
    for began, ended in pauses:
        _add_pause(figure, wall(began, zone), wall(ended, zone), colours=colours)
    lines = (
        ("planned", _ahead(status), "dot", colours.muted),
        ("so far", _past(history, status), "solid", colours.accent),
    )
    for name, points, dash, colour in lines:
        figure.add_scatter(
            x=[wall(at, zone) for at, _ in points],
            y=[share for _, share in points],
            mode="lines",
            name=name,
            line={"shape": "hv", "color": colour, "width": 2.5, "dash": dash},
            hoverinfo="skip",
            showlegend=bool(points),
        )
    if pauses:
        _add_pause_legend(figure, colours=colours)
    _add_stages(figure, status, zone, colours=colours)
    if status.rollout.schedule.holdback_percent:
        _add_holdback(figure, status, colours=colours)
    _add_now(figure, status, zone, colours=colours)
    time_axis(figure, zone, labels=status.labels)
    figure.update_yaxes(range=[-4, _TOP], tickvals=[0, 25, 50, 75, 100], title_text="Users in treatment (%)")
    return figure


def describe_timeline(status: RolloutStatus, *, zone: tzinfo = UTC) -> str:
    """Say in words what the timeline shows."""
    told = "; ".join(f"{stage.share_percent:g} %, {_when(stage, zone)}" for stage in status.stages)
    simulated = " on simulated time" if status.rollout.is_simulated else ""
    slept = status.rollout.paused + (
        timedelta(0) if status.rollout.paused_at is None else status.now - status.rollout.paused_at
    )
    paused = f" Paused for {slept / _DAY:,.1f} days in all." if slept else ""
    return (
        f"Share of users in treatment{simulated}: {status.percent:g} % on day {status.day:,.1f}, "
        f"{written_moment(status.now, zone)}. Stages: {told}.{paused}"
    )


def time_axis(figure: go.Figure, zone: tzinfo, *, labels: Sequence[str]) -> None:
    """Lay moments across, and say in which zone, and that they are simulated where they are."""
    shown = [str(zone), *(parts.escaped(label) for label in labels)]
    figure.update_xaxes(type="date", title_text=f"Time ({', '.join(shown)})", nticks=8)


def wall(moment: datetime, zone: tzinfo) -> datetime:
    """Return `moment` as a clock on the wall in `zone` shows it: Plotly knows no time zones."""
    return moment.astimezone(zone).replace(tzinfo=None)


def written_moment(moment: datetime, zone: tzinfo) -> str:
    """Write a moment as ``4 Dec 2026, 18:35``."""
    local = wall(moment, zone)
    return f"{local.day} {local:%b %Y, %H:%M}"


def _past(history: Sequence[HistoryEntry], status: RolloutStatus) -> list[tuple[datetime, float]]:
    """Return every moment at which the share changed, and the last one until which that is known."""
    steps = [(entry.at, entry.percent) for entry in history if entry.action in _CHANGES_THE_SHARE]
    if not steps:
        return []
    until = max(steps[-1][0], status.rollout.ended_at or status.now)
    return [(steps[0][0], 0.0), *steps, (until, steps[-1][1])]


def _ahead(status: RolloutStatus) -> list[tuple[datetime, float]]:
    coming = [
        (stage.begins_at, stage.share_percent)
        for stage in status.stages
        if stage.state == "ahead" and stage.begins_at is not None
    ]
    if not coming:
        return []
    room = max(_ROOM * (coming[-1][0] - status.now), timedelta(hours=6))
    return [(status.now, status.percent), *coming, (coming[-1][0] + room, coming[-1][1])]


def _pauses(history: Sequence[HistoryEntry], status: RolloutStatus) -> Iterator[tuple[datetime, datetime]]:
    began: datetime | None = None
    for entry in history:
        if entry.action == "pause":
            began = entry.at
        elif began is not None and entry.action in {"resume", "roll back"}:
            yield began, entry.at
            began = None
    if began is not None:
        yield began, status.now


def _add_pause(figure: go.Figure, began: datetime, ended: datetime, *, colours: Palette) -> None:
    figure.add_vrect(
        x0=began,
        x1=ended,
        fillcolor=translucent(colours.undecided, 0.18),
        line={"width": 1, "color": colours.undecided, "dash": "dot"},
        layer="below",
        name="paused",
    )


def _add_pause_legend(figure: go.Figure, *, colours: Palette) -> None:
    """Name the pauses: most are too short for a word beside them, and shapes have no place in a legend."""
    figure.add_scatter(
        x=[None],
        y=[None],
        mode="markers",
        name="paused",
        marker={
            "symbol": "square",
            "size": 12,
            "color": translucent(colours.undecided, 0.18),
            "line": {"width": 1, "color": colours.undecided},
        },
    )


def _add_stages(figure: go.Figure, status: RolloutStatus, zone: tzinfo, *, colours: Palette) -> None:
    known = [(stage, stage.begins_at) for stage in status.stages if stage.begins_at is not None]
    figure.add_scatter(
        x=[wall(at, zone) for _, at in known],
        y=[stage.share_percent for stage, _ in known],
        mode="markers+text",
        name="stages",
        text=[f"{stage.share_percent:g} %" for stage, _ in known],
        textposition="top center",
        textfont={"size": 12, "color": colours.text, "family": FONT},
        cliponaxis=False,
        marker={
            "opacity": 1,
            "size": [12 if stage.state == "now" else 9 for stage, _ in known],
            "symbol": ["diamond" if stage.state == "now" else "circle" for stage, _ in known],
            "color": [colours.background if stage.state == "ahead" else colours.accent for stage, _ in known],
            "line": {"width": 1.5, "color": colours.accent},
        },
        hovertext=[
            f"<b>{parts.escaped(stage.label)}</b>, day {stage.day:g} of the schedule<br>"
            f"{stage.share_percent:g} % of the users, {_when(stage, zone)}"
            for stage, _ in known
        ],
        hoverinfo="text",
        showlegend=False,
    )


def _add_holdback(figure: go.Figure, status: RolloutStatus, *, colours: Palette) -> None:
    figure.add_hline(
        y=100 - status.rollout.schedule.holdback_percent,
        line={"color": colours.muted, "width": 1, "dash": "dash"},
        name="holdback",
        annotation={
            "text": "holdback above",
            "font": {"size": 12, "color": colours.muted, "family": FONT},
            "x": 0.3,
            "xanchor": "center",
        },
    )


def _add_now(figure: go.Figure, status: RolloutStatus, zone: tzinfo, *, colours: Palette) -> None:
    ended = status.rollout.ended_at
    now = wall(ended or status.now, zone)
    figure.add_vline(x=now, line={"color": colours.text, "width": 1.5}, name="now")
    label = f"{'now' if ended is None else 'ended'}, day {status.day:,.1f}"
    shift = 6 if status.day < status.rollout.schedule.last_day / 2 else -6
    _add_note(figure, label, x=now, y=1, anchor="top", colour=colours.text, shift=shift)


def _add_note(
    figure: go.Figure,
    text: str,
    *,
    x: datetime,
    y: float,
    anchor: Literal["top", "bottom"],
    colour: str,
    shift: int = 0,
) -> None:
    figure.add_annotation(
        text=text,
        x=x,
        y=y,
        yref="paper",
        xanchor="left" if shift > 0 else "right" if shift < 0 else "center",
        yanchor=anchor,
        xshift=shift,
        showarrow=False,
        font={"size": 12, "color": colour, "family": FONT},
    )


def _when(stage: StageView, zone: tzinfo) -> str:
    when = "" if stage.begins_at is None else f"{written_moment(stage.begins_at, zone)} "
    return f"{when}({stage.state})"
