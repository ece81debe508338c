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
    from pages.shell.data.loading import Loading, Question, Slot

Purpose = Literal[
    "sweep",
    "load",
    "explore",
    "experiment",
    "flags",
    "rollout",
    "migration",
    "demonstration",
    "plan",
    "report",
    "runbook",
    "people",
]
Place = Literal["bundled", "tab", "workspace"]

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

_OWNER = "_owner"
_HELD = "_held"
_LOADING = "_loading"
_QUESTION = "_question"
_SLOT = "_slot"
_JOBS = "_jobs_"
_NOTICE = "_notice_"
_NEXT = "_next_"
_AT_HAND = "_at_hand"
_FAILURES = "_failures"
_EXPERIMENT = "_experiment"
_EVENTS = "_events"


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
    open_bound(RUN_KEY, run_id)


def open_bound(key: str, value: str) -> None:
    """Set the text field `key`, which the address keeps, to `value`; to be called before the page draws the field."""
    if key not in st.session_state:
        # Streamlit writes a bound value to the URL when it changes; the first one it would leave out.
        is_named_empty = st.query_params.get(key) == ""
        st.query_params[key] = value
        if is_named_empty:
            st.rerun()  # else the field of the id finds the empty value that the URL came with, and takes both out
    st.session_state[key] = value


def asked_run() -> str:
    """Return the run asked for by the URL or in this tab; empty for none."""
    if RUN_KEY in st.session_state:
        return str(st.session_state[RUN_KEY] or "")
    return st.query_params.get(RUN_KEY, "")


def open_new_sweep(source: str | None = None) -> None:
    """Have the form of a new sweep stand open when it is drawn next, with the data set `source` chosen when given."""
    set_next(NEW_SWEEP_KEY, True)
    if source is not None:
        set_next(SOURCE_KEY, source)


def set_next(key: str, value: object) -> None:
    """Have the widget `key` hold `value` when it is drawn next, which may be later in this run or on another page.

    Given to the widget right away it would come back whenever the widget does: Streamlit keeps what a key was given
    while its widget was not there, and returns to it after every change of the page.
    """
    st.session_state[_NEXT + key] = value


def settle(key: str) -> None:
    """Give the widget `key` what was set for it; to be called just before the widget is drawn."""
    if _NEXT + key in st.session_state:
        st.session_state[key] = st.session_state.pop(_NEXT + key)


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
    """Ask for no run on the A/B test page any more: the one in the address is of another kind."""
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
