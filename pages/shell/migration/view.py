"""Which migration the page shows, where it stands, and what became of the jobs that this tab waited for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import JobNotFoundError
from engine.migration import store_name
from engine.migration.job import KIND, job_of
from engine.migration.storage import load_report
from pages.shell import jobs, state
from pages.shell.flags import actor as flags_actor
from pages.shell.migration import state as kept
from pages.shell.migration.state import NEW, Draft, Fields, Pair
from pages.shell.migration.sweeps import propose
from pages.shell.migration.work import Asked, BothLooked, Planned, Prepared
from pages.shell.services import services
from pages.shell.text import local_time, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Literal

    from engine.migration import MigrationReport
    from engine.migration.job import MigrationJob, State

    Colour = Literal["green", "yellow", "red", "gray", "blue"]

STORES, PLAN, RUN, VALIDATION, DUAL, CUT_OVER = "Stores", "Plan", "Run", "Validation", "Dual search", "Cut over"
TABS = (STORES, PLAN, RUN, VALIDATION, DUAL, CUT_OVER)

_CHOICE_KEY = "migration_choice"
_COLOURS: Mapping[State, Colour] = {"done": "green", "paused": "yellow", "stopped": "red", "cancelled": "gray"}


@dataclass(frozen=True, eq=False, kw_only=True)
class View:
    """The migration that the page shows: its record, None before its first run, and what this tab knows of it."""

    id: str
    draft: Draft
    job: MigrationJob | None = None
    changed_at: datetime | None = None
    report: MigrationReport | None = None

    @property
    def pair(self) -> Pair:
        """The URLs of its stores."""
        return self.draft.pair

    @property
    def fields(self) -> Fields | None:
        """The fields as they stand: those of this tab, else those of its record with the sweep that fits its source."""
        if self.draft.fields is not None or self.job is None:
            return self.draft.fields
        source = None if self.report is None else self.report.source
        sweep = None if source is None or source.dim is None else propose(source.dim, source.n_rows).sweep
        return replace(Fields.of(self.job), sweep=sweep)

    @property
    def is_demonstration(self) -> bool:
        """Whether its stores are those to try it with."""
        return services().transfers.is_demonstration(self.pair.source, self.pair.target)

    @property
    def is_at_work(self) -> bool:
        """Whether some process moves its rows now."""
        if services().transfers.is_at_work(self.id):
            return True
        return self.job is not None and self.job.is_running and not is_gone(self.job)


def head() -> None:
    """Draw title, who acts, and messages."""
    title, who = st.columns([3, 1], vertical_alignment="bottom")
    title.title("Migration", anchor=False)
    with who:
        flags_actor.choose_actor()
    jobs.show_progress("migration")


def take_finished() -> Prepared | None:
    """Take in what this tab waited for; return the demonstration when it was made ready."""
    prepared = None
    for finished in jobs.take_looked():
        if finished.state != "done":
            continue
        try:
            result = services().jobs.result(state.owner(), finished.id)
        except JobNotFoundError:
            continue  # forgotten a moment ago: the reader looks again
        match result:
            case BothLooked():
                kept.change_draft(result.migration, source=result.source, target=result.target)
            case Planned():
                kept.change_draft(result.migration, planned=result.fields, plan=result.plan)
            case Asked():
                kept.set_asked_many(result)
            case Prepared():
                prepared = result
                kept.keep_draft(NEW, Draft(pair=result.pair, source=result.source, target=result.target))
    return prepared


def choose() -> View | None:
    """Let the reader choose a stored migration or a new one; None after saying that the one asked for is not there."""
    stored = _stored()
    asked = kept.asked()
    if asked is None:
        asked = next(iter(stored), NEW)
    if asked not in stored and not (asked == NEW or kept.draft(asked).pair.source):
        st.error(f"No migration of this workspace has the id {plain(asked, longest=80)}.")
        newest = next(iter(stored), NEW)
        st.button("Open the newest" if stored else "Set one up", on_click=kept.open_migration, args=(newest,))
        return None
    if asked == NEW:
        st.markdown("Move vectors from one database to another, truncated, and prove that every row arrived.")
    if stored:
        _chooser(stored, asked)
    return _view(asked, stored.get(asked))


def headline(view: View) -> None:
    """Say in a line what is moved where, and where it stands."""
    job = view.job
    if job is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="migration_headline"):
        st.badge(state_words(job), color="gray" if is_gone(job) else _COLOURS.get(job.state, "blue"))
        if view.report is not None and job.state == "done":
            equal = view.report.validation.verdict == "equal"
            st.badge("equal" if equal else "differs", color="green" if equal else "red")
        changed = "" if view.changed_at is None else f", changed {local_time(view.changed_at, st.context.timezone)}"
        st.markdown(f"{_what(view)}{changed}.", width="content")
    if view.is_demonstration and not services().transfers.demonstrates:
        st.caption(":material/info: The demonstration's PostgreSQL starts again with the next thing that needs it.")


def state_words(job: MigrationJob) -> str:
    """Return the state of a migration for people; one whose process has ended says so."""
    return "broken off" if is_gone(job) else job.state


def is_gone(job: MigrationJob) -> bool:
    """Tell whether a migration that says it runs has lost its process."""
    return job.is_running and (job.owner is None or bool(job.owner.is_gone()))


def when(moment: str) -> str:
    """Write a stored moment in the reader's time zone."""
    return local_time(datetime.fromisoformat(moment), st.context.timezone)


def _stored() -> dict[str, tuple[MigrationJob, datetime]]:
    """Return every migration of the workspace by its id, the one that changed last first."""
    with services().workspace.records() as ledger:
        found = [(job_of(record), record.updated_at) for record in ledger.all(KIND)]
    return {job.id: (job, at) for job, at in sorted(found, key=lambda one: one[1], reverse=True)}


def _view(asked: str, stored: tuple[MigrationJob, datetime] | None) -> View:
    draft = kept.draft(asked)
    if stored is None:
        return View(id=asked, draft=draft)
    job, at = stored
    pair = Pair(source=job.source, target=job.target)
    report = None if job.run_id is None else _report(f"{services().workspace.id}/{job.run_id}", job.run_id)
    return View(id=asked, draft=replace(draft, pair=pair), job=job, changed_at=at, report=report)


def _chooser(stored: Mapping[str, tuple[MigrationJob, datetime]], shown: str) -> None:
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    options: Sequence[str] = [*stored, *([] if shown in stored else [shown])]
    # The choice follows the migration that is shown, whoever changed it.
    kept.set_value(_CHOICE_KEY, shown)
    left.selectbox(
        "Migration",
        options,
        format_func=lambda one: _title(stored[one][0]) if one in stored else "New migration",
        key=_CHOICE_KEY,
        on_change=_open_choice,
        label_visibility="collapsed",
    )
    right.button(
        "New migration",
        icon=":material/add:",
        key="new_migration",
        width="stretch",
        disabled=shown == NEW,
        on_click=_open_new,
    )


def _open_choice() -> None:
    kept.open_migration(str(kept.value_of(_CHOICE_KEY)))
    state.set_notice("migration", None)


def _open_new() -> None:
    kept.open_migration(NEW)
    kept.show_tab(STORES)
    state.set_notice("migration", None)


def _title(job: MigrationJob) -> str:
    # Of nothing that changes while it runs: by what is written the browser tells the server what is chosen.
    return f"{store_name(job.source)} → {store_name(job.target)} · {job.settings['dims']:,} dims · {job.id[:6]}"


def _what(view: View) -> str:
    job, report = view.job, view.report
    if job is None:
        return ""
    to = f"{job.settings['dims']:,} dims of {job.settings['dtype']}"
    if report is None:
        return f"Keeps {to}"
    return f"{report.source.n_rows:,} rows of {report.source.dim:,} dims to {to}"


@st.cache_resource(max_entries=16, show_spinner=False)
def _report(key: str, _run_id: str) -> MigrationReport:  # noqa: ARG001  # what the cache looks up
    return load_report(services().workspace, _run_id)
