"""The cost panel: what a month costs now and then, under assumptions that stand beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.charts import cost as charts
from engine.errors import EngineError
from engine.tradeoff.size.cost import CostAssumptions, CostEstimate, Serving
from engine.tradeoff.size.options import compare_costs, kept_estimates, save_estimate, serving_options
from pages.shell import figures
from pages.shell.company.allowed import shown
from pages.shell.services import services
from pages.shell.text import local_time, plain, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from engine.tradeoff.size.cost import MonthlyCost
    from engine.tradeoff.size.options import Index
    from pages.shell.explore.frame import Opened

_INDEX_NAMES: Mapping[Index, str] = {"hnsw": "HNSW", "exact": "exact scan"}
_USUAL = CostAssumptions()
FIELDS: tuple[tuple[str, str, str | None], ...] = (
    ("n_docs", "Documents", None),
    ("queries_per_day", "Queries a day", None),
    ("replicas", "Replicas", "Each holds all vectors; the queries are shared."),
    ("memory_price_per_gib_month", "Memory, per GiB and month", None),
    ("disk_price_per_gib_month", "Disk, per GiB and month", None),
    ("vcpu_price_per_hour", "vCPU, per hour", None),
    (
        "utilisation",
        "Utilisation (0 to 1)",
        "The share of the processors that queries may keep busy on an average day.",
    ),
    ("query_ms", "Query, ms where not measured", "Processor time of a query; stands in alike now and then."),
    ("build_rows_per_s", "Rows indexed a second where not measured", None),
)


def show(opened: Opened) -> None:
    """Let the reader edit the assumptions and choose what is compared; show the estimate and keep it on demand."""
    left, right = st.columns([1, 2], gap="large")
    with left:
        given, index = _assumptions()
    with right:
        try:
            assumptions = CostAssumptions(**given)
            estimate = _estimate(opened, assumptions, index)
        except EngineError as error:
            st.error(sentence(error))
            return
        _result(estimate)
        _keep(opened, estimate)


def _assumptions() -> tuple[Mapping[str, Any], Index]:
    st.header("Assumptions", anchor=False)
    given: dict[str, Any] = {}
    for name, label, explained in FIELDS:
        usual = getattr(_USUAL, name)
        given[name] = st.number_input(
            label,
            value=usual,
            step=max(1, usual // 10) if isinstance(usual, int) else usual / 10,
            format="%d" if isinstance(usual, int) else "%g",
            key=f"cost_{name}",
            persist_state="session",
            help=explained,
        )
    given["currency"] = st.text_input(
        "Currency", _USUAL.currency, max_chars=8, key="cost_currency", persist_state="session"
    )
    index = st.segmented_control(
        "Queries are answered by",
        list(_INDEX_NAMES),
        format_func=lambda name: _INDEX_NAMES[name],
        default="hnsw",
        required=True,
        key="cost_index",
        persist_state="session",
        help="HNSW: its links are counted into memory and disk, its latency grows with the logarithm of the corpus. "
        "Exact scan: latency grows with the corpus.",
    )
    return given, index


def _estimate(opened: Opened, assumptions: CostAssumptions, index: Index) -> CostEstimate:
    results = {key: answer.result for key, answer in opened.answers.items()}
    offered = serving_options(
        opened.sweep.dims,
        n_docs=assumptions.n_docs,
        index=index,
        footprint=results.get("footprint"),
        latency=results.get("latency"),
    )
    options = {option.label: option for option in offered}
    now, then = st.columns(2, gap="medium")
    chosen_now = now.selectbox("Now", list(options), key="cost_now", persist_state="session")
    labels = list(options)
    chosen_then = then.selectbox(
        "Then", labels, index=labels.index(Serving.float32(opened.dim).label), key="cost_then", persist_state="session"
    )
    return compare_costs(assumptions, now=options[chosen_now], then=options[chosen_then])


def _result(estimate: CostEstimate) -> None:
    currency = plain(estimate.assumptions.currency)
    saved = estimate.saving_per_month
    with st.container(horizontal=True, gap="small"):
        st.metric(
            "Saved a month" if saved >= 0 else "More a month",
            f"{abs(saved):,.0f} {currency}",
            f"{100 * abs(estimate.saving_share):.0f} % of {estimate.now.cost_per_month:,.0f}",
            delta_color="off",
            delta_arrow="off",
            border=True,
        )
        for label, then, now, unit in (
            ("Memory", estimate.then.memory_gib, estimate.now.memory_gib, "GiB"),
            ("Disk", estimate.then.disk_gib, estimate.now.disk_gib, "GiB"),
            ("Build", estimate.then.build_hours, estimate.now.build_hours, "h"),
        ):
            st.metric(
                label,
                f"{then:,.1f} {unit}",
                f"now {now:,.1f} {unit}",
                delta_color="off",
                delta_arrow="off",
                border=True,
            )
    figures.show(
        charts.cost_chart(estimate, colours=figures.colours()), alt=charts.describe_cost(estimate), key="cost_chart"
    )
    _table(estimate)
    for note in estimate.notes:
        st.caption(f":material/info: {plain(note)}")


def _table(estimate: CostEstimate) -> None:
    currency = estimate.assumptions.currency
    lines = (
        (f"Memory, {currency} a month", "memory_cost_per_month"),
        (f"Disk, {currency} a month", "disk_cost_per_month"),
        (f"Processors, {currency} a month", "vcpu_cost_per_month"),
        (f"Together, {currency} a month", "cost_per_month"),
        ("Memory, GiB", "memory_gib"),
        ("Disk, GiB", "disk_gib"),
        ("vCPUs", "vcpus"),
        ("Query, ms", "query_ms"),
        ("Build, hours", "build_hours"),
    )
    number = st.column_config.NumberColumn
    st.dataframe(
        [
            {
                "of": label,
                "now": getattr(estimate.now, name),
                "then": getattr(estimate.then, name),
                "less": getattr(estimate.now, name) - getattr(estimate.then, name),
            }
            for label, name in lines
        ],
        hide_index=True,
        key="cost_table",
        column_config={
            "of": st.column_config.TextColumn("All replicas together", pinned=True),
            "now": number("Now", format="%.2f"),
            "then": number("Then", format="%.2f"),
            "less": number("Saving", format="%.2f"),
        },
    )
    st.caption(f"{_measured('Now', estimate.now)} · {_measured('Then', estimate.then)}")


def _measured(when: str, month: MonthlyCost) -> str:
    how = "measured here and carried over to that many documents" if month.query_ms_measured else "assumed"
    return f"{when}: {plain(month.serving.label)}, {month.query_ms:.3g} ms {how}"


def _keep(opened: Opened, estimate: CostEstimate) -> None:
    workspace = services().workspace
    if st.button(
        "Keep this estimate",
        icon=":material/bookmark:",
        key="keep_cost",
        **shown("run", "save", help="With its assumptions."),
    ):
        try:
            save_estimate(workspace, opened.run, opened.sweep.dataset, estimate)
        except EngineError as error:
            st.error(sentence(error))
    try:
        kept = kept_estimates(workspace, opened.run)
    except EngineError as error:
        st.error(sentence(error))
        return
    if not kept:
        return
    st.header("Kept estimates", anchor=False)
    zone = st.context.timezone
    st.dataframe(
        [
            {
                "when": local_time(one.created_at, zone),
                "now": one.estimate.now.serving.label,
                "then": one.estimate.then.serving.label,
                "saving": one.estimate.saving_per_month,
                "currency": one.estimate.assumptions.currency,
                "docs": one.estimate.assumptions.n_docs,
                "queries": one.estimate.assumptions.queries_per_day,
                "replicas": one.estimate.assumptions.replicas,
            }
            for one in kept
        ],
        hide_index=True,
        key="kept_costs",
        column_config={
            "when": "Kept",
            "now": "Now",
            "then": "Then",
            "saving": st.column_config.NumberColumn("Saving a month", format="%.2f"),
            "currency": "Currency",
            "docs": st.column_config.NumberColumn("Documents", format="localized"),
            "queries": st.column_config.NumberColumn("Queries a day", format="localized"),
            "replicas": "Replicas",
        },
    )
