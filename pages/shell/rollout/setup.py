"""Planning a rollout: flag, clock, schedule, thresholds and traffic, what they promise, and the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError
from engine.flags import Flag
from engine.rollout import DEFAULT_SCHEDULE, SimulationSettings, Thresholds
from engine.rollout.traffic_days import Traffic
from pages.shell.company.allowed import shown
from pages.shell.flags import actor as flags_actor
from pages.shell.flags import state as flags_state
from pages.shell.rollout import fields as rollout_fields
from pages.shell.rollout import preflight as rollout_preflight
from pages.shell.services import services
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.flags import FlagSnapshot
    from engine.rollout import RolloutStatus
    from pages.shell.flags.state import RolloutSetting

REHEARSAL = "rehearsal"
"""The flag that rehearsals ramp unless told otherwise: no client asks for it."""

SIMULATED, REAL = "Simulated clock", "Real time"

_MARK = "new"


def show(known: Sequence[RolloutStatus]) -> None:
    """Draw the plan of a new rollout from top to bottom, the pre-flight before the start."""
    st.header("A new rollout", anchor=False)
    is_simulated = _clock()
    snapshot = services().flags.snapshot()
    flag_key, treatment = _flag(snapshot, is_simulated=is_simulated)
    _warn_of_simulated_time(flag_key, snapshot, is_simulated=is_simulated)
    try:
        schedule_at, thresholds_at, traffic_at = st.tabs(["Schedule", "Thresholds", "Traffic"], key="setup_tabs")
        with schedule_at:
            schedule = rollout_fields.schedule_fields(DEFAULT_SCHEDULE, mark=_MARK)
        with thresholds_at:
            thresholds = rollout_fields.thresholds_fields(Thresholds(), mark=_MARK)
        with traffic_at:
            traffic = rollout_fields.traffic_fields(Traffic(), mark=_MARK)
    except EngineError as error:
        st.error(sentence(error))
        return
    setting = flags_state.RolloutSetting(schedule=schedule, thresholds=thresholds, traffic=traffic)
    rollout_preflight.show(setting)
    _start(setting, known, flag_key, treatment, is_simulated=is_simulated)


def free_key(flag_key: str, known: Sequence[RolloutStatus]) -> str:
    """Return a name for a rollout on the flag that no rollout has yet."""
    taken = {status.rollout.key for status in known}
    number = 1
    while f"{flag_key}-{number}" in taken:
        number += 1
    return f"{flag_key}-{number}"


def _clock() -> bool:
    chosen = st.segmented_control(
        "Time",
        [SIMULATED, REAL],
        default=SIMULATED,
        required=True,
        key="setup_clock",
        help="Simulated: step through the days here, with simulated traffic and faults of your choice. Real time: the "
        "monitor waits for your observations, and the days take as long as days take.",
    )
    return chosen == SIMULATED


def _flag(snapshot: FlagSnapshot, *, is_simulated: bool) -> tuple[str, str | None]:
    """Ask which flag and which of its variants; a rehearsal has a flag of its own unless another one is chosen."""
    driven = {key for key, flag in snapshot.flags.items() if flag.driven_by is not None}
    keys = [key for key in snapshot.flags if key not in driven and key != REHEARSAL]
    preferred = "use_reduced_dims"
    keys.sort(key=lambda key: (key != preferred, key))
    if is_simulated and REHEARSAL not in driven:
        keys.insert(0, REHEARSAL)
    left, right = st.columns(2)
    if not keys:
        st.info("Every flag is driven by a rollout already: complete or roll back one of them first.")
        st.stop()
    key = left.selectbox(
        "Flag to ramp", keys, key=f"setup_flag_{is_simulated}", format_func=lambda key: _flag_name(key, snapshot)
    )
    flag = snapshot.flags.get(key)
    unsafe = ["on"] if flag is None else [name for name in flag.variants if name != flag.safe_variant]
    treatment = right.selectbox(
        "Variant that grows", unsafe, key=f"setup_variant_{key}", help="The others keep the safe variant, the control."
    )
    return key, treatment


def _flag_name(key: str, snapshot: FlagSnapshot) -> str:
    return f"{key} (made for rehearsals)" if key == REHEARSAL and key not in snapshot.flags else key


def _warn_of_simulated_time(flag_key: str, snapshot: FlagSnapshot, *, is_simulated: bool) -> None:
    if is_simulated and flag_key == REHEARSAL:
        st.caption(
            f":material/science: Everything is simulated: time, traffic and faults. It ramps the flag {REHEARSAL}, "
            "which no client of yours asks for."
        )
    elif is_simulated:
        other = snapshot.flags.get(REHEARSAL)
        is_taken = other is not None and other.driven_by is not None
        how = f"wait until the rollout of {REHEARSAL} has ended" if is_taken else f"choose the flag {REHEARSAL}"
        st.warning(
            f"Time and traffic are simulated, but flag **{plain(flag_key)}** is the real one: clients that read it see "
            f"every step. To try things out, {how}.",
            icon=":material/warning:",
        )


def _start(
    setting: RolloutSetting,
    known: Sequence[RolloutStatus],
    flag_key: str,
    treatment: str | None,
    *,
    is_simulated: bool,
) -> None:
    first = f"{setting.schedule.share_percent(0):g} %"
    st.subheader("Start", anchor=False)
    with st.form("start_form", border=False):
        name, why = st.columns([1, 2])
        key = name.text_input(
            "Name", free_key(flag_key, known), key=f"setup_key_{flag_key}_{len(known)}", max_chars=100
        )
        reason = why.text_input("Why?", key="setup_reason", max_chars=400, placeholder="A/B test safe at 768 dims")
        is_automatic = st.toggle(
            "Advance by itself when the day has come and nothing stands against it", key="setup_automatic"
        )
        with st.container(horizontal=True):
            labels = (f"Start at {first}", "Save as a draft")
            starts = st.form_submit_button(
                labels[0], type="primary", icon=":material/rocket_launch:", key="start", **shown("rollout", "start")
            )
            saves = st.form_submit_button(
                labels[1], icon=":material/draft:", key="save_draft", **shown("rollout", "create")
            )
    if not (starts or saves):
        return
    ramp = _Ramp(key=key, flag_key=flag_key, treatment=treatment, is_simulated=is_simulated, is_automatic=is_automatic)
    flags_actor.attempt("rollout", lambda: _make(ramp, setting, reason, starts=starts))
    st.rerun()


@dataclass(frozen=True, kw_only=True)
class _Ramp:
    """What is ramped, under which name and by which clock."""

    key: str
    flag_key: str
    treatment: str | None
    is_simulated: bool
    is_automatic: bool


def _make(ramp: _Ramp, setting: RolloutSetting, reason: str, *, starts: bool) -> RolloutStatus:
    """Make the draft and start it when asked to; a start that is refused leaves the draft."""
    who, control = flags_actor.actor(), services().rollouts
    if ramp.flag_key == REHEARSAL:
        _make_rehearsal_flag(who)
    made = control.create(
        **vars(ramp), schedule=setting.schedule, thresholds=setting.thresholds, actor=who, reason=reason
    )
    flags_state.open_rollout(ramp.key)
    rollout_preflight.keep_as_evidence(setting, ramp.key)
    if ramp.is_simulated:
        services().simulated.set(ramp.key, SimulationSettings(traffic=setting.traffic), actor=who)
    return control.start(ramp.key, actor=who, reason=reason) if starts else made


def _make_rehearsal_flag(who: str) -> None:
    """Make the flag for rehearsals, or set it back to 0 % for another one."""
    store = services().flags
    present = store.snapshot().flags.get(REHEARSAL)
    if present is not None:
        if present.driven_by is None and present.percent:
            store.set(
                present.with_percent(0),
                expected_version=present.version,
                actor=who,
                reason="another rehearsal begins",
                action="set percentage",
            )
        return
    flag = Flag(
        key=REHEARSAL,
        kind="boolean",
        variants={"on": True, "off": False},
        default_variant="off",
        safe_variant="off",
        description="Ramped by rehearsals on simulated time; no client asks for it",
    )
    store.set(flag.with_percent(0), expected_version=0, actor=who, reason="for rehearsals", action="create")
