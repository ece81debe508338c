"""The stages that measure: the bundled set kept, swept beside its control, every panel, and what serving costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.embeddings.samples import load_sample
from engine.experiment.wording import percent, plural
from engine.present.demonstration.kept import Outcome
from engine.present.demonstration.others_work import CONTROL
from engine.present.demonstration.scene import part
from engine.tradeoff import Criterion, save_sweep, sweep
from engine.tradeoff.export import criterion_json
from engine.tradeoff.panels import PANELS, explore, panel_answers, panel_runs
from engine.tradeoff.size.cost import CostAssumptions, Serving
from engine.tradeoff.size.options import compare_costs, kept_estimates, save_estimate, serving_options

if TYPE_CHECKING:
    from engine.embeddings import EmbeddingSet
    from engine.present.demonstration.scene import Scene
    from engine.progress import Progress
    from engine.tradeoff.size.cost import CostEstimate
    from engine.workspace import Run

CRITERION = Criterion(quantity="ndcg", k=10, target=0.9)
"""A tenth of nDCG@10 may be lost: no fewer dims of this set are safe by recall@10, and the story would end here."""

_FEWER_QUERIES = 500


def keep_data(scene: Scene, progress: Progress) -> Outcome:
    """Store the bundled set, texts and judgements with it."""
    progress(0.0, "Reading the API reference")
    kept = scene.workspace.save_dataset(scene.embedding_set)
    return Outcome(sentence=f"{kept.name}: {kept.n_docs:,} documents of {kept.dim:,} dims, with judgements.")


def sweep_sets(scene: Scene, progress: Progress) -> Outcome:
    """Sweep the rotated control, half of the queries by another seed, and at last the set that all else is about."""
    _swept(scene, load_sample(CONTROL), part(progress, 0, 3), seed=scene.seed)
    _swept(scene, scene.embedding_set, part(progress, 1, 3), seed=scene.seed ^ 1, n_queries=_FEWER_QUERIES)
    run = _swept(scene, scene.embedding_set, part(progress, 2, 3), seed=scene.seed)
    return Outcome(sentence=str(run.summary["recommendation"]["reason"]), run_id=run.id)


def measure_panels(scene: Scene, progress: Progress) -> Outcome:
    """Measure what the Explore pages show, panel by panel, each kept at once."""
    known = panel_runs(scene.workspace, scene.sweep_run)
    wanted = [one.key for one in PANELS if scene.panels is None or one.key in scene.panels]
    missing = [key for key in wanted if key not in known]
    explore(
        scene.workspace,
        scene.embedding_set,
        scene.sweep,
        run_id=scene.sweep_run.id,
        keys=missing,
        progress=progress,
        cancelled=scene.cancelled,
    )
    titles = [one.title for one in PANELS if one.key in wanted]
    return Outcome(sentence=f"{plural(len(titles), 'panel')} measured: {', '.join(titles) or 'none was asked for'}.")


def estimate_costs(scene: Scene, progress: Progress) -> Outcome:
    """Keep an estimate of a month's cost at the full dimension and at the one to keep, under placeholder prices."""
    progress(0.0, "Estimating costs")
    kept = kept_estimates(scene.workspace, scene.sweep_run)
    if kept:
        return Outcome(sentence=_cost_sentence(kept[0].estimate), run_id=kept[0].run_id)
    answers = panel_answers(scene.workspace, scene.sweep_run)
    measured = {key: answers[key].result for key in ("footprint", "latency") if key in answers}
    assumptions = CostAssumptions()
    options = serving_options(scene.sweep.dims, n_docs=assumptions.n_docs, **measured)
    now, then = (_float32(options, dim) for dim in (scene.sweep.dims[-1], scene.dim))
    estimate = compare_costs(assumptions, now=now, then=then)
    run = save_estimate(scene.workspace, scene.sweep_run, scene.sweep.dataset, estimate)
    return Outcome(sentence=_cost_sentence(estimate), run_id=run.id)


def _swept(scene: Scene, chosen: EmbeddingSet, progress: Progress, *, seed: int, n_queries: int | None = None) -> Run:
    """Return the sweep of `chosen` with these settings, the one that is stored where there is one."""
    wanted = (seed, n_queries or chosen.n_queries, criterion_json(CRITERION))
    for run in scene.workspace.runs(kind="sweep", dataset_sha256=chosen.sha256):
        if (run.seed, run.dataset["n_queries"], run.summary["criterion"]) == wanted:
            return run
    result = sweep(chosen, n_queries=n_queries, seed=seed, progress=progress, cancelled=scene.cancelled)
    return save_sweep(scene.workspace, result, criterion=CRITERION)


def _float32(options: tuple[Serving, ...], dim: int) -> Serving:
    label = Serving.float32(dim).label
    return next(option for option in options if option.label == label)


def _cost_sentence(estimate: CostEstimate) -> str:
    currency, now, then = estimate.assumptions.currency, estimate.now.cost_per_month, estimate.then.cost_per_month
    change = "less" if estimate.saving_share >= 0 else "more"
    return (
        f"{currency} {then:,.0f} a month instead of {currency} {now:,.0f}, {percent(abs(estimate.saving_share))} "
        f"{change}, for {plural(estimate.assumptions.n_docs, 'document')} under placeholder prices."
    )
