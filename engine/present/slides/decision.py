"""The slides on what to do: the verdict, what it costs, who loses, and what all of it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.present.report import decision as told
from engine.present.report.blocks import Card, Cards
from engine.present.report.wording import interval_words, written
from engine.present.slides.slide import charts_of, slide
from engine.tradeoff.bootstrap import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.present.report.sources import Sources
    from engine.present.slides.slide import Slide

_SAID_BY_THE_HEADLINE = "Recommended"


def verdict(sources: Sources) -> Iterable[Slide]:
    """Say how many dimensions to keep, in big numbers, and why."""
    summary = sources.summary
    cards = [card for block in told.verdict(sources) if isinstance(block, Cards) for card in block.items]
    yield slide(
        "verdict",
        "Verdict",
        told.recommended(summary),
        below=summary.recommendation.reason,
        numbers=[card for card in cards if card.name != _SAID_BY_THE_HEADLINE],
        labels=summary.dataset.labels,
        verdict=summary.recommendation.verdict,
    )


def cost(sources: Sources) -> Iterable[Slide]:
    """Say what a month costs then and now."""
    kept = sources.estimate
    if kept is None:
        return
    estimate, assumed = kept.estimate, kept.estimate.assumptions
    less = "less" if estimate.saving_per_month >= 0 else "more"
    other = "" if estimate.then.serving.dim == sources.dim else " These are not the dimensions of the verdict."
    yield slide(
        "cost",
        "Cost",
        f"Serving it costs {written(abs(estimate.saving_share), 'share')} {less}: "
        f"{estimate.then.cost_per_month:,.0f} instead of {estimate.now.cost_per_month:,.0f} {assumed.currency} a month",
        below=f"{estimate.then.serving.label} instead of {estimate.now.serving.label}, for {assumed.n_docs:,} "
        f"documents and {assumed.queries_per_day:,.0f} queries a day.{other}",
        chart=charts_of(told.cost, sources)[0],
        labels=("assumed prices",),
    )


def losers(sources: Sources) -> Iterable[Slide]:
    """Say how many queries get worse, and whether a group of them loses more than the others."""
    found = sources.losses
    if found is None or not found.n_queries:
        return
    labels = sources.summary.dataset.labels
    change, *groups = charts_of(told.losers, sources)
    quantity = f"recall@{found.k}" if found.quantity == "recall" else f"nDCG@{found.k}"
    yield slide(
        "losers",
        "Who loses",
        f"{written(found.harmed.mean, 'share')} of the queries get worse at {found.dim:,} dimensions, "
        f"{written(found.improved.mean, 'share')} better",
        below=f"Worse in {quantity}: {interval_words(found.harmed, 'share')} of {found.n_queries:,} queries. Mean "
        f"change {written(found.mean.mean, 'signed')}, {interval_words(found.mean, 'signed')}.",
        chart=change,
        labels=labels,
    )
    by = sources.segments
    if by is None or not by.segments or not groups:
        return
    worse = sum(one.clearly_worse for one in by.segments)
    n_groups = len(by.segments)
    yield slide(
        "groups",
        "Who loses",
        f"{worse:,} of {n_groups:,} groups of queries {'loses' if worse == 1 else 'lose'} clearly more than the others"
        if worse
        else f"None of {n_groups:,} groups of queries loses clearly more than the others",
        below=f"Mean change of {quantity} with 95 % intervals, grouped by "
        f"{'the labels of the set' if by.segment_source == 'labels' else 'clusters of query vectors'}.",
        chart=groups[0],
        labels=labels,
    )


def basis(sources: Sources) -> Iterable[Slide]:
    """Say what every number before rests on."""
    info, sweep = sources.sweep.dataset, sources.sweep
    yield slide(
        "basis",
        "What this rests on",
        "Every document was scored at every dimension, for every query",
        numbers=(
            Card(name="Documents", value=f"{info.n_docs:,}", below=info.name),
            Card(name="Queries", value=f"{info.n_queries:,}", below=_judged(sources)),
            Card(name="Dimensions compared", value=f"{len(sweep.dims):,}", below=f"{sweep.dims[0]:,} to {info.dim:,}"),
        ),
        below=f"Intervals: {100 * CONFIDENCE:g} % bootstrap over the queries, paired across dimensions. Seed "
        f"{sweep.seed}, run {sources.run.id}.",
        labels=info.labels,
    )


def _judged(sources: Sources) -> str:
    return "with relevance judgements" if sources.sweep.has_judgements else "compared with the full dimension"
