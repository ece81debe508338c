"""What serving costs a month, now and then: every price is an assumption that is kept and shown with the result."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from engine.errors import ParameterError
from engine.tradeoff.rows import at_least
from engine.tradeoff.summary import BYTES_PER_COMPONENT

if TYPE_CHECKING:
    from engine.tradeoff.size.footprint import FootprintRow
    from engine.tradeoff.size.funnel import FunnelRow

GIB = 2**30
HOURS_PER_MONTH = 730.0
"""8,760 hours a year over twelve months, as cloud price lists count."""
SECONDS_PER_DAY = 86_400
_SMALLEST, _LARGEST = 1e-12, 1e15


@dataclass(frozen=True, kw_only=True)
class CostAssumptions:
    """Everything a cost is computed from that is not measured; edit it with `dataclasses.replace`.

    Prices are in `currency` and only placeholders for your own price list. `utilisation` is the share of the processors
    paid for that queries may keep busy on an average day; the rest is for peaks. `query_ms` (processor time of a query)
    and `build_rows_per_s` (rows indexed a second by one replica) stand in wherever nothing was measured, alike now and
    then, so that an assumption never shows a saving.
    """

    n_docs: int = 5_000_000
    queries_per_day: float = 1_000_000.0
    replicas: int = 2
    memory_price_per_gib_month: float = 3.0
    disk_price_per_gib_month: float = 0.10
    vcpu_price_per_hour: float = 0.04
    utilisation: float = 0.4
    query_ms: float = 10.0
    build_rows_per_s: float = 1_000.0
    currency: str = "USD"

    def __post_init__(self) -> None:
        _check_extent("the number of documents", at_least("the number of documents", self.n_docs, 1))
        _check_extent("the number of replicas", at_least("the number of replicas", self.replicas, 1))
        for field in fields(self):
            if field.type == "float":
                _check_positive(field.name, getattr(self, field.name))
        if self.utilisation > 1:
            raise ParameterError(
                "utilisation is a share, above 0 and at most 1",
                found=self.utilisation,
                hint="0.4 keeps processors 40 % busy",
            )


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How the vectors are served: what a vector takes, and what was measured (None where nothing was).

    `query_ms` is the measured single-query latency at `CostAssumptions.n_docs` documents (see `query_ms_at`),
    `build_rows_per_s` the measured rows a second of building the index.
    """

    label: str
    dim: int
    memory_bytes_per_vector: float
    disk_bytes_per_vector: float
    query_ms: float | None = None
    build_rows_per_s: float | None = None

    def __post_init__(self) -> None:
        at_least("the dimension", self.dim, 1)
        for name in ("memory_bytes_per_vector", "disk_bytes_per_vector"):
            _check_positive(name, getattr(self, name))
        for name in ("query_ms", "build_rows_per_s"):
            if getattr(self, name) is not None:
                _check_positive(name, getattr(self, name))

    @classmethod
    def float32(cls, dim: int, *, link_bytes_per_vector: float = 0.0) -> Serving:
        """Return float32 vectors of `dim` components, 4 × dim + links bytes in memory and on disk."""
        size = BYTES_PER_COMPONENT * at_least("the dimension", dim, 1) + link_bytes_per_vector
        return cls(label=f"float32, {dim:,} dims", dim=dim, memory_bytes_per_vector=size, disk_bytes_per_vector=size)

    @classmethod
    def of_footprint(cls, row: FootprintRow) -> Serving:
        """Return a measured storage option."""
        reranked = " + rerank" if row.option.rerank else ""
        return cls(
            label=f"{row.option.dtype}, {row.option.dim:,} dims{reranked}",
            dim=row.option.dim,
            memory_bytes_per_vector=row.memory_bytes_per_vector,
            disk_bytes_per_vector=row.disk_bytes_per_vector,
        )

    @classmethod
    def of_funnel(cls, row: FunnelRow) -> Serving:
        """Return a measured funnel."""
        return cls(
            label=f"{row.dtype}, {row.dim:,} dims + rerank of {row.shortlist:,}",
            dim=row.dim,
            memory_bytes_per_vector=row.memory_bytes_per_vector,
            disk_bytes_per_vector=row.disk_bytes_per_vector,
        )

    def measured(self, *, query_ms: float | None = None, build_rows_per_s: float | None = None) -> Serving:
        """Return it with what was measured."""
        return replace(self, query_ms=query_ms, build_rows_per_s=build_rows_per_s)


@dataclass(frozen=True, kw_only=True)
class MonthlyCost:
    """What one way of serving takes and costs; memory, disk and processors are of all replicas together.

    `query_ms_measured` and `build_measured` say whether latency and build speed were measured or assumed.
    """

    serving: Serving
    memory_gib: float
    disk_gib: float
    vcpus: float
    build_hours: float
    memory_cost_per_month: float
    disk_cost_per_month: float
    vcpu_cost_per_month: float
    cost_per_month: float
    query_ms: float
    query_ms_measured: bool
    build_rows_per_s: float
    build_measured: bool


@dataclass(frozen=True, kw_only=True)
class CostEstimate:
    """The monthly cost now and then under one set of assumptions, and what is saved; negative where it costs more."""

    assumptions: CostAssumptions
    now: MonthlyCost
    then: MonthlyCost
    saving_per_month: float
    saving_share: float
    notes: tuple[str, ...]


def estimate_cost(
    assumptions: CostAssumptions | None = None, *, now: Serving | None = None, then: Serving | None = None
) -> CostEstimate:
    """Return the monthly cost of serving `now` and `then` (default: float32 of 3,072 and of 768 dims).

    With GiB = 2^30 bytes and a month of 730 hours::

        memory_gib  = n_docs × memory_bytes_per_vector × replicas / 2^30        disk_gib likewise
        vcpus       = queries_per_day × query_ms / 1,000 / 86,400 / utilisation
        build_hours = n_docs / build_rows_per_s / 3,600                          replicas build side by side
        cost        = memory_gib × memory_price + disk_gib × disk_price + vcpus × 730 × vcpu_price

    Replicas share the queries, so they multiply memory and disk but not processors. Operating system, network, metadata
    and texts are not counted.

    Raises
    ------
    ParameterError
        When a price, size or rate is 0 or below, or there are no documents (by the dataclasses themselves).
    """
    assumptions = CostAssumptions() if assumptions is None else assumptions
    before = _monthly(assumptions, Serving.float32(3072) if now is None else now)
    after = _monthly(assumptions, Serving.float32(768) if then is None else then)
    saving = before.cost_per_month - after.cost_per_month
    return CostEstimate(
        assumptions=assumptions,
        now=before,
        then=after,
        saving_per_month=saving,
        saving_share=saving / before.cost_per_month,
        notes=_notes(before, after),
    )


def query_ms_at(query_ms: float, *, measured_docs: int, n_docs: int, exact: bool) -> float:
    """Return the latency to expect at `n_docs` documents of one measured at `measured_docs`.

    An exact scan takes time in proportion to the documents. A graph index (``exact=False``) takes it in proportion to
    their logarithm, ``log(n_docs) / log(measured_docs)`` (Malkov & Yashunin 2018, §4.2.1); both are extrapolations.

    Raises
    ------
    ParameterError
        When the latency is 0 or below, or there are no documents (a graph: fewer than two).
    """
    _check_positive("query_ms", query_ms)
    least = 1 if exact else 2
    at_least("the number of documents measured", measured_docs, least)
    at_least("the number of documents", n_docs, least)
    return query_ms * (n_docs / measured_docs if exact else math.log(n_docs) / math.log(measured_docs))


def _monthly(assumptions: CostAssumptions, serving: Serving) -> MonthlyCost:
    held = assumptions.n_docs * assumptions.replicas / GIB
    memory_gib, disk_gib = held * serving.memory_bytes_per_vector, held * serving.disk_bytes_per_vector
    query_ms = assumptions.query_ms if serving.query_ms is None else serving.query_ms
    rows_per_s = assumptions.build_rows_per_s if serving.build_rows_per_s is None else serving.build_rows_per_s
    busy_s_per_day = assumptions.queries_per_day * query_ms / 1_000
    vcpus = busy_s_per_day / SECONDS_PER_DAY / assumptions.utilisation
    memory = memory_gib * assumptions.memory_price_per_gib_month
    disk = disk_gib * assumptions.disk_price_per_gib_month
    vcpu = vcpus * HOURS_PER_MONTH * assumptions.vcpu_price_per_hour
    return MonthlyCost(
        serving=serving,
        memory_gib=memory_gib,
        disk_gib=disk_gib,
        vcpus=vcpus,
        build_hours=assumptions.n_docs / rows_per_s / 3_600,
        memory_cost_per_month=memory,
        disk_cost_per_month=disk,
        vcpu_cost_per_month=vcpu,
        cost_per_month=memory + disk + vcpu,
        query_ms=query_ms,
        query_ms_measured=serving.query_ms is not None,
        build_rows_per_s=rows_per_s,
        build_measured=serving.build_rows_per_s is not None,
    )


def _notes(*costs: MonthlyCost) -> tuple[str, ...]:
    notes = ["Prices are assumptions: put in those of your own price list."]
    for cost in costs:
        if not cost.query_ms_measured:
            notes.append(f"{cost.serving.label}: the latency of {cost.query_ms:g} ms is assumed, not measured.")
        if not cost.build_measured:
            notes.append(
                f"{cost.serving.label}: the build speed of {cost.build_rows_per_s:,g} rows a second is assumed, "
                "not measured."
            )
    return tuple(notes)


def _check_positive(name: str, value: float) -> None:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if not known or not math.isfinite(value) or value <= 0:
        raise ParameterError(f"{name.replace('_', ' ')} must be a number above 0", found=value)
    _check_extent(name, value)


def _check_extent(name: str, value: float) -> None:
    # Far beyond anything real, and close enough to 1 that no product of them overflows or vanishes.
    if not _SMALLEST <= value <= _LARGEST:
        raise ParameterError(f"{name.replace('_', ' ')} must lie within {_SMALLEST:g} and {_LARGEST:g}", found=value)
