"""The latency panel: how long one query takes, what recall that buys, and how many queries a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import latency as charts
from engine.scoring import usable_processors
from engine.tradeoff.panels import PanelOptions
from pages.shell import figures
from pages.shell.explore.frame import measure_again, small_print

if TYPE_CHECKING:
    from engine.tradeoff.latency.results import LatencyPoint, LatencyResult
    from engine.tradeoff.percentiles import Percentile
    from pages.shell.explore.frame import Opened

KEY = "latency"
_MOST_THREADS = 64


def show(opened: Opened) -> None:
    """Draw the panel, or say why it is not there."""
    answer = opened.answer(KEY)
    if answer is None:
        return
    result: LatencyResult = answer.result
    st.markdown(_words(result, opened.dim))
    percentile = st.segmented_control(
        "Percentile",
        charts.PERCENTILE_NAMES,
        default="p50",
        required=True,
        key="percentile",
        bind="query-params",
        help="p95: nineteen of twenty queries are at least as fast.",
    )
    colours = figures.colours()
    figures.show(
        charts.latency_chart(result, percentile=percentile, colours=colours),
        alt=charts.describe_latency(result, percentile=percentile),
        key="latency_chart",
    )
    st.header("Recall against latency", anchor=False)
    figures.show(
        charts.recall_latency_chart(result, colours=colours),
        alt=charts.describe_recall_latency(result),
        key="recall_latency_chart",
    )
    _throughput(result)
    st.header("Every configuration", anchor=False)
    _table(result)
    blas = "unknown" if result.blas_threads is None else f"{result.blas_threads}"
    small_print(
        result,
        facts=(
            f"{result.n_timed_queries:,} queries timed, one thread each (BLAS: {blas})",
            f"throughput with 1 to {result.n_threads} threads on {result.processors} processors",
        ),
    )
    _again(opened, result)


def _words(result: LatencyResult, dim: int) -> str:
    told = []
    for path in result.paths:
        point = result.point(path, dim)
        faster = result.times_faster(point)
        told.append(f"{charts.PATH_NAMES[path]} {_ms(point.p50_ms)} ms (×{faster:.2g})")
    recall = result.point(result.paths[0], dim).recall.mean
    return (
        f"At **{dim:,} of {result.dims[-1]:,} dimensions** one query takes (median; in brackets how many times faster "
        f"than at {result.dims[-1]:,}): {', '.join(told)}. "
        f"Recall@{result.k} there is {recall:.3f}."
    )


def _throughput(result: LatencyResult) -> None:
    st.header("Throughput", anchor=False)
    measured = sorted({reached.n_threads for point in result.points for reached in point.throughput})
    n_threads = measured[-1]
    if len(measured) > 1:
        n_threads = st.segmented_control(
            "Threads", measured, default=n_threads, required=True, key="throughput_threads"
        )
    figures.show(
        charts.throughput_chart(result, n_threads=n_threads, colours=figures.colours()),
        alt=charts.describe_throughput(result, n_threads=n_threads),
        key="throughput_chart",
    )


def _table(result: LatencyResult) -> None:
    threads = sorted({reached.n_threads for point in result.points for reached in point.throughput})
    number = st.column_config.NumberColumn
    best = {result.points[place] for place in result.frontier()}
    st.dataframe(
        [_row(point, on_frontier=point in best) for point in result.points],
        hide_index=True,
        key="latency_table",
        placeholder="–",
        column_config={
            "path": st.column_config.TextColumn("Served from", pinned=True),
            "dim": number("Dimensions", format="localized"),
            "frontier": st.column_config.CheckboxColumn("On the frontier"),
            "p50": number("p50, ms", format="%.3f"),
            "p95": number("p95, ms", format="%.3f"),
            "p99": number("p99, ms", format="%.3f"),
            "p99 interval": st.column_config.TextColumn("p99, 95 % interval"),
            "recall": number(f"Recall@{result.k}", format="%.3f"),
            "ef": number(
                "ef", help="How many candidates a search of the graph keeps; the smallest tried that sufficed."
            ),
            "of exact": st.column_config.TextColumn(
                "Of the exact answer", help="What the graph finds of the exact answer at its own dimension."
            ),
            **{f"qps {n}": number(f"Queries/s, {n} thread{'s' if n > 1 else ''}", format="%.0f") for n in threads},
            "bytes": number("Bytes a vector", format="%.0f"),
            "build": number("Build, s", format="%.2f"),
        },
    )


def _row(point: LatencyPoint, *, on_frontier: bool) -> dict[str, object]:
    row: dict[str, object] = {
        "path": charts.PATH_NAMES[point.path],
        "dim": point.dim,
        "frontier": on_frontier,
        "p50": point.p50_ms.value,
        "p95": point.p95_ms.value,
        "p99": point.p99_ms.value,
        "p99 interval": _interval(point.p99_ms),
        "recall": point.recall.mean,
        "ef": None,
        "of exact": None,
    }
    if point.hnsw is not None:
        found = point.hnsw.recall_of_exact
        missed = "" if point.hnsw.reached else ", target missed"
        row |= {"ef": point.hnsw.ef, "of exact": f"{found.mean:.3f} ({found.low:.3f}–{found.high:.3f}){missed}"}
    row |= {f"qps {reached.n_threads}": reached.queries_per_s for reached in point.throughput}
    return row | {"bytes": point.bytes_per_vector, "build": point.build_s}


def _again(opened: Opened, result: LatencyResult) -> None:
    if opened.found is None:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        threads = st.number_input(
            "Threads",
            1,
            _MOST_THREADS,
            min(_MOST_THREADS, result.n_threads),
            width=140,
            key="latency_threads",
            help="Throughput is measured with one thread and with up to as many.",
        )
        measure_again(opened, KEY, options=PanelOptions(n_threads=int(threads)))
    processors = usable_processors()
    if threads > processors:
        st.warning(
            f"{threads} threads on {processors} processors: they wait for each other, and throughput stays flat."
        )


def _ms(value: Percentile) -> str:
    return f"{value.value:.3g}"


def _interval(value: Percentile) -> str | None:
    return None if value.low is None or value.high is None else f"{value.low:.3g}–{value.high:.3g}"
