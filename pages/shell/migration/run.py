"""The tab Run: start, watch, pause, cancel and resume a migration, whichever process works on it; the quarantine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError
from engine.migration import parse_url, store_name
from engine.migration.ids import shown_id
from engine.migration.job import JobRecord, job_id
from pages.shell import services
from pages.shell.company.allowed import shown
from pages.shell.flags import actor as flags_actor
from pages.shell.migration import dual_pair as migration_dual_pair
from pages.shell.migration import state as kept
from pages.shell.migration import sweeps as migration_sweeps
from pages.shell.migration import view as migration_view
from pages.shell.migration.access import access
from pages.shell.migration.state import NEW, Draft, Fields
from pages.shell.migration.watch import watch
from pages.shell.migration.work import move_work
from pages.shell.text import local_time, plain, sentence

if TYPE_CHECKING:
    from engine.migration import MigrationReport
    from engine.migration.job import MigrationJob
    from pages.shell.migration.view import View
    from pages.shell.migration.work import Move, Prepared

_MOST_LISTED = 1000
_STEPS = 200


def take_finished() -> None:
    """Take in what this tab waited for, and begin the demonstration's migration when that was asked for."""
    prepared = migration_view.take_finished()
    if prepared is None:
        return
    kept.open_migration(NEW)
    if prepared.moves:
        _demonstrate(prepared)
    else:
        kept.show_tab(migration_view.STORES)


def begin(migration: str, draft: Draft, fields: Fields, what: Move = "run") -> None:
    """Work on a migration in the background, and show how far it is."""
    stores = access(draft.pair)
    found = migration_sweeps.evidence(fields, is_demonstration=stores.demonstrates)
    shared = services.services()
    work = move_work(stores, fields, found, workspace=shared.workspace, actor=flags_actor.actor(), what=what)
    label = f"{store_name(draft.pair.source)} → {store_name(draft.pair.target)}"
    migration_dual_pair.forget_pair(draft.pair, JobRecord(shared.workspace, migration).read())

    def start() -> None:
        shared.workspace.check_access("migration", "start migration")
        shared.transfers.start(migration, label, work)

    flags_actor.attempt("migration", start)
    # What was found in the target is about to be no longer so.
    kept.keep_draft(migration, replace(draft, fields=fields, target=None, planned=None, plan=None))
    if kept.asked() != migration:
        kept.keep_draft(NEW, Draft())
    kept.open_migration(migration)
    kept.show_tab(migration_view.RUN)


def show(view: View) -> None:
    """Draw how far the migration is, what can be done with it, the quarantine and its history."""
    if view.is_at_work:
        watch(view.id)
    elif view.job is None:
        _not_begun(view)
        return
    else:
        _ended(view, view.job)
    if view.job is not None:
        _quarantine(view, view.job)
        _history(view.job)


def _demonstrate(prepared: Prepared) -> None:
    info = prepared.source.info
    if info is None or info.dim is None:
        return  # its card says why
    sweep = migration_sweeps.propose(info.dim, info.n_rows).sweep
    fields = Fields(dims=prepared.dims, sweep=sweep, validate_percent=100.0)
    pair = prepared.pair
    urls = (str(parse_url(url)) for url in (pair.source, pair.target))
    draft = Draft(pair=pair, source=prepared.source, target=prepared.target, fields=fields)
    begin(job_id(*urls, fields.settings()), draft, fields)


def _not_begun(view: View) -> None:
    job = services.services().transfers.job(view.id)
    if job is not None and job.error is not None:
        st.error(sentence(job.error))
    elif not view.pair.source:
        st.info("Nothing has run yet: check the stores, then plan the migration.", icon=":material/rule:")
    st.button("To the plan", key="back_to_plan", on_click=kept.show_tab, args=(migration_view.PLAN,))


def _ended(view: View, job: MigrationJob) -> None:
    failed = services.services().transfers.job(view.id)
    if failed is not None and failed.error is not None and failed.error != job.reason:
        st.error(sentence(failed.error))
    if job.state == "stopped":
        st.error(sentence(job.reason))
    elif migration_view.is_gone(job):
        st.warning("The process that moved these rows has ended. Nothing is lost: a resume goes on where it was.")
    elif job.state == "paused":
        st.info("Paused: what was copied stays, and a resume goes on behind it.", icon=":material/pause:")
    elif job.state == "cancelled":
        why = "" if job.reason == "asked to" else f": {plain(job.reason)}"
        st.info(f"Cancelled{why}. Starting again begins at the first row.", icon=":material/cancel:")
    if view.report is not None:
        _numbers(view.report)
    _actions(view, job)


def _numbers(report: MigrationReport) -> None:
    with st.container(horizontal=True, gap="small"):
        st.metric("Rows moved", f"{report.n_written:,}", border=True)
        st.metric("Copied in", f"{report.copy_s:,.1f} s", border=True)
        st.metric("Rows a second", f"{report.rows_per_s:,.0f}", border=True)
        st.metric("In quarantine", f"{report.n_held:,}", border=True)
    taken = [one for one in report.passes if not one.is_clean]
    for one in taken:
        st.markdown(
            f"Caught up by {plain(one.by)}: {one.n_changed:,} rows had changed, {one.n_missing:,} were new, "
            f"{one.n_deleted:,} were gone."
        )
    for words in report.warnings:
        st.caption(f":material/info: {plain(words)}")


def _actions(view: View, job: MigrationJob) -> None:
    fields = view.fields
    if fields is None:
        return
    with st.container(horizontal=True):
        if job.state == "done":
            _button("Catch up", view, fields, "catch up", icon=":material/sync:", key="catch_up")
            st.button(
                "See the validation",
                key="to_validation",
                icon=":material/fact_check:",
                on_click=kept.show_tab,
                args=(migration_view.VALIDATION,),
            )
            return
        label = "Start again" if job.state == "cancelled" else "Resume"
        _button(label, view, fields, "run", icon=":material/play_arrow:", key="resume")
    _discard(view, job)


def _button(label: str, view: View, fields: Fields, what: Move, *, icon: str, key: str) -> None:
    help_words = (
        "Takes over what has changed in the source since, also deletions, tries the quarantine again and validates."
        if what == "catch up"
        else None
    )
    st.button(
        label,
        type="primary",
        icon=icon,
        key=key,
        on_click=begin,
        args=(view.id, view.draft, fields),
        kwargs={"what": what},
        **shown("migration", "start migration", help=help_words),
    )


def _discard(view: View, job: MigrationJob) -> None:
    if not job.made_target or job.run_id is not None:
        return
    with (
        st.expander("Drop the unfinished target", icon=":material/delete_forever:"),
        st.form("drop_form", border=False),
    ):
        st.markdown("Only the table that this migration made, and has not finished, can be dropped here.")
        name = parse_url(job.target).table
        typed = st.text_input(f"Type the target's table name, {plain(name)}", key="drop_typed", autocomplete="off")
        if st.form_submit_button(
            "Drop it", icon=":material/delete_forever:", key="drop_submit", **shown("migration", "drop target")
        ):
            flags_actor.attempt("migration", lambda: _drop(view, typed))
            st.rerun()


def _drop(view: View, typed: str) -> None:
    from engine.migration import Migrator

    fields, stores = view.fields, access(view.pair)
    if fields is None:
        return
    with stores.source.open() as source, stores.target.open() as target:
        workspace, who = services.services().workspace, flags_actor.actor()
        table = target.describe().table if target.exists() else ""
        # PostgreSQL's own name has the schema before it; the one in the URL is as good.
        name = table if typed == parse_url(view.pair.target).table else typed
        Migrator(source, target, fields.settings(), workspace=workspace, actor=who).discard(typed=name)


def _quarantine(view: View, job: MigrationJob) -> None:
    held = JobRecord(services.services().workspace, job.id).quarantine(job)
    if not held:
        return
    st.header(f"Quarantine: {len(held):,} rows", anchor=False)
    st.dataframe(
        [{"id": shown_id(row.id), "why": row.reason} for row in held[:_MOST_LISTED]],
        hide_index=True,
        key="quarantine",
        column_config={
            "id": st.column_config.TextColumn("Row", pinned=True),
            "why": st.column_config.TextColumn("Why it could not move", width="large"),
        },
    )
    if len(held) > _MOST_LISTED:
        st.caption(f"The first {_MOST_LISTED:,} of them.")
    if job.state == "done" and view.fields is not None and not view.is_at_work:
        st.button(
            "Try these again",
            icon=":material/refresh:",
            key="retry_quarantine",
            on_click=begin,
            args=(view.id, view.draft, view.fields),
            kwargs={"what": "retry"},
            **shown(
                "migration",
                "retry quarantine",
                help="Once the rows are mended in the source. They alone are read and written.",
            ),
        )
        if job.reason.endswith("moved"):
            st.caption(sentence(f"{job.reason}."))


def _history(job: MigrationJob) -> None:
    fold = st.expander("History", icon=":material/history:", key="migration_history", on_change="rerun")
    if not fold.open:
        return
    zone = st.context.timezone
    with fold:
        try:
            events = services.services().workspace.audit(kind="migration", key=job.id, limit=_STEPS, newest_first=True)
        except EngineError as error:
            st.error(sentence(error))
            return
        text = st.column_config.TextColumn
        st.dataframe(
            [
                {"when": local_time(one.at, zone), "what": one.action, "who": one.actor, "why": one.reason or None}
                for one in events
            ],
            hide_index=True,
            key="migration_events",
            placeholder="–",
            column_config={
                "when": text("When"),
                "what": text("Step"),
                "who": text("Who"),
                "why": text("Why", width="large"),
            },
        )
        st.caption(f"Migration {plain(job.id)}. Every step is in the audit log of the workspace.")
