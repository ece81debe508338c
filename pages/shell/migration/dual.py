"""The tab Dual search: how both stores answer together, one query in both, and what many queries show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from engine.charts import migration as charts
from engine.errors import EngineError
from engine.migration import DualSettings
from engine.migration.cut_over import FLAG
from engine.migration.dual_settings import MODE_SENTENCES, MODES
from pages.shell import figures, jobs, state
from pages.shell.company.allowed import shown
from pages.shell.flags import actor as flags_actor
from pages.shell.migration import compare as migration_compare
from pages.shell.migration import dual_pair as migration_dual_pair
from pages.shell.migration import queries as migration_queries
from pages.shell.migration import state as kept
from pages.shell.migration.work import ask_work
from pages.shell.services import services
from pages.shell.text import local_time, plain, sentence

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from engine.migration import DualStatistics
    from engine.migration.dual_control import StoredSettings
    from engine.migration.dual_statistics import SideStatistics
    from pages.shell.migration.dual_pair import DualPair
    from pages.shell.migration.view import View

_MOST_ASKED = 10_000


def show(view: View) -> None:
    """Draw the settings that hold, a live comparison, and the statistics of this process."""
    settings = _settings()
    if settings is None:
        return
    if not view.pair.source or not view.pair.target:
        st.info("Check two stores first: both are searched here together.", icon=":material/cable:")
        return
    try:
        pair = migration_dual_pair.dual_pair(view)
        st.header("One query in both", anchor=False)
        queries = migration_queries.choose(view, pair)
    except EngineError as error:
        st.error(sentence(error))
        return
    if queries is None:
        return
    with st.container(key="dual_results", gap="small"):
        migration_compare.show(pair, queries, settings)
    _many(view, pair, queries.vectors)


def _settings() -> DualSettings | None:
    """Draw mode, weight and time-out, and return those that hold now; a change names the version it began from."""
    control = services().dual_control
    try:
        stored = control.stored()
    except EngineError as error:
        st.error(sentence(error))
        return None
    base = kept.dual_base() or stored
    if base.version != stored.version and not _is_edited(base):
        base = stored
    kept.set_dual_base(base)
    mark = base.version
    with st.container(border=True, key="dual_settings"):
        mode = st.segmented_control("Mode", MODES, default=base.settings.mode, required=True, key=f"dual_mode_{mark}")
        left, right = st.columns(2, gap="large")
        weight = left.slider(
            "Weight of the new store",
            0.0,
            1.0,
            base.settings.weight,
            0.05,
            key=f"dual_weight_{mark}",
            help="In a merge: 0 ranks as the old store does, 1 as the new one.",
        )
        timeout = right.number_input(
            "Time-out, s",
            value=base.settings.timeout_s,
            step=0.1,
            format="%.6g",
            key=f"dual_timeout_s_{mark}",
            help="A store that has not answered by then is left out of the answer, and counted.",
        )
        st.caption(MODE_SENTENCES[mode])
        _flag_note(mode)
        _apply(base, stored, mode=mode, weight=weight, timeout_s=timeout)
        _last_change()
    return stored.settings


def _last_change() -> None:
    changes = services().workspace.audit(kind="dual search", limit=1, newest_first=True)
    if changes:
        one = changes[0]
        st.caption(f"Changed by {plain(one.actor)}, {local_time(one.at, st.context.timezone)}. It applies at once.")


def _is_edited(base: StoredSettings) -> bool:
    """Tell whether this tab holds a change of `base` that is not applied yet."""
    held = {name: kept.value_of(f"dual_{name}_{base.version}") for name in ("mode", "weight", "timeout_s")}
    return any(value is not None and value != getattr(base.settings, name) for name, value in held.items())


def _apply(base: StoredSettings, stored: StoredSettings, **values: Any) -> None:
    is_changed = values != {name: getattr(base.settings, name) for name in values}
    if stored.version != base.version:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.warning("Somebody changed these settings meanwhile.", icon=":material/group:")
            if st.button("Take the newest", key="dual_newest", icon=":material/refresh:"):
                kept.set_dual_base(None)
                st.rerun()
    if not st.button(
        "Apply",
        type="primary",
        key="dual_apply",
        icon=":material/check:",
        **shown("dual search", "change dual search", disabled=not is_changed),
    ):
        return
    control = services().dual_control

    def change() -> StoredSettings:
        settings = DualSettings(**values, rrf_k=base.settings.rrf_k)
        return control.change(settings, expected_version=base.version, actor=flags_actor.actor())

    changed = flags_actor.attempt("migration", change)
    if changed is not None:
        kept.set_dual_base(changed)
    st.rerun()


def _flag_note(mode: str) -> None:
    """Say when the flag keeps users from what the mode would give them."""
    try:
        flag = services().flags.flag(FLAG)
        is_killed = services().flags.is_killed is not None
    except EngineError as error:
        st.caption(f":material/flag: {sentence(error)}")
        return
    percent = 0.0 if is_killed or not flag.is_enabled else flag.percent or 0.0
    if mode in {"merge", "new only"} and percent < 100:
        instead = "compared only" if mode == "merge" else "the old store alone"
        st.caption(
            f":material/flag: Flag {plain(FLAG)} lets the new store answer {percent:g}\u00a0% of the users: the others "
            f"get the old ranking ({instead})."
        )


def _many(view: View, pair: DualPair, vectors: npt.NDArray[np.float32]) -> None:
    st.header("Many queries", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        n = st.number_input("Queries to ask", 1, _MOST_ASKED, 100, 100, key="dual_n", width=160)
        st.button(
            f"Ask {int(n):,} queries",
            icon=":material/play_arrow:",
            key="dual_ask",
            on_click=jobs.start_looking,
            args=("Asking both stores", ask_work(pair.live, vectors, int(n))),
            **shown(
                "job",
                "start",
                disabled=bool(state.followed_jobs("migration")),
                help="As your service would: by the mode that holds and the flag, each for another user.",
            ),
        )
        st.button(
            "Count anew",
            icon=":material/restart_alt:",
            key="dual_reset",
            on_click=migration_dual_pair.forget_pair,
            args=(view.pair, view.job),
        )
    seen = pair.live.statistics()
    if not seen.n_requests:
        st.caption("Nothing has been asked yet. What is asked here is counted in this process only.")
        return
    asked = kept.asked_many()
    if asked is not None and asked.sources:
        told = {"old": "the old store", "new": "the new one", "both": "both together"}
        shares = ", ".join(f"{asked.sources[key]:,} by {words}" for key, words in told.items() if key in asked.sources)
        st.caption(f"Of the last queries asked here: {shares} answered.")
    _counts(seen)
    _charts(seen)


def _counts(seen: DualStatistics) -> None:
    rows = [_row("old store", seen.old), _row("new store", seen.new)]
    st.markdown(
        f"**{seen.n_requests:,} requests**: {seen.n_degraded:,} answered by another store than intended, "
        f"{seen.n_refused:,} by none; {seen.n_compared:,} compared."
    )
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    st.dataframe(
        rows,
        hide_index=True,
        key="dual_counts",
        placeholder="–",
        column_config={
            "store": text("Store", pinned=True),
            "asked": number("Asked"),
            "failed": number("Failed"),
            "late": number("Timed out"),
            "busy": number("Busy"),
            "p50": number("p50, ms", format="%.1f"),
            "p99": number("p99, ms", format="%.1f"),
            "last": text("Last failure", width="medium"),
        },
    )


def _row(name: str, side: SideStatistics) -> dict[str, object]:
    found = {one.share: one.value for one in side.latency_ms}
    return {
        "store": name,
        "asked": side.n_asked,
        "failed": side.n_failed,
        "late": side.n_timed_out,
        "busy": side.n_busy,
        "p50": found.get(0.5),
        "p99": found.get(0.99),
        "last": side.last_failure,
    }


def _charts(seen: DualStatistics) -> None:
    left, right = st.columns(2, gap="large")
    if seen.n_compared:
        with left:
            st.markdown("**What both return**")
            figures.show(
                charts.overlap_chart(seen, colours=figures.colours()),
                alt=charts.describe_overlap(seen),
                key="overlap_chart",
            )
            if seen.rank_shift is not None:
                shift = seen.rank_shift
                bounds = f"{shift.low:.2f} to {shift.high:.2f}, 95\u00a0% interval"
                st.caption(f"Shared results stand {shift.mean:.2f} ranks apart ({bounds}).")
    else:
        left.caption("Nothing was compared: in this mode only one store is asked. Choose shadow or merge.")
    with right:
        st.markdown("**How long both take**")
        figures.show(
            charts.dual_latency_chart(seen, colours=figures.colours()),
            alt=charts.describe_dual_latency(seen),
            key="dual_latency_chart",
        )
