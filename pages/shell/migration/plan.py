"""The tab Plan: dims and how to move them, what would happen in sentences, and the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.embeddings import METRICS
from engine.errors import EngineError
from engine.migration.job import JobRecord
from engine.migration.stores.protocol import DTYPES, MOST_DIMS
from engine.sizes import written_size
from pages.shell import jobs, services, state
from pages.shell.company.allowed import shown
from pages.shell.migration import run as migration_run
from pages.shell.migration import state as kept
from pages.shell.migration import sweeps as migration_sweeps
from pages.shell.migration import view as migration_view
from pages.shell.migration.access import access
from pages.shell.migration.state import Fields
from pages.shell.migration.work import plan_work
from pages.shell.text import local_time, plain, sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.migration import MigrationPlan
    from engine.workspace import Run
    from pages.shell.migration.view import View

_DTYPE_HELP = "float16 halves the bytes; a component is then rounded by at most 1 in 2,048 of the largest one."
_DTYPE_WORDS = {"float32": "float32, 4 bytes a component", "float16": "float16, 2 bytes a component"}


def show(view: View) -> None:
    """Draw the form, the plan that was made of it, and the start."""
    if view.job is None and view.draft.info is None:
        st.info("Check both stores first: the plan depends on what is in them.", icon=":material/cable:")
        st.button("To the stores", key="to_stores", on_click=kept.show_tab, args=(migration_view.STORES,))
        return
    fields = _form(view)
    if fields != view.draft.fields:
        kept.change_draft(view.id, fields=fields)
    if view.job is not None:
        st.caption(
            ":material/info: Stores, dims, type and metric are what this migration is; the rest counts the next time "
            "it runs, resumes or catches up."
        )
        return
    plan = view.draft.plan
    is_current = plan is not None and fields == view.draft.planned
    _make(view, fields, is_first=not is_current)
    if plan is not None and is_current:
        _plan(view, plan)
        _go(view, fields, plan)
    elif plan is not None:
        st.caption("The settings have changed since the last plan.")


def _form(view: View) -> Fields:
    """Draw the widgets and return what they hold; a stored migration keeps what makes it itself."""
    base, words = _base(view)
    is_fixed, mark = view.job is not None, view.id
    dim = _source_dim(view)
    left, middle, right = st.columns([1, 2, 3], vertical_alignment="bottom", gap="medium")
    dims = left.number_input(
        "Dims to keep", 1, dim or MOST_DIMS, key=kept.seed(f"dims_{mark}", base.dims), disabled=is_fixed
    )
    dtype = middle.selectbox(
        "Type in the target",
        DTYPES,
        key=kept.seed(f"dtype_{mark}", base.dtype),
        format_func=lambda name: _DTYPE_WORDS[name],
        disabled=is_fixed,
        help=_DTYPE_HELP,
    )
    with right:
        sweep = _sweep(dim, base, mark)
    if words:
        st.caption(plain(words))
    with st.expander("More settings", icon=":material/tune:"):
        more = _more(base, mark, is_fixed=is_fixed)
    return Fields(dims=int(dims or 0), dtype=dtype, sweep=sweep, overwrite=base.overwrite, **more)


def _base(view: View) -> tuple[Fields, str]:
    """Return the fields to begin with, and why these dims."""
    info = view.draft.info
    if view.job is not None or info is None or info.dim is None:
        return view.fields or Fields(dims=1), ""
    proposal = migration_sweeps.propose(info.dim, info.n_rows)
    base = view.fields or Fields(dims=proposal.dims, sweep=proposal.sweep)
    return base, proposal.words if base.dims == proposal.dims else ""


def _source_dim(view: View) -> int | None:
    if view.draft.info is not None:
        return view.draft.info.dim
    return None if view.report is None else view.report.source.dim


def _sweep(dim: int | None, base: Fields, mark: str) -> str | None:
    known = {} if dim is None else migration_sweeps.sweeps_of(dim)
    options = ["", *known]
    key = kept.seed(f"sweep_{mark}", base.sweep or "")
    if kept.value_of(key) not in options:
        kept.set_value(key, "")
    chosen: str = st.selectbox(
        "Sweep of these vectors",
        options,
        key=key,
        format_func=lambda run_id: "none" if not run_id else _title(known[run_id]),
        help="Its recall@10 at these dims is what the target's search is held against, on its queries where they are "
        "at hand.",
    )
    return chosen or None


def _title(run: Run) -> str:
    facts = run.dataset
    when = local_time(run.created_at, st.context.timezone)
    return f"{facts.get('name', 'Unnamed set')} · {facts.get('n_docs', 0):,} × {facts.get('dim', 0):,} · {when}"


def _more(base: Fields, mark: str, *, is_fixed: bool) -> dict[str, object]:
    left, middle, right = st.columns(3, gap="medium")
    batch_size = left.number_input(
        "Rows a batch (0: by size)",
        0,
        100_000,
        key=kept.seed(f"batch_{mark}", base.batch_size or 0),
        help="A batch is read, written and checkpointed as one; by size it is about 16 MiB of vectors.",
    )
    rate = middle.number_input(
        "Rows a second at most (0: all)",
        0.0,
        key=kept.seed(f"rate_{mark}", base.rows_per_s or 0.0),
        format="%.6g",
        help="A limit spares databases that serve users meanwhile.",
    )
    quarantine = right.number_input(
        "Quarantine at most, %",
        0.0,
        100.0,
        key=kept.seed(f"quarantine_{mark}", base.quarantine_percent),
        format="%.6g",
        help="Rows that cannot move are set aside with the reason; above this share of all rows the job stops.",
    )
    validate = left.number_input(
        "Compare values of, % of rows",
        0.0,
        100.0,
        key=kept.seed(f"validate_{mark}", base.validate_percent),
        format="%.6g",
        help="Counts and ids are always compared in full; of values at least 1,000 rows. 100 compares every one.",
    )
    metric = middle.selectbox(
        "Metric",
        ["", *METRICS],
        key=kept.seed(f"metric_{mark}", base.metric or ""),
        format_func=lambda name: name or "the source's",
        disabled=is_fixed,
    )
    builds = right.toggle(
        "Build a vector index",
        key=kept.seed(f"index_{mark}", base.builds_index),
        help="After the copy; without one every search compares every row.",
    )
    return {
        "batch_size": int(batch_size or 0) or None,
        "rows_per_s": float(rate or 0) or None,
        "quarantine_percent": float(quarantine or 0),
        "validate_percent": float(validate or 0),
        "metric": metric or None,
        "builds_index": builds,
    }


def _make(view: View, fields: Fields, *, is_first: bool) -> None:
    st.button(
        "Make the plan",
        type="primary" if is_first else "secondary",
        icon=":material/rule:",
        key="make_plan",
        on_click=_start_planning,
        args=(view, fields),
        **shown(
            "job",
            "start",
            disabled=bool(state.followed_jobs("migration")),
            help="Looks at both stores and reads one batch; writes nothing.",
        ),
    )


def _start_planning(view: View, fields: Fields) -> None:
    try:
        fields.settings()
    except EngineError as error:
        state.set_notice("migration", state.Notice(level="error", sentence=str(error)))
        return
    workspace = services.services().workspace
    jobs.start_looking("Planning", plan_work(view.id, access(view.pair), view.pair, fields, workspace=workspace))


def _plan(view: View, plan: MigrationPlan) -> None:
    with st.container(border=True, key="plan", gap="small"):
        for words in plan.refusals:
            st.error(sentence(words), icon=":material/block:")
        if plan.overwrites and not plan.refusals:
            st.warning("The target holds rows: they are dropped first, all of them.", icon=":material/delete_forever:")
        for words in _sentences(plan):
            st.markdown(words)
        st.dataframe(_rows(plan), hide_index=True, key="plan_table", width="stretch")
        for words in plan.warnings:
            st.caption(f":material/info: {plain(words)}")
    _overwriting(view, plan)


def _sentences(plan: MigrationPlan) -> Sequence[str]:
    share = plan.target_bytes / plan.source_bytes if plan.source_bytes else 1.0
    kind = "re-normalised" if plan.normalise else "not re-normalised"
    sizes = f"{written_size(plan.target_bytes)} instead of {written_size(plan.source_bytes)} ({100 * share:.3g}\u00a0%)"
    kept_dims = f"keep their first **{plan.dims:,} dims** as {plan.dtype}, {kind} for {plan.metric}"
    found = [f"**{plan.n_rows:,} rows** {kept_dims}: their vectors take {sizes}.", plain(plan.creates)]
    if plan.seconds is not None:
        found.append(
            f"The copy takes **about {_duration(plan.seconds)}**, by the first {plan.n_probed:,} rows; the index and "
            "the validation come on top."
        )
    if plan.n_probed_held:
        found.append(f"Of those rows {plan.n_probed_held:,} cannot move and would be set aside.")
    return found


def _rows(plan: MigrationPlan) -> list[dict[str, object]]:
    source = plan.source
    rows = {
        "Rows": (f"{source.n_rows:,}", f"{plan.n_rows:,}"),
        "Dims": ("unknown" if source.dim is None else f"{source.dim:,}", f"{plan.dims:,}"),
        "Type": (source.dtype, plan.dtype),
        "Metric": (source.metric or "not said", plan.metric),
        "Bytes of vectors": (written_size(plan.source_bytes), written_size(plan.target_bytes)),
        "Rows a batch": (f"{plan.batch_size:,}", f"{plan.batch_size:,}"),
    }
    return [{"": name, "Source": before, "Target": after} for name, (before, after) in rows.items()]


def _overwriting(view: View, plan: MigrationPlan) -> None:
    """Ask for the target's name where only that stands in the way, or take it back."""
    there = view.draft.looked("target")
    if there is None or there.info is None or not (plan.refusals or plan.overwrites):
        return
    name = there.info.table
    with st.form("overwrite_form", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        typed = st.text_input(f"To replace what it holds, type {plain(name)}", key="overwrite", autocomplete="off")
        if st.form_submit_button(
            "Replace it",
            icon=":material/delete_forever:",
            key="overwrite_submit",
            **shown("migration", "start migration"),
        ):
            fields = kept.draft(view.id).fields
            if fields is not None:
                changed = Fields(**{**vars(fields), "overwrite": typed})
                kept.change_draft(view.id, fields=changed)
                _start_planning(view, changed)
                st.rerun()


def _go(view: View, fields: Fields, plan: MigrationPlan) -> None:
    if JobRecord(services.services().workspace, plan.job_id).read() is not None:
        st.info("This workspace knows a migration of these stores, dims and type.", icon=":material/inventory_2:")
        st.button("Open it", key="open_known", on_click=kept.open_migration, args=(plan.job_id,))
        return
    st.button(
        "Start the migration",
        type="primary",
        icon=":material/play_arrow:",
        key="start_migration",
        on_click=migration_run.begin,
        args=(plan.job_id, view.draft, fields),
        **shown("migration", "start migration", disabled=bool(plan.refusals)),
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
