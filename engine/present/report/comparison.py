"""The section of a report that sets the sweep beside others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.charts import comparison as charts
from engine.present.report.blocks import Chart, Column, Points, Table, Words, intervals

if TYPE_CHECKING:
    from engine.present.report.blocks import Block
    from engine.present.report.sources import Sources
    from engine.tradeoff.results import Quantity
    from engine.tradeoff.run_comparison import RunComparison

_NAMES: dict[Quantity, str] = {"recall": "Recall", "ndcg": "nDCG"}


def comparison(sources: Sources) -> tuple[Block, ...]:
    """Set the sweep beside the ones it is compared with: facts, curves and differences."""
    found = sources.comparison
    return () if found is None else comparison_blocks(found)


def comparison_blocks(found: RunComparison) -> tuple[Block, ...]:
    """Tell runs side by side: who they are, what the differences show, every curve, and what keeps them apart."""
    drawn = tuple(block for quantity in found.quantities for block in _quantity(found, quantity))
    cautions = (Words(text=" ".join(found.warnings), tone="note"),) if found.warnings else ()
    return (compared_runs(found), *([Points(items=found.sentences)] if found.sentences else []), *drawn, *cautions)


def compared_runs(found: RunComparison) -> Table:
    """List what tells the runs from each other."""
    runs, infos = found.runs, [run.dataset for run in found.runs]
    return Table(
        key="compared_runs",
        title="Runs side by side",
        columns=(
            Column(name="run", values=[run.label for run in runs], form="data"),
            Column(name="id", values=[run.run_id for run in runs], is_shown=False),
            Column(name="documents", values=[info.n_docs for info in infos], form="count"),
            Column(name="queries", values=[info.n_queries for info in infos], form="count"),
            Column(name="full dimension", values=[info.dim for info in infos], form="count"),
            Column(name="recommended", values=[run.recommended_dim for run in runs], form="count"),
            Column(name="metric", values=[run.metric for run in runs]),
            Column(name="seed", values=[str(run.seed) for run in runs]),
            Column(name="labels of the set", values=[", ".join(info.labels) or None for info in infos], form="data"),
            Column(name="sha256", values=[info.sha256 for info in infos], is_shown=False),
        ),
    )


def _quantity(found: RunComparison, quantity: Quantity) -> tuple[Block, ...]:
    name = f"{_NAMES[quantity]}@{found.k}"
    differences = found.differences_of(quantity)
    curves = Chart(
        title=f"{name} of every run",
        description=charts.describe_comparison(found, quantity=quantity),
        draw=lambda colours: charts.comparison_chart(found, quantity=quantity, colours=colours),
    )
    if not differences:
        return (curves,)
    return (
        curves,
        Chart(
            title=f"Difference in {name} to the first run",
            description=charts.describe_difference(found, quantity=quantity),
            draw=lambda colours: charts.difference_chart(found, quantity=quantity, colours=colours),
        ),
        compared_values(found, quantity),
    )


def compared_values(found: RunComparison, quantity: Quantity) -> Table:
    """List the difference of every run to the first, at every dimension that both swept."""
    differences, name = found.differences_of(quantity), f"{_NAMES[quantity]}@{found.k}"
    return Table(
        key=f"compared_{quantity}",
        title=f"Difference in {name}",
        columns=(
            Column(name="run", values=[found.run(one.run_id).label for one in differences], form="data"),
            Column(name="dimensions", values=[one.dim for one in differences], form="count"),
            intervals("difference", (one.difference for one in differences), form="signed"),
            Column(name="than the first", values=[one.verdict for one in differences]),
            Column(name="paired", values=[one.is_paired for one in differences], form="yes_no"),
            Column(name="queries", values=[one.n_queries for one in differences], form="count"),
        ),
    )
