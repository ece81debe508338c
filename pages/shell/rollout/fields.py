"""The editable tables and numbers of a rollout: schedule, thresholds and traffic; the engine checks what they hold."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import streamlit as st

from engine.errors import ParameterError
from engine.rollout import Limit, Schedule, Stage, Thresholds
from engine.rollout.thresholds import METRIC_NAMES, METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streamlit.delta_generator import DeltaGenerator

    from engine.rollout.thresholds import Metric
    from engine.rollout.traffic_days import Traffic

_MOST_USERS = 10**10
_MOST_QUERIES = 10**12

# Field, label and help of the shares, typed in percent, and of the hours that a monitor is told.
_SHARES = (
    ("confidence", "No false alert with, %", "Over all looks, metrics and windows of a rollout together."),
    ("rollback_confidence", "No false rollback with, %", "Over all looks, metrics and windows together."),
    ("day_spread", "Days differ by, %", "For reasons outside the rollout; it widens comparisons with stored days."),
    ("user_correlation", "Queries of a user are alike by, %", "The intra-class correlation; it widens every interval."),
)
_HOURS = (
    ("cool_down_hours", "Cool-down, hours", "An alert that paused the rollout does not pause it again so soon."),
    ("missing_after_hours", "Data is missing after, hours", "Silence of an arm is an alert of its own."),
    ("latest_hours", "Latest window, hours", "Judged alone beside the whole stage, to see a sudden fault."),
)
# Field, label, step and help of the whole numbers that a monitor is told.
_WHOLE = (
    ("looks", "Looks to allow for", 1, "One a day; the promise above holds for as many."),
    ("breaches", "Breaches in a row for an alert", 1, "So many looks in a row must agree."),
    ("rollback_breaches", "Breaches in a row for a rollback", 1, "So many looks in a row must agree."),
    ("min_users", "Fewest users an arm", 100, "Below, the stage reads not enough data."),
    ("min_queries", "Fewest queries an arm", 100, "Below, the stage reads not enough data."),
    ("min_errors", "Fewest errors", 1, "Below, the error rate reads not enough data."),
)


def schedule_fields(base: Schedule, *, mark: str) -> Schedule:
    """Draw the schedule as a table of days and percentages, and return it. Raises ParameterError."""
    number = st.column_config.NumberColumn
    rows = st.data_editor(
        [{"day": stage.day, "percent": stage.percent, "name": stage.name} for stage in base.stages],
        key=f"schedule_{mark}",
        num_rows="dynamic",
        hide_index=True,
        column_config={
            "day": number("Day", format="%.4g", help="Days of running since the start; whole hours such as 0.5."),
            "percent": number("Percent of users", format="%.6g", help="Rising, at most 100, in steps of 0.001."),
            "name": st.column_config.TextColumn("Name (optional)", max_chars=80),
        },
    )
    holdback = st.number_input(
        "Holdback, percent",
        value=float(base.holdback_percent),
        step=1.0,
        format="%.6g",
        key=f"holdback_{mark}",
        width=200,
        help="Users who stay in control through 100 %, to compare with; the ones that would come in last.",
    )
    return schedule_of(rows, holdback_percent=float(holdback or 0.0))


def schedule_of(rows: Sequence[Mapping[str, Any]], *, holdback_percent: float) -> Schedule:
    """Return the schedule that a table holds; rows without day and percent do not count. Raises ParameterError."""
    stages = []
    for number, row in enumerate(rows, 1):
        day, percent, name = _number(row.get("day")), _number(row.get("percent")), row.get("name")
        if day is None and percent is None:
            continue
        if day is None or percent is None:
            lacking = "no day" if day is None else "no percentage"
            raise ParameterError("every stage has a day and a percentage", found=f"{lacking} in row {number}")
        stages.append(Stage(day=day, percent=percent, name=name.strip() if isinstance(name, str) else ""))
    return Schedule(stages=tuple(stages), holdback_percent=holdback_percent)


def thresholds_fields(base: Thresholds, *, mark: str) -> Thresholds:
    """Draw the thresholds of every metric and how sure the monitor must be. Raises ParameterError."""
    number = st.column_config.NumberColumn
    rows = st.data_editor(
        [_limit_row(base, name) for name in METRICS],
        key=f"limits_{mark}",
        hide_index=True,
        disabled=["metric"],
        column_config={
            "metric": st.column_config.TextColumn("Metric"),
            "alert": number("Alert beyond, %", format="%.4g", help="Change for the worse; empty for no alert."),
            "severity": st.column_config.SelectboxColumn(
                "The alert is", options=["warning", "critical"], required=True, help="Critical pauses the rollout."
            ),
            "roll_back": number("Roll back beyond, %", format="%.4g", help="Empty for never."),
            "is_gate": st.column_config.CheckboxColumn(
                "Gate", help="The next stage waits until there is enough data to show such a change."
            ),
        },
    )
    limits: dict[str, Any] = {name: limit_of(row, METRIC_NAMES[name]) for name, row in zip(METRICS, rows, strict=True)}
    return replace(base, **limits, **_monitor_numbers(base, mark))


def limit_of(row: Mapping[str, Any], metric: str) -> Limit:
    """Return the thresholds that a row holds. Raises ParameterError that names the metric."""
    alert, roll_back = _number(row.get("alert")), _number(row.get("roll_back"))
    try:
        return Limit(
            alert=None if alert is None else alert / 100,
            severity=cast("Any", row.get("severity")),
            roll_back=None if roll_back is None else roll_back / 100,
            is_gate=bool(row.get("is_gate")),
        )
    except ParameterError as error:
        raise ParameterError(f"{metric}: {error.rule}", found=error.found, hint=error.hint) from None


def traffic_fields(base: Traffic, *, mark: str) -> Traffic:
    """Ask for the traffic that the rollout will see. Raises ParameterError."""
    left, middle, right = st.columns(3)
    queries = left.number_input(
        "Queries a day", 1, _MOST_QUERIES, base.queries_a_day, 100_000, format="%d", key=f"queries_{mark}"
    )
    users = middle.number_input("Different users", 1, _MOST_USERS, base.users, 10_000, format="%d", key=f"users_{mark}")
    p99 = right.number_input("p99 latency, ms", 0.001, 1e9, base.p99_ms, 10.0, format="%.6g", key=f"p99_{mark}")
    ctr = left.number_input("CTR, %", 0.0, 100.0, 100 * base.ctr, 1.0, format="%.6g", key=f"ctr_{mark}")
    errors = middle.number_input(
        "Error rate, %", 0.0, 100.0, 100 * base.error_rate, 0.1, format="%.6g", key=f"errors_{mark}"
    )
    spread = right.number_input(
        "Spread from day to day, %",
        0.0,
        200.0,
        100 * base.day_spread,
        1.0,
        format="%.6g",
        key=f"spread_{mark}",
        help="How much days differ for reasons outside the rollout, in both arms alike.",
    )
    return replace(
        base,
        queries_a_day=int(queries),
        users=int(users),
        p99_ms=float(p99),
        ctr=float(ctr) / 100,
        error_rate=float(errors) / 100,
        day_spread=float(spread) / 100,
    )


def _limit_row(base: Thresholds, metric: Metric) -> dict[str, object]:
    limit = base.limit(metric)
    return {
        "metric": METRIC_NAMES[metric],
        "alert": None if limit.alert is None else round(100 * limit.alert, 6),
        "severity": limit.severity,
        "roll_back": None if limit.roll_back is None else round(100 * limit.roll_back, 6),
        "is_gate": limit.is_gate,
    }


def _monitor_numbers(base: Thresholds, mark: str) -> dict[str, Any]:
    cells = _cells()
    found: dict[str, Any] = {}
    for fields, unit in ((_SHARES, 100.0), (_HOURS, 1.0)):
        for name, label, text in fields:
            value = round(unit * float(getattr(base, name)), 6)
            typed = next(cells).number_input(
                label, value=value, step=1.0, format="%.6g", key=f"{name}_{mark}", help=text
            )
            found[name] = float(typed or 0.0) / unit
    for name, label, step, text in _WHOLE:
        value = int(getattr(base, name))
        typed = next(cells).number_input(label, value=value, step=step, key=f"{name}_{mark}", help=text)
        found[name] = int(typed or 0)
    found["pauses_when_missing"] = st.toggle(
        "Missing data pauses the rollout", base.pauses_when_missing, key=f"pauses_when_missing_{mark}"
    )
    return found


def _cells() -> Iterator[DeltaGenerator]:
    """Give three places a row, without end: on a narrow screen they keep their order."""
    while True:
        yield from st.columns(3)


def _number(cell: Any) -> float | None:
    """Return a number, None for a cell that was left empty: new rows come as None or NaN."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    return float(cell)
