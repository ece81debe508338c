"""The headline figures that a sweep and what was measured beside it give, each with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.charts.latency import PATH_NAMES
from engine.charts.theme import VERDICTS
from engine.present.journey.results import Figure
from engine.present.report.wording import interval_words, written
from engine.tradeoff.results import Interval
from engine.tradeoff.summary import BYTES_PER_COMPONENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.present.journey.evidence import Evidence
    from engine.present.journey.results import FigureKey
    from engine.tradeoff.latency.results import LatencyPoint
    from engine.workspace import Run

_UNKNOWN = float("nan")


def kept(run: Run) -> tuple[Figure, ...]:
    """Return recall, and the share of nDCG where there are judgements, at the recommended dimension.

    Without a recommendation they are at the largest dimension below the full one.
    """
    point = _spotlight(run)
    k = run.summary["criterion"]["k"]
    figures = []
    if "recall" in point:
        recall = _interval(point["recall"])
        figures.append(
            _of_interval(
                "recall",
                f"Recall@{k}{_at(run)}",
                written(recall.mean, "score"),
                interval_words(recall),
                recall,
                explained=f"The share of the full dimension's top {k} that is still found.",
            )
        )
    if "ndcg_kept" in point:
        share = _interval(point["ndcg_kept"])
        figures.append(
            _of_interval(
                "ndcg",
                f"nDCG@{k} kept{_at(run)}",
                written(share.mean, "share"),
                interval_words(share, "share"),
                share,
                explained=f"nDCG@{k} against the relevance judgements, over that of the full dimension.",
            )
        )
    return tuple(figures)


def sizes(run: Run) -> tuple[Figure, ...]:
    """Return the recommended dimension and the bytes that it saves."""
    dim, full = run.summary["recommendation"]["dim"], int(run.dataset["dim"])
    shown = int(_spotlight(run)["dim"])
    share = 1 - shown / full
    recommended = Figure(
        key="dim",
        name="Recommended",
        text="none yet" if dim is None else f"{dim:,}",
        below=f"of {full:,} dimensions",
        explained="The smallest dimension whose verdict is safe after Holm's correction over the dims tried.",
        value=None if dim is None else float(dim),
    )
    if shown == full:
        return (recommended,)
    return (
        recommended,
        Figure(
            key="bytes",
            name=f"Bytes saved{_at(run)}",
            text=written(share, "share"),
            below=f"{shown * BYTES_PER_COMPONENT:,} of {full * BYTES_PER_COMPONENT:,} a vector",
            explained="Components as float32, 4 bytes each.",
            value=share,
        ),
    )


def saved(found: Evidence) -> tuple[Figure, ...]:
    """Return what a month costs less at the recommended dimension, where an estimate was kept."""
    if found.estimate is None:
        return ()
    one = found.estimate.estimate
    return (
        Figure(
            key="cost",
            name="Saved a month" if one.saving_per_month >= 0 else "More a month",
            text=f"{abs(one.saving_per_month):,.0f} {one.assumptions.currency}",
            below=f"{written(abs(one.saving_share), 'share')}, at assumed prices",
            explained=f"{one.then.serving.label} instead of {one.now.serving.label}, with {one.assumptions.n_docs:,} "
            f"documents and {one.assumptions.queries_per_day:,.0f} queries a day. Prices are assumptions to edit.",
            value=one.saving_per_month,
        ),
    )


def faster(found: Evidence) -> tuple[Figure, ...]:
    """Return how many times the p99 of the recommended dimension goes into that of the full one, where measured.

    Where their intervals overlap the text says so; the value is the ratio all the same.
    """
    latency, run = found.latency, found.sweep
    if latency is None or run is None:
        return ()
    dim = run.summary["recommendation"]["dim"]
    path = latency.paths[0]
    if dim is None or dim not in latency.dims or dim == latency.dims[-1]:
        return ()
    then, now = latency.point(path, dim), latency.point(path, latency.dims[-1])
    ratio = now.p99_ms.value / then.p99_ms.value
    return (
        Figure(
            key="p99",
            name="p99 latency",
            text=_compared(then, now),
            below=f"{_p99(then)} instead of {_p99(now)}",
            explained="Undecided where the two intervals overlap. "
            f"Of single queries on the machine that measured it: {PATH_NAMES[path]}, {latency.n_rows:,} "
            "documents. In brackets the 95 % order-statistic interval, where there were queries enough for one.",
            value=ratio,
        ),
    )


def _spotlight(run: Run) -> Mapping[str, Any]:
    """Return the stored point of the recommended dimension, else of the largest below the full one."""
    points, dim = run.summary["points"], run.summary["recommendation"]["dim"]
    chosen: Mapping[str, Any] = next((one for one in points if one["dim"] == dim), points[max(0, len(points) - 2)])
    return chosen


def _at(run: Run) -> str:
    is_recommended = run.summary["recommendation"]["dim"] is not None
    return "" if is_recommended else f" at {_spotlight(run)['dim']:,}"


def _interval(stored: Mapping[str, float | None]) -> Interval:
    return Interval(**{name: _UNKNOWN if value is None else value for name, value in stored.items()})


def _of_interval(key: FigureKey, name: str, text: str, below: str, interval: Interval, *, explained: str) -> Figure:
    return Figure(
        key=key,
        name=name,
        text=text,
        below=below,
        explained=explained,
        value=interval.mean,
        low=interval.low,
        high=interval.high,
    )


def _compared(then: LatencyPoint, now: LatencyPoint) -> str:
    """Write how many times faster or slower, where the two intervals stand apart."""
    ours, theirs = then.p99_ms, now.p99_ms
    if ours.high is not None and theirs.low is not None and ours.high < theirs.low:
        return f"×{theirs.value / ours.value:.2g} faster"
    if ours.low is not None and theirs.high is not None and ours.low > theirs.high:
        return f"×{ours.value / theirs.value:.2g} slower"
    return f"{VERDICTS['undecided'].symbol} undecided"


def _p99(point: LatencyPoint) -> str:
    found = point.p99_ms
    if found.low is None or found.high is None:
        return f"{written(found.value, 'ms')}\u00a0ms (no interval)"
    return f"{written(found.value, 'ms')}\u00a0ms ({written(found.low, 'ms')} to {written(found.high, 'ms')})"
