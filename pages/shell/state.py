"""Everything a browser tab remembers, behind typed functions: no page touches raw session keys."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import streamlit as st

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.embeddings import EmbeddingSet, Health
    from engine.experiment.events import Events
    from engine.flags import Flag
    from engine.rollout import Rollout, Schedule, Thresholds
    from engine.rollout.traffic_days import Traffic
    from pages.shell.loading import Loading, Question, Slot

Purpose = Literal["sweep", "load", "explore", "experiment", "flags", "rollout", "migration"]
Place = Literal["bundled", "tab", "workspace"]
Confirmation = Literal["kill", "roll back"]

RUN_KEY = "run"
"""Also the name in the URL, as are the next three."""
CRITERION_KEY = "criterion"
K_KEY = "k"
TARGET_KEY = "target"
NEW_SWEEP_KEY = "new_sweep"
SOURCE_KEY = "sweep_source"
NEW_TEST_KEY = "new_test"

DIM_KEY = "dim"
"""The dimension that the Queries page looks at; also its name in the URL."""

FLAG_KEY = "flag"
"""The flag that the Feature flags page edits; also its name in the URL."""

ROLLOUT_KEY = "rollout"
"""The rollout that the Rollout page shows; also its name in the URL."""

_OWNER = "_owner"
_HELD = "_held"
_LOADING = "_loading"
_QUESTION = "_question"
_SLOT = "_slot"
_JOBS = "_jobs_"
_NOTICE = "_notice_"
_FOLD = "_fold"
_FOLD_TEST = "_fold_test"
_AT_HAND = "_at_hand"
_FAILURES = "_failures"
_EXPERIMENT = "_experiment"
_EVENTS = "_events"
_ACTOR = "_actor"
_ASKED = "_asked"
_EDITED = "_edited_flag"
_EDITED_ROLLOUT = "_edited_rollout"
_SETS_UP = "_sets_up_rollout"
_OPENED = "_opened_rollout"
_KEPT = "_kept_setting"


@dataclass(frozen=True, eq=False, kw_only=True)
class HeldSet:
    """The data set open in this tab with its health, and where it can be found again."""

    embedding_set: EmbeddingSet
    health: Health
    place: Place


@dataclass(frozen=True, kw_only=True)
class Notice:
    """How the last job of a purpose ended when it did not succeed, or what to know about it."""

    level: Literal["error", "info"]
    sentence: str


@dataclass(frozen=True, eq=False, kw_only=True)
class AtHand:
    """The data set that a run was made of, and where it was found; `sha256` is the one that the run names."""

    embedding_set: EmbeddingSet
    place: Place
    sha256: str


@dataclass(eq=False, kw_only=True)
class EventSlot:
    """Where a job leaves the events that it read: with the tab alone, since they may be somebody's log.

    The last ones only, with the run that they were analysed in.
    """

    held: tuple[str, Events] | None = None


@dataclass(frozen=True, kw_only=True)
class FlagEdit:
    """The flag as it was when somebody began to edit it; `round` makes fresh widgets of an edit begun anew."""

    base: Flag
    round: int = 0


@dataclass(frozen=True, kw_only=True)
class RolloutEdit:
    """The rollout as it was, in this version, when somebody began to edit its settings."""

    base: Rollout
    version: int


@dataclass(frozen=True, kw_only=True)
class RolloutSetting:
    """What a rollout is planned with, for a pre-flight."""

    schedule: Schedule
    thresholds: Thresholds
    traffic: Traffic


def owner() -> str:
    """Return this tab's secret name, under which its jobs run."""
    token: str = st.session_state.setdefault(_OWNER, secrets.token_urlsafe(24))
    return token


def held_set() -> HeldSet | None:
    """Return the data set that is open in this tab."""
    held: HeldSet | None = st.session_state.get(_HELD)
    return held


def hold_set(held: HeldSet) -> None:
    """Open a data set in this tab."""
    st.session_state[_HELD] = held


def mark_kept(held: HeldSet) -> None:
    """Remember that the workspace keeps the open set now."""
    st.session_state[_HELD] = replace(held, place="workspace")


def loading() -> Loading | None:
    """Return what was asked to be loaded last, to ask for it again with a column chosen."""
    asked: Loading | None = st.session_state.get(_LOADING)
    return asked


def set_loading(asked: Loading | None) -> None:
    """Remember what is being loaded; None when it is done with."""
    st.session_state[_LOADING] = asked


def question() -> Question | None:
    """Return what the set being loaded leaves open."""
    asked: Question | None = st.session_state.get(_QUESTION)
    return asked


def set_question(asked: Question | None) -> None:
    """Ask the reader which column is meant, or nothing any more."""
    st.session_state[_QUESTION] = asked


def slot() -> Slot | None:
    """Return where the running load leaves what it finds."""
    waiting: Slot | None = st.session_state.get(_SLOT)
    return waiting


def set_slot(waiting: Slot | None) -> None:
    """Remember where the running load leaves what it finds."""
    st.session_state[_SLOT] = waiting


def followed_jobs(purpose: Purpose) -> tuple[str, ...]:
    """Return the ids of the jobs of `purpose` that this tab watches, in the order they were started."""
    job_ids: tuple[str, ...] = st.session_state.get(_JOBS + purpose, ())
    return job_ids


def follow_jobs(purpose: Purpose, job_ids: tuple[str, ...]) -> None:
    """Watch these jobs."""
    st.session_state[_JOBS + purpose] = job_ids


def notice(purpose: Purpose) -> Notice | None:
    """Return what is to be said about the last job of `purpose`."""
    said: Notice | None = st.session_state.get(_NOTICE + purpose)
    return said


def set_notice(purpose: Purpose, said: Notice | None) -> None:
    """Say something about the last job of `purpose`, until the next one."""
    st.session_state[_NOTICE + purpose] = said


def open_run(run_id: str) -> None:
    """Show this run from now on; to be called before the page draws the field of its id."""
    if RUN_KEY not in st.session_state:
        # Streamlit writes a bound value to the URL when it changes; the first one it would leave out.
        is_named_empty = st.query_params.get(RUN_KEY) == ""
        st.query_params[RUN_KEY] = run_id
        if is_named_empty:
            st.rerun()  # else the field of the id finds the empty value that the URL came with, and takes both out
    st.session_state[RUN_KEY] = run_id


def asked_run() -> str:
    """Return the run asked for by the URL or in this tab; empty for none."""
    if RUN_KEY in st.session_state:
        return str(st.session_state[RUN_KEY] or "")
    return st.query_params.get(RUN_KEY, "")


def open_new_sweep(source: str | None = None) -> None:
    """Have the form of a new sweep stand open, with the data set `source` chosen when given."""
    st.session_state[NEW_SWEEP_KEY] = True
    if source is not None:
        st.session_state[SOURCE_KEY] = source


def fold_new_sweep() -> None:
    """Have the form of a new sweep folded when it is drawn next."""
    st.session_state[_FOLD] = True


def settle_new_sweep() -> None:
    """Fold the form if that was asked for; a widget's state can only change before the widget is drawn."""
    if st.session_state.pop(_FOLD, False):
        st.session_state[NEW_SWEEP_KEY] = False


def fold_new_test() -> None:
    """Have the form of a new A/B test folded when it is drawn next."""
    st.session_state[_FOLD_TEST] = True


def settle_new_test() -> None:
    """Fold the form if that was asked for; a widget's state can only change before the widget is drawn."""
    if st.session_state.pop(_FOLD_TEST, False):
        st.session_state[NEW_TEST_KEY] = False


def settle_choice(key: str, options: Sequence[object]) -> None:
    """Forget what was chosen under `key` when it is none of `options`; to be called before the widget is drawn."""
    if key in st.session_state and st.session_state[key] not in options:
        del st.session_state[key]
        st.query_params.pop(key, None)


def set_at_hand(sha256: str) -> AtHand | None:
    """Return the data set that was last found for a run, when it has this digest."""
    known: AtHand | None = st.session_state.get(_AT_HAND)
    return known if known is not None and known.sha256 == sha256 else None


def remember_at_hand(found: AtHand) -> None:
    """Keep the data set found for a run, so that the next drawing of the page need not look for it."""
    st.session_state[_AT_HAND] = found


def failures(run_id: str) -> Mapping[str, str]:
    """Return why panels of this run could not be measured, by the panel's key, as far as this tab tried."""
    known: Mapping[str, str] = st.session_state.get(_FAILURES, {}).get(run_id, {})
    return known


def set_failures(run_id: str, sentences: Mapping[str, str]) -> None:
    """Remember why panels of this run could not be measured; forget the earlier reasons."""
    st.session_state[_FAILURES] = {**st.session_state.get(_FAILURES, {}), run_id: dict(sentences)}


def open_experiment(run_id: str) -> None:
    """Show this run on the A/B test page from now on; the address names it.

    Not under `RUN_KEY`: that is the widget's of the sweep's run, and a sweep is no experiment.
    """
    st.session_state[_EXPERIMENT] = run_id
    if st.query_params.get(RUN_KEY) != run_id:
        st.query_params[RUN_KEY] = run_id


def asked_experiment() -> str:
    """Return the experiment asked for by the URL or in this tab; empty for none."""
    return st.query_params.get(RUN_KEY) or str(st.session_state.get(_EXPERIMENT, ""))


def forget_experiment() -> None:
    """Ask for no run on the A/B test page any more: the one in the address is of another page."""
    st.session_state.pop(_EXPERIMENT, None)
    st.query_params.pop(RUN_KEY, None)


def event_slot() -> EventSlot:
    """Return where the jobs of this tab leave their events."""
    waiting: EventSlot = st.session_state.setdefault(_EVENTS, EventSlot())
    return waiting


def held_events(run_id: str) -> Events | None:
    """Return the events that this tab analysed in the run `run_id`, when they are the last it read."""
    held = event_slot().held
    return held[1] if held is not None and held[0] == run_id else None


def actor() -> str | None:
    """Return the name under which this tab changes flags and rollouts, None until somebody gave one."""
    name: str | None = st.session_state.get(_ACTOR)
    return name


def set_actor(name: str) -> None:
    """Remember the name under which this tab changes flags and rollouts."""
    st.session_state[_ACTOR] = name


def typed(key: str) -> str:
    """Return what stands in the text field `key`, for the callback of a button beside it."""
    return str(st.session_state.get(key) or "")


def ask(question: Confirmation) -> None:
    """Keep this dialog open until it is answered or dismissed, however often the page is drawn anew meanwhile."""
    st.session_state[_ASKED] = question


def asked() -> Confirmation | None:
    """Return the dialog that is open."""
    question: Confirmation | None = st.session_state.get(_ASKED)
    return question


def stop_asking() -> None:
    """Close the dialog that is open."""
    st.session_state.pop(_ASKED, None)


def edited_flag(key: str) -> FlagEdit | None:
    """Return the edit of the flag `key` that this tab has begun."""
    edit: FlagEdit | None = st.session_state.get(_EDITED)
    return edit if edit is not None and edit.base.key == key else None


def edit_flag(edit: FlagEdit) -> None:
    """Begin to edit a flag, in place of the one that was edited before."""
    st.session_state[_EDITED] = edit


def edited_rollout(key: str) -> RolloutEdit | None:
    """Return the edit of the rollout `key` that this tab has begun."""
    edit: RolloutEdit | None = st.session_state.get(_EDITED_ROLLOUT)
    return edit if edit is not None and edit.base.key == key else None


def edit_rollout(edit: RolloutEdit) -> None:
    """Begin to edit the settings of a rollout, in place of the one that was edited before."""
    st.session_state[_EDITED_ROLLOUT] = edit


def sets_up_rollout() -> bool:
    """Tell whether this tab plans a new rollout."""
    return bool(st.session_state.get(_SETS_UP, False))


def set_up_rollout(*, is_planned: bool) -> None:
    """Plan a new rollout from now on, or no more."""
    st.session_state[_SETS_UP] = is_planned


def open_rollout(key: str) -> None:
    """Show this rollout when the page is drawn next."""
    st.session_state[_SETS_UP] = False
    st.session_state[_OPENED] = key


def settle_rollout(keys: Sequence[str]) -> None:
    """Choose the rollout that was opened, one of `keys`; a widget's state can only change before it is drawn."""
    opened = st.session_state.pop(_OPENED, None)
    if opened in keys:
        if ROLLOUT_KEY not in st.session_state:
            st.query_params[ROLLOUT_KEY] = opened  # a bound value is written to the URL only when it changes
        st.session_state[ROLLOUT_KEY] = opened
    settle_bound(ROLLOUT_KEY, keys)


def settle_bound(key: str, options: Sequence[str]) -> None:
    """Choose the first of `options` when what was chosen is none of them any more: somebody removed it.

    Unlike `settle_choice` also for a widget that is in the address already, from which nothing may be taken out.
    """
    if options and key in st.session_state and st.session_state[key] not in options:
        st.session_state[key] = options[0]


def kept_setting() -> RolloutSetting | None:
    """Return the setting that the present one is compared with."""
    kept: RolloutSetting | None = st.session_state.get(_KEPT)
    return kept


def keep_setting(setting: RolloutSetting | None) -> None:
    """Compare further settings with this one, or with none."""
    st.session_state[_KEPT] = setting
