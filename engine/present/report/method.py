"""The sections of a report that let others check it: how and where it was measured, and what it takes for granted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.experiment.wording import listed
from engine.present.report.blocks import Column, Heading, Points, Table, Words
from engine.present.report.wording import moment
from engine.tradeoff.bootstrap import CONFIDENCE
from engine.tradeoff.panels import panel
from engine.tradeoff.verdicts import MIN_QUERIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.present.report.blocks import Block
    from engine.present.report.sources import Sources
    from engine.workspace import Run

_METRICS = {"cosine": "cosine similarity", "ip": "the inner product", "l2": "Euclidean distance"}


def method(sources: Sources) -> tuple[Block, ...]:
    """Say how every number was found."""
    sweep, criterion = sources.sweep, sources.summary.criterion
    info, dims = sweep.dataset, [f"{dim:,}" for dim in sweep.dims]
    first = "After layer-normalising the full vector, a" if sweep.recipe == "layer_norm" else "A"
    said = (
        (
            f"{first} vector is cut to its first components and compared by {_METRICS[sweep.metric]}; every document "
            "is scored at every dimension, none is skipped."
        ),
        f"{info.n_queries:,} queries were asked of {info.n_docs:,} documents at {listed(dims)} dimensions.",
        (
            "Recall@k is the share of the full dimension's top k that is still found; documents that tie with the last "
            "of them count."
        ),
        *_judgements(sources),
        (
            f"Intervals are {100 * CONFIDENCE:g} % percentile bootstrap intervals over the queries, the same resampled "
            "queries at every dimension."
        ),
        (
            f"A dimension is safe when its whole interval meets the target ({_target(sources)}), harmful when its "
            f"whole interval misses it, else undecided; fewer than {MIN_QUERIES} queries are never called safe."
        ),
        (
            "The recommendation is the smallest dimension that is safe after Holm's correction over all the dimensions "
            f"tried, at k = {criterion.k}."
        ),
        *_further_methods(sources),
    )
    return (Points(items=said),)


def _further_methods(sources: Sources) -> Iterable[str]:
    if sources.experiments:
        yield (
            "A/B tests are read by user (delta method). A metric is safe when a loss beyond its margin is ruled out; "
            "no significant difference does not make it safe."
        )
    if sources.ramps:
        yield "Rollouts are replayed from the audit log; the monitor judges intervals, never single values."
    if sources.migrations:
        yield "Migrations are validated by comparing the numbers of rows, the ids and the values that both stores hold."


def assumptions(sources: Sources) -> tuple[Block, ...]:
    """List what the numbers take for granted and what limits them, by where it comes from."""
    blocks: list[Block] = []
    for title, labels, sentences in _taken_for_granted(sources):
        told = tuple(dict.fromkeys(sentences))
        if told:
            blocks += [Heading(text=title, labels=labels), Points(items=told)]
    return tuple(blocks)


def provenance(sources: Sources) -> tuple[Block, ...]:
    """List the runs, seeds and digests by which the numbers can be made again, and the machine they were made on."""
    runs = tuple(_runs(sources))
    blocks: list[Block] = [
        Table(
            key="runs",
            title="Runs and seeds",
            columns=(
                Column(name="run", values=[run.id for _, run in runs]),
                Column(name="what", values=[what for what, _ in runs], form="data"),
                Column(name="made", values=[moment(run.created_at) for _, run in runs]),
                Column(name="seed", values=[str(run.seed) for _, run in runs]),
                Column(name="took, s", values=[run.elapsed_s for _, run in runs], form="number"),
            ),
        ),
        _digests(sources),
        _machine(sources.run),
    ]
    others = sorted({_where(run) for _, run in runs} - {_where(sources.run)})
    if others:
        blocks.append(Words(text=f"Some of these runs were made elsewhere: {'; '.join(others)}.", tone="note"))
    return (*blocks, *([Points(items=sources.problems)] if sources.problems else []))


def _judgements(sources: Sources) -> list[str]:
    if not sources.sweep.has_judgements:
        return []
    return ["nDCG@k is against the relevance judgements, as trec_eval counts it (linear gain, ideal of all judged)."]


def _target(sources: Sources) -> str:
    criterion = sources.summary.criterion
    if criterion.quantity == "recall":
        return f"mean recall@{criterion.k} of at least {criterion.target:g}"
    return f"at least {100 * criterion.target:g} % of the full dimension's nDCG@{criterion.k}"


def _taken_for_granted(sources: Sources) -> Iterable[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    info = sources.sweep.dataset
    yield "The sweep", info.labels, (*info.warnings, *sources.sweep.warnings)
    for key, answer in sources.answers.items():
        result = answer.result
        if result is not None and key != "clusters":
            yield panel(key).title, info.labels, (*getattr(result, "assumptions", ()), *result.warnings)
    for one in sources.experiments:
        analysis = one.analysis
        yield f"A/B test {analysis.experiment_id}", analysis.labels, (*analysis.assumptions, *analysis.warnings)
    if sources.plan is not None:
        yield "The plan", sources.plan.plan.strategy.labels, sources.plan.plan.assumptions
    for ramp in sources.ramps:
        yield f"Rollout {ramp.status.rollout.key}", ramp.labels, ramp.status.warnings


def _runs(sources: Sources) -> Iterable[tuple[str, Run]]:
    yield "sweep", sources.run
    yield from ((panel(key).title, run) for key, run in sources.panel_runs.items())
    for one in sources.experiments:
        yield f"A/B test {one.analysis.experiment_id}", one.run
    for moved in sources.migrations:
        yield f"migration of {moved.report.source.table or moved.report.source.url}", moved.run


def _digests(sources: Sources) -> Table:
    found = [("data set: vectors, ids, judgements, metric and recipe", sources.sweep.dataset.sha256)]
    found += [
        (f"events of A/B test {one.analysis.experiment_id}", one.analysis.events_digest)
        for one in sources.experiments
        if one.analysis.events_digest is not None
    ]
    return Table(
        key="digests",
        title="Digests (sha256)",
        columns=(
            Column(name="of", values=[what for what, _ in found], form="data"),
            Column(name="sha256", values=[digest for _, digest in found]),
        ),
    )


def _machine(run: Run) -> Table:
    where: dict[str, Any] = run.environment
    memory = where.get("memory_bytes")
    facts = {
        "processor": where.get("cpu"),
        "cores used": where.get("cores"),
        "memory": None if memory is None else f"{memory / 2**30:,.1f} GiB",
        "system": where.get("platform"),
        "Python": where.get("python"),
        "Dimshift": where.get("dimshift"),
        **(where.get("packages") or {}),
    }
    facts |= {f"{one['name']} threads": one["threads"] for one in where.get("blas") or ()}
    known = {name: str(value) for name, value in facts.items() if value is not None}
    return Table(
        key="machine",
        title="Machine of the sweep",
        columns=(
            Column(name="what", values=list(known)),
            Column(name="found", values=list(known.values()), form="data"),
        ),
    )


def _where(run: Run) -> str:
    return f"{run.environment.get('cpu') or 'an unknown processor'}, {run.environment.get('platform') or 'unknown'}"
