"""The form of a real log: a file or a path, what its columns hold, and which variation is which arm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from engine.embeddings.paths import resolve_below
from engine.errors import EngineError
from engine.experiment.log_columns import LATENCY_UNITS, REQUIRED, LogColumns, LogUnits
from engine.experiment.logs import check_choices, log_columns
from engine.experiment.settings import parse_stages
from pages.shell import state
from pages.shell.ab import testing as ab_testing
from pages.shell.ab.ramp import ramp_field
from pages.shell.company.allowed import shown
from pages.shell.services import data_root
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import BytesIO

    from engine.experiment.log_columns import LatencyUnit, LogCandidates
    from pages.shell.ab.testing import ExperimentRequest

_UPLOAD, _PATH = "Upload", "Path"
_ROLES: Mapping[str, str] = {
    "user_id": "User",
    "timestamp": "Time",
    "variation_id": "Variation",
    "experiment_id": "Experiment",
    "clicked": "Clicked",
    "converted": "Converted",
    "error": "Error",
    "latency_ms": "Latency",
    "results": "Number of results",
    "segment": "Segment",
}
_UNIT_NAMES: Mapping[LatencyUnit, str] = {"ms": "milliseconds", "s": "seconds", "us": "microseconds"}
_NONE = "none"
_FORGETS: Any = {"on_change": state.set_notice, "args": ("experiment", None)}
"""For the fields that choose the log: how the last one ended says nothing of another."""


def log() -> ExperimentRequest | None:
    """Offer the form of a log; return what was asked for in this run of the page."""
    st.caption(
        "A row is an exposure or a query: user, time, variation, and what is known of it (clicked, converted, error, "
        "latency, results). CSV or Parquet. The events stay in this tab; only the read-out is stored."
    )
    place = st.segmented_control(
        "Log", [_UPLOAD, _PATH], default=_UPLOAD, required=True, key="ab_log_place", label_visibility="collapsed"
    )
    try:
        source = _uploaded() if place == _UPLOAD else _below_root()
        if source is None:
            return None
        # The root goes along with a path, so that nothing else is opened than what lies below it by then.
        below = Path(data_root() or "") if isinstance(source, Path) else None
        offered = log_columns(source, below=below)
    except EngineError as error:
        st.error(sentence(error))
        return None
    name = source.name
    columns = _columns(offered, name)
    units = _units(offered, columns, name)
    names = _variations(name)
    left, right, _ = st.columns(3)
    share = left.number_input(
        "Users meant for the treatment, %",
        0.0,
        100.0,
        50.0,
        5.0,
        key=f"ab_log_share_{name}",
        help="The split that was intended: the check of the split compares with it.",
    )
    ramp = ramp_field(right, key=f"ab_log_ramp_{name}")
    if not st.button("Run", type="primary", icon=":material/play_arrow:", key="run_log", **shown("job", "start")):
        return None
    try:
        check_choices(source, columns=columns, units=units, below=below)
        options = {"below": below, "columns": columns, "units": units, "treatment_share": share / 100, **names}
        return ab_testing.logged(source, stages=parse_stages(ramp), **options)
    except EngineError as error:
        st.error(sentence(error))
        return None


def _uploaded() -> BytesIO | None:
    return st.file_uploader("Log", key="ab_log_file", label_visibility="collapsed", **_FORGETS)


def _below_root() -> Path | None:
    root = data_root()
    if root is None:
        st.info(
            "Large logs are read from the server's disk, in pieces. To allow it, start Dimshift with "
            "`DIMSHIFT_DATA_ROOT` set to the folder that may be read.",
            icon=":material/folder_off:",
        )
        return None
    st.caption(f"Paths start at {plain(root)}")
    typed = st.text_input("Path of the log", key="ab_log_path", max_chars=1000, **_FORGETS)
    return resolve_below(root, typed) if typed else None


def _columns(offered: LogCandidates, name: str) -> LogColumns:
    """Let the reader correct what each column is taken for; names that fit stand chosen."""
    st.markdown("**Columns**")
    chosen: dict[str, str | None] = {}
    cells = st.columns(5)
    for place, (role, label) in enumerate(_ROLES.items()):
        taken = getattr(offered.columns, role)
        unsure = offered.ambiguous.get(role) or offered.missing.get(role) or ()
        options = [*([] if role in REQUIRED else [_NONE]), *offered.names]
        known = taken if taken is not None else None if role in REQUIRED else _NONE
        value = cells[place % 5].selectbox(
            label,
            options,
            index=None if known is None else options.index(known),
            placeholder="Choose",
            key=f"ab_log_{role}_{name}",
            help=None if not unsure else f"Could be {plain(', '.join(unsure))}.",
        )
        chosen[role] = None if value in {None, _NONE} else value
    return LogColumns(**chosen)


def _units(offered: LogCandidates, columns: LogColumns, name: str) -> LogUnits:
    """Ask for the unit of the latency: a name may tell it, numbers do not."""
    if columns.latency_ms is None:
        return LogUnits()
    told = offered.latency_unit if columns.latency_ms == offered.columns.latency_ms else None
    unit = st.segmented_control(
        f"Latency in {plain(columns.latency_ms)} is in",
        list(LATENCY_UNITS),
        format_func=lambda unit: _UNIT_NAMES[unit],
        default=told,
        key=f"ab_log_unit_{name}_{columns.latency_ms}",
    )
    return LogUnits(latency=unit)


def _variations(name: str) -> dict[str, str | None]:
    left, middle, right = st.columns(3)
    typed = {
        "control": left.text_input(
            "Control is called",
            key=f"ab_log_control_{name}",
            placeholder="told from the names",
            max_chars=200,
            help="The variation of the full dimension, as the log names it.",
        ),
        "treatment": middle.text_input(
            "Treatment is called", key=f"ab_log_treatment_{name}", placeholder="the other one", max_chars=200
        ),
        "experiment_id": right.text_input(
            "Experiment", key=f"ab_log_experiment_{name}", placeholder="the only one", max_chars=200
        ),
    }
    return {role: text or None for role, text in typed.items()}
