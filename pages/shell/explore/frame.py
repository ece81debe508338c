"""What every page beside the sweep begins with: the run, how far its measuring is, and the panels that are ready."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from engine.errors import EngineError
from engine.tradeoff.panels import PANELS, PanelAnswer, PanelOptions
from pages.shell import figures, jobs, state
from pages.shell.company.allowed import shown
from pages.shell.data.at_hand import set_of
from pages.shell.explore import explored, exploring
from pages.shell.runs import opened_run, run_bar
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from engine.tradeoff import SweepResult
    from engine.workspace import Job, Run
    from pages.shell.state import AtHand

_NOT_AT_HAND = (
    "The data set of this run is not at hand, so nothing more can be measured: load it again on the Datasets page, and "
    "keep it in the workspace to have it here next time."
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Opened:
    """The run that a page shows: its sweep, the panels stored for it, its data set where that is at hand.

    `failures` say why a panel could not be measured; `is_measuring` while a job is under way.
    """

    run: Run
    sweep: SweepResult
    answers: Mapping[str, PanelAnswer]
    found: AtHand | None
    failures: Mapping[str, str]
    is_measuring: bool

    @property
    def dim(self) -> int:
        """The dimension that sentences speak of: the recommended one, or about half where none below full is."""
        dims = self.sweep.dims
        recommended = (self.run.summary.get("recommendation") or {}).get("dim")
        half = max((dim for dim in dims if 2 * dim <= dims[-1]), default=dims[0])
        return int(recommended) if recommended in dims[:-1] else half

    def answer(self, key: str) -> PanelAnswer | None:
        """Return the stored answer of a panel that has a result; else say why there is none and return None."""
        stored = self.answers.get(key)
        if stored is not None and stored.result is not None:
            return stored
        if stored is not None:
            st.info(sentence(stored.refused), icon=":material/block:")
        elif key in self.failures:
            st.error(sentence(self.failures[key]))
        elif self.is_measuring:
            st.caption(":material/hourglass_top: Being measured; it appears here as soon as it is ready.")
        else:
            st.info(
                "Not measured yet." if self.found is None else "Not measured yet. The button above measures it.",
                icon=":material/hourglass_empty:",
            )
        return None


def open_page(title: str, words: str, *, first: Collection[str]) -> Opened:
    """Draw the head of a page and return what it shows; the page ends here when there is no run to show.

    `first` are the panels of this page: they are measured before those of the other pages.
    """
    figures.redraw_for_another_theme()
    exploring.take_finished()
    sweeping = jobs.first_sweep()
    st.title(title, anchor=False)
    st.markdown(words)
    if sweeping is not None and not sweeping.is_finished:
        jobs.show_first_sweep(sweeping)
        st.stop()
    bar, messages = st.container(), st.container()
    with messages:
        run = opened_run()
    with bar:
        about = run_bar(run)
    if run is None:
        st.stop()
    with about:
        _about(run)
    try:
        sweep = explored.swept(run)
    except EngineError as error:
        st.error(sentence(error))
        st.stop()
    found = set_of(run)
    with messages:
        job = _progress(run, found, first=first)
        stored = explored.stored_answers(run)
        is_measuring = bool(state.followed_jobs("explore")) or (job is not None and not job.is_finished)
        if not is_measuring:
            _offer(run, found, stored.answers, first=first)
    return Opened(
        run=run,
        sweep=sweep,
        answers=stored.answers,
        found=found,
        failures=stored.unreadable | exploring.failures_of(run, job),
        is_measuring=is_measuring,
    )


def measure_again(
    opened: Opened, key: str, *, options: PanelOptions | None = None, label: str = "Measure again"
) -> None:
    """Offer to measure one panel anew; the new answer takes the old one's place on the page."""
    if opened.found is None:
        return
    chosen = exploring.default_options() if options is None else options
    st.button(
        label,
        key=f"again_{key}",
        icon=":material/refresh:",
        **shown(
            "job",
            "start",
            disabled=opened.is_measuring,
            help="Wait until what is under way is measured." if opened.is_measuring else None,
        ),
        on_click=exploring.start,
        args=(opened.run, opened.found.embedding_set),
        kwargs={"keys": [key], "options": chosen},
    )


def small_print(result: Any, *, facts: Sequence[str] = ()) -> None:
    """Say of a panel on what it was measured, what it assumes and what limits it."""
    info = result.dataset
    k = [f"k {result.k}"] if hasattr(result, "k") else []
    line = [
        f"**{plain(info.name)}**",
        *(plain(label) for label in info.labels),
        f"{info.n_docs:,} documents",
        *k,
        *facts,
        f"seed {result.seed}",
        f"{result.elapsed_s:.2g} s" if result.elapsed_s < 1 else f"{result.elapsed_s:.1f} s",
    ]
    st.caption(" · ".join(line))
    for words in result.warnings:
        st.caption(f":material/info: {plain(words)}")
    assumptions = getattr(result, "assumptions", ())
    if assumptions:
        with st.expander("Assumptions", icon=":material/rule:"):
            st.markdown("\n".join(f"- {plain(words)}" for words in assumptions))


def _about(run: Run) -> None:
    info = run.dataset
    facts = [
        f"**{plain(info.get('name', 'Unnamed set'))}**",
        *(plain(label) for label in info.get("labels", ())),
        f"{info.get('n_docs', 0):,} documents",
        f"{info.get('n_queries', 0):,} queries",
        f"{info.get('dim', 0):,} dimensions",
        plain(run.parameters.get("metric", "")),
    ]
    st.caption(" · ".join(facts))


def _progress(run: Run, found: AtHand | None, *, first: Collection[str]) -> Job | None:
    """Show what is being measured; return the job that measures a bundled set by itself, when there is one."""
    jobs.show_progress("explore", news=lambda: exploring.stored_panels(run))
    job = None if found is None else exploring.demonstration(run, found, first=first)
    if job is not None and not job.is_finished:
        exploring.watch_demonstration(run, job)
    elif job is not None and job.error:
        st.error(sentence(job.error))
    return job


def _offer(run: Run, found: AtHand | None, answers: Mapping[str, PanelAnswer], *, first: Collection[str]) -> None:
    missing = [one.key for one in PANELS if one.key not in answers]
    if found is None:
        if missing:
            st.info(_NOT_AT_HAND, icon=":material/database_off:")
        return
    if missing:
        st.button(
            "Measure all of it" if len(missing) == len(PANELS) else "Measure what is missing",
            type="primary",
            icon=":material/play_arrow:",
            key="measure",
            **shown(
                "job",
                "start",
                help="Latency, bytes, funnel, nesting, growth, scores and groups; each appears when it is ready.",
            ),
            on_click=exploring.start,
            args=(run, found.embedding_set),
            kwargs={"keys": missing, "first": first, "options": exploring.default_options()},
        )
