"""The pre-flight: what a setting promises before it starts, in sentences, and beside another setting."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import rollout_preflight as charts
from engine.errors import EngineError
from engine.experiment.wording import as_start
from engine.present.runbook import note_preflight
from engine.rollout.preflight import compare_preflights, preflight
from pages.shell import figures
from pages.shell.flags import actor as flags_actor
from pages.shell.flags import state as flags_state
from pages.shell.services import services
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from engine.rollout.preflight_results import Preflight
    from pages.shell.flags.state import RolloutSetting

_SIMULATIONS = 1000
_PRESENT, _KEPT = "this setting", "the kept setting"


def show(setting: RolloutSetting) -> None:
    """Say what can go wrong with `setting` and how likely that is; beside the kept setting where there is one."""
    st.subheader("Pre-flight", anchor=False)
    st.caption(
        f"{_SIMULATIONS:,} simulated rollouts with your traffic, schedule and thresholds, by the monitor's own rules. "
        "In brackets 95 % intervals."
    )
    try:
        present = _preflight(setting)
        kept = flags_state.kept_setting()
        before = None if kept is None or kept == setting else _preflight(kept)
    except EngineError as error:
        st.error(sentence(error))
        return
    _sentences(present)
    named = {_PRESENT: present} if before is None else {_KEPT: before, _PRESENT: present}
    figures.show(
        charts.chances_chart(named, colours=figures.colours()), alt=charts.describe_chances(named), key="chances_chart"
    )
    _keep(setting, kept)
    if before is not None:
        _compare(before, present)
    with st.expander("What this assumes", icon=":material/rule:"):
        exposed = "Whoever is in treatment when a fault is caught counts as exposed to it."
        st.markdown("\n".join(f"- {plain(words)}" for words in (*present.assumptions, exposed)))


def keep_as_evidence(setting: RolloutSetting, rollout: str) -> None:
    """Have the runbook keep what stood here when `rollout` got `setting`; nothing where that could not be simulated."""
    try:
        made = _preflight(setting)
    except EngineError:
        return  # said on the page
    note_preflight(services().rollouts, rollout, made, actor=flags_actor.actor())


def _sentences(found: Preflight) -> None:
    for one in found.scenarios:
        name = one.scenario.name
        told = plain(one.sentence.removeprefix(f"{name}: "), longest=900).replace(" \\%", "\u00a0\\%")
        st.markdown(f"**{plain(as_start(name))}:** {told}")
    for words in found.advice:
        st.warning(plain(words, longest=900), icon=":material/lightbulb:")


def _keep(setting: RolloutSetting, kept: RolloutSetting | None) -> None:
    with st.container(horizontal=True):
        if st.button(
            "Keep, to compare another setting with it",
            key="keep_setting",
            icon=":material/compare_arrows:",
            disabled=kept == setting,
        ):
            flags_state.keep_setting(setting)
            st.rerun()
        if kept is not None and st.button("Compare no more", key="drop_setting", icon=":material/close:"):
            flags_state.keep_setting(None)
            st.rerun()
    if kept == setting:
        st.caption("Kept. Change schedule, thresholds or traffic above, and both stand here beside each other.")


def _compare(before: Preflight, present: Preflight) -> None:
    try:
        compared = compare_preflights(before, present)
    except EngineError as error:
        st.info(sentence(error))
        return
    clear = compared.sentences or ("Nothing differs by more than chance.",)
    st.markdown("**What clearly differs**, first the kept setting, second this one:")
    st.markdown("\n".join(f"- {plain(words)}" for words in clear))


def _preflight(setting: RolloutSetting) -> Preflight:
    key = json.dumps([setting.schedule.as_json(), setting.thresholds.as_json(), str(setting.traffic)], sort_keys=True)
    return _cached(key, setting)


@st.cache_resource(max_entries=32, show_spinner="Simulating rollouts")
def _cached(key: str, _setting: RolloutSetting) -> Preflight:  # noqa: ARG001  # what the cache looks up
    return preflight(_setting.schedule, _setting.traffic, _setting.thresholds, n_simulations=_SIMULATIONS)
