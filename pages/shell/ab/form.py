"""The form of a simulated A/B test: from a preset, on plain numbers or on a stored sweep, with faults if wanted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError
from engine.experiment.faults import Fault
from engine.experiment.presets import presets
from engine.experiment.settings import parse_stages
from engine.experiment.traffic_settings import MOST_DAYS, MOST_ROWS, MOST_USERS, ArmNumbers
from pages.shell.ab import testing as ab_testing
from pages.shell.ab.ramp import ramp_field
from pages.shell.company.allowed import shown
from pages.shell.services import services
from pages.shell.text import local_time, plain, sentence, told_apart

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from engine.experiment.presets import Preset
    from engine.workspace import Run
    from pages.shell.ab.testing import ExperimentRequest

FIRST_PRESET = "768 of 3072"
"""What a new installation shows."""

_NUMBERS, _SWEEP = "Plain numbers", "A stored sweep"
_FIELDS: tuple[tuple[str, str, float, str], ...] = (
    ("ctr", "CTR, %", 100.0, "%.3f"),
    ("conversion", "Conversion, %", 100.0, "%.3f"),
    ("error_rate", "Errors, %", 100.0, "%.3f"),
    ("p50_ms", "p50, ms", 1.0, "%.1f"),
    ("p99_ms", "p99, ms", 1.0, "%.1f"),
)
_FAULTS: Mapping[str, Fault] = {
    "Latency × 2": Fault(kind="latency", amount=2.0),
    "Clicks −8 %": Fault(kind="clicks", amount=-0.08),
    "Errors +2 points": Fault(kind="errors", amount=0.02),
    "10 % of the reduced arm's users lost": Fault(kind="lost users", amount=0.1),
    "5 % of users see both arms": Fault(kind="both arms", amount=0.05),
    "A bot that never clicks": Fault(kind="silent bot", amount=20_000),
}
_DATED = {"latency", "clicks", "errors"}
_DAY = 5


def simulation() -> ExperimentRequest | None:
    """Offer the form of a simulation; return what was asked for in this run of the page."""
    offered = {preset.name: preset for preset in presets()}
    name = st.segmented_control(
        "Start from", list(offered), default=FIRST_PRESET, required=True, key="ab_preset", wrap=True
    )
    preset = offered[name]
    st.caption(plain(preset.summary))
    source = st.segmented_control(
        "Clicks come from",
        [_NUMBERS, _SWEEP],
        default=_NUMBERS,
        required=True,
        key="ab_source",
        help="Plain numbers: rates that you state for each arm. A stored sweep: each arm shows its own ranked lists, "
        "and what the reduced arm loses follows from them.",
    )
    run, dims = ground("ab") if source == _SWEEP else (None, {})
    if source == _SWEEP and run is None:
        return None
    arms = {name: _arm(name, preset, fields) for name, fields in _stated(run).items()}
    given = _traffic(preset, f"{dims['treatment_dim']}-of-{dims['control_dim']}" if dims else preset.settings.key)
    faults = _faults(preset)
    days = _fault_days(preset) if any(fault.kind in _DATED for fault in faults) else {}
    if not st.button(
        "Run", type="primary", icon=":material/play_arrow:", key="run_simulation", **shown("job", "start")
    ):
        return None
    try:
        traffic = replace(
            preset.settings,
            control=ArmNumbers(**arms["control"]),
            treatment=ArmNumbers(**arms["treatment"]),
            faults=tuple(replace(fault, **days) if fault.kind in _DATED else fault for fault in faults),
            **{**given, "ramp": parse_stages(given["ramp"])},
            **dims,
        )
        return ab_testing.simulated(traffic, run)
    except EngineError as error:
        st.error(sentence(error))
        return None


def ground(where: str) -> tuple[Run | None, dict[str, int]]:
    """Let the reader choose a stored sweep and the two dimensions whose lists are shown; None without a sweep."""
    runs = {run.id: run for run in services().workspace.runs(kind="sweep")}
    if not runs:
        st.info("No sweep is stored in this workspace yet: run one on the Sweep page.", icon=":material/inventory_2:")
        return None, {}
    left, middle, right = st.columns([2, 1, 1], gap="medium")
    zone = st.context.timezone
    titles = told_apart({run_id: _sweep_title(run, zone) for run_id, run in runs.items()})
    run_id = left.selectbox("Sweep", list(runs), format_func=titles.__getitem__, key=f"{where}_sweep")
    run = runs[run_id]
    dims = [int(dim) for dim in run.parameters["dims"]]
    recommended = (run.summary.get("recommendation") or {}).get("dim")
    wanted = recommended if recommended in dims[:-1] else dims[max(0, len(dims) - 2)]
    control = middle.selectbox("Control dimension", dims, index=len(dims) - 1, key=f"{where}_control_dim_{run_id}")
    treatment = right.selectbox(
        "Reduced dimension", dims, index=dims.index(wanted), key=f"{where}_treatment_dim_{run_id}"
    )
    return run, {"control_dim": control, "treatment_dim": treatment}


def _sweep_title(run: Run, zone: str | None) -> str:
    facts = run.dataset
    size = f"{facts.get('n_docs', 0):,} × {facts.get('dim', 0):,}"
    return f"{facts.get('name', 'Unnamed set')} · {size} · {local_time(run.created_at, zone)}"


def _stated(run: Run | None) -> dict[str, tuple[str, ...]]:
    """Return what is stated of each arm: clicks of the reduced arm follow from a sweep, and measured latency too."""
    every = tuple(field for field, *_ in _FIELDS)
    if run is None:
        return {"control": every, "treatment": every}
    if ab_testing.measured_latency(run) is None:
        return {"control": every, "treatment": ("error_rate", "p50_ms", "p99_ms")}
    return {"control": ("ctr", "conversion", "error_rate", "p99_ms"), "treatment": ("error_rate",)}


def _arm(name: str, preset: Preset, stated: tuple[str, ...]) -> dict[str, float]:
    """Let the reader state what one arm is like; what follows from a sweep is not asked."""
    numbers = preset.settings.control if name == "control" else preset.settings.treatment
    title = {"control": "Control: all dimensions", "treatment": "Treatment: reduced dimension"}[name]
    missing = len(_FIELDS) - len(stated)
    st.markdown(f"**{title}**" + (" :gray[the rest follows from the sweep]" if missing else ""))
    given = {}
    for column, (field, label, unit, form) in zip(st.columns(len(_FIELDS)), _FIELDS, strict=True):
        usual = getattr(numbers, field)
        given[field] = usual
        if field in stated:
            shown = column.number_input(
                label,
                min_value=0.0,
                max_value=100.0 if unit > 1 else None,
                value=usual * unit,
                step=1.0,
                format=form,
                key=f"ab_{name}_{field}_{preset.name}",
            )
            given[field] = as_stated(shown, usual, unit)
    return given


def as_stated(shown: float, usual: float, unit: float) -> float:
    """Return what a field of `unit` says: the usual value itself unless edited, as 100 * x / 100 need not be x."""
    return usual if shown == usual * unit else shown / unit


def _traffic(preset: Preset, key: str) -> dict[str, Any]:
    usual = preset.settings
    st.markdown("**Traffic**")
    first, second, third = st.columns(3)
    n_users = first.number_input("Users", 2, MOST_USERS, usual.n_users, 1000, key=f"ab_users_{preset.name}")
    percent = first.number_input(
        "Reduced arm, % of users", 0.0, 100.0, usual.percent, 5.0, key=f"ab_percent_{preset.name}"
    )
    queries = second.number_input(
        "Queries a day", 1, MOST_ROWS, usual.queries_per_day, 1000, key=f"ab_queries_{preset.name}"
    )
    name = second.text_input(
        "Key", key, max_chars=200, key=f"ab_key_{key}", help="Names the test, and assigns its users to their arms."
    )
    n_days = third.number_input("Days", 1, MOST_DAYS, usual.n_days, key=f"ab_days_{preset.name}")
    seed = third.number_input(
        "Seed",
        0,
        2**31,
        usual.seed,
        key=f"ab_seed_{preset.name}",
        help="Draws users, clicks and, on a sweep, which queries are popular: try several, since few queries carry "
        "most of the traffic.",
    )
    ramp = ramp_field(first, key=f"ab_ramp_{preset.name}", usual=usual.ramp)
    return {
        "ramp": ramp,
        "n_users": int(n_users),
        "queries_per_day": int(queries),
        "n_days": int(n_days),
        "percent": float(percent),
        "key": name,
        "seed": int(seed),
    }


def _faults(preset: Preset) -> tuple[Fault, ...]:
    """Let the reader break the reduced arm, to see whether the read-out notices."""
    present = {fault.kind for fault in preset.settings.faults}
    st.markdown("**Break something**")
    with st.container(horizontal=True, gap="medium"):
        return tuple(
            fault
            for label, fault in _FAULTS.items()
            if st.checkbox(label, fault.kind in present, key=f"ab_fault_{fault.kind}_{preset.name}")
        )


def _fault_days(preset: Preset) -> dict[str, int | None]:
    """Let the reader say when latency, clicks and errors are broken: for good, or for a burst of days."""
    begun = max((fault.first_day for fault in preset.settings.faults), default=_DAY)
    with st.container(horizontal=True, gap="medium"):
        first = st.number_input(
            "From day",
            0,
            MOST_DAYS,
            begun,
            width=160,
            key=f"ab_fault_day_{preset.name}",
            help="Counted from 0, the first day: when latency, clicks and errors begin to break.",
        )
        last = st.number_input(
            "To day",
            0,
            MOST_DAYS,
            None,
            width=160,
            placeholder="the end",
            key=f"ab_fault_end_{preset.name}",
            help="The last day of a burst; without it they stay broken.",
        )
    return {"first_day": int(first), "last_day": None if last is None else int(last)}
