"""The steps that are measured: data, sweep, decision; with what the recommended dimension keeps and saves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.experiment.wording import plural
from engine.present.journey.measured_figures import faster, kept, saved, sizes
from engine.present.journey.results import EXAMPLE, Action, Step

if TYPE_CHECKING:
    from engine.present.journey.evidence import Evidence
    from engine.present.journey.results import StepState
    from engine.workspace import Run


def data_step(found: Evidence) -> Step:
    """Say which vectors the migration is about."""
    action = Action(label="Load my vectors", page="datasets")
    if found.sweep is not None:
        facts = found.sweep.dataset
        name, n_docs, dim, n_queries = (facts.get(key) for key in ("name", "n_docs", "dim", "n_queries"))
        judged, labels = bool(found.sweep.summary.get("has_judgements")), tuple(facts.get("labels", ()))
    elif found.datasets:
        one = found.datasets[0]
        name, n_docs, dim, n_queries = one.name, one.n_docs, one.dim, one.n_queries
        judged, labels = one.has_judgements, one.labels
    else:
        return Step(
            key="data",
            title="Data",
            state="waiting",
            sentence="No vectors yet.",
            missing=("The vectors of your corpus, with queries; relevance judgements too where you have them.",),
            action=action,
        )
    with_judgements = ", with relevance judgements" if judged else ", without relevance judgements"
    return Step(
        key="data",
        title="Data",
        state="done",
        sentence=f"{name}: {n_docs:,} documents of {dim:,} dimensions, {n_queries:,} queries{with_judgements}.",
        labels=(*((EXAMPLE,) if found.is_example else ()), *labels),
        action=action,
    )


def sweep_step(found: Evidence) -> Step:
    """Say what was measured, with recall and ranking quality at the dimension that the decision is about."""
    run = found.sweep
    if run is None:
        return Step(
            key="sweep",
            title="Sweep",
            state="waiting",
            sentence="No dimension has been measured.",
            missing=("A sweep: what every dimension keeps of the full one.",),
            action=Action(label="Measure every dimension", page="sweep"),
        )
    dims = run.parameters["dims"]
    n_queries = int(run.dataset["n_queries"])
    return Step(
        key="sweep",
        title="Sweep",
        state="done",
        sentence=f"{plural(len(dims), 'dimension')} from {min(dims):,} to {max(dims):,} measured with "
        f"{n_queries:,} queries.",
        figures=kept(run),
        labels=tuple(run.dataset.get("labels", ())),
        action=Action(label="Look at the curve", page="sweep", query={"run": run.id}),
        at=run.created_at,
    )


def decision_step(found: Evidence) -> Step:
    """Say which dimension to keep, by the sweep's recommendation or a kept plan, and what that saves."""
    run = found.sweep
    if run is None:
        return Step(
            key="decision",
            title="Decision",
            state="waiting",
            sentence="Nothing to decide from yet.",
            missing=("A sweep that shows a smaller dimension to be safe.",),
            action=Action(label="Look at the curve", page="sweep"),
        )
    said, plan = run.summary["recommendation"], None if found.plan is None else found.plan.plan.strategy
    is_safe, is_harmful = said["dim"] is not None, said["verdict"] == "harmful"
    sentence = str(said["reason"]) + ("" if plan is None else f" The plan that is kept: {plan.headline}.")
    is_decided = is_safe or (plan is not None and plan.outcome in {"full migration", "query reduced"})
    is_stopped = plan.is_stop if plan is not None else is_harmful
    action = Action(label="Look at the curve", page="sweep", query={"run": run.id})
    if plan is not None:
        action = Action(label="Look at the plan", page="plan")
    elif not is_safe:
        action = replace(action, label="Judge by another target" if is_harmful else "See what would settle it")
    state: StepState = "stopped" if is_stopped else "done" if is_decided else "waiting"
    return Step(
        key="decision",
        title="Decision",
        state=state,
        sentence=sentence,
        figures=(*sizes(run), *saved(found), *faster(found)),
        missing=() if state == "done" else (_what_would_decide(run),),
        labels=tuple(run.dataset.get("labels", ())),
        action=action,
        at=run.created_at,
    )


def decision_headline(found: Evidence) -> str:
    """Return the recommendation of the newest sweep as a headline, without a full stop."""
    if found.sweep is None:
        return "Start with your vectors"
    said, full = found.sweep.summary["recommendation"], int(found.sweep.dataset["dim"])
    if said["dim"] is not None:
        return f"Keep {said['dim']:,} of {full:,} dimensions"
    if said["verdict"] == "harmful":
        return f"Keep all {full:,} dimensions"
    return f"No smaller dimension is safe yet; keep all {full:,}"


def _what_would_decide(run: Run) -> str:
    criterion = run.summary["criterion"]
    quantity = {"recall": "recall@{}", "ndcg": "nDCG@{} kept"}[criterion["quantity"]].format(criterion["k"])
    return (
        f"A dimension below {run.dataset['dim']:,} that is shown to be safe ({quantity} of at least "
        f"{criterion['target']:g}, or a target of your own), or a plan that goes on all the same."
    )
