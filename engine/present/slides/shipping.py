"""The slides that A/B tests, rollouts and migrations fill, the newest of each first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.experiment.wording import as_start, milliseconds, signed
from engine.present.report import shipping as told
from engine.present.report.blocks import Card
from engine.present.report.decision import migrated
from engine.present.report.wording import interval_words, written
from engine.present.slides.slide import charts_of, name_of, slide

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.experiment.results import Analysis, Estimate, LatencyResult
    from engine.migration.results import MigrationReport
    from engine.present.report.blocks import Chart
    from engine.present.report.sources import Moved, Ramp, Sources
    from engine.present.slides.slide import Slide

_LATENCY_TOLD = ("p99", "p95", "p50")


def experiments(sources: Sources) -> Iterable[Slide]:
    """Tell the verdict of each A/B test, and how its latency changed."""
    for number, one in enumerate(sources.experiments, 1):
        charts = charts_of(told.experiments, replace(sources, experiments=(one,)))
        yield from _experiment(one.analysis, number, charts)


def rollouts(sources: Sources) -> Iterable[Slide]:
    """Tell where each rollout stands, and what went wrong last."""
    for number, one in enumerate(sources.ramps, 1):
        yield from _ramp(one, number, charts_of(told.rollouts, replace(sources, ramps=(one,))))


def migrations(sources: Sources) -> Iterable[Slide]:
    """Tell whether source and target of each migration agree."""
    for number, one in enumerate(sources.migrations, 1):
        yield _migration(one, number, charts_of(told.migrations, replace(sources, migrations=(one,))))


def _experiment(found: Analysis, number: int, charts: tuple[Chart, ...]) -> Iterable[Slide]:
    section = f"A/B test {name_of(found.experiment_id)}"
    headline, rest = _first_sentence(found.headline)
    verdict_word, _, why = headline.partition(": ")
    changes = charts[0] if found.metrics else None
    size = f"{found.n_queries:,} queries of {found.n_users:,} users, {found.n_days:,} days"
    yield slide(
        f"ab-{number}",
        section,
        as_start(why) if why and verdict_word.lower() == found.verdict else headline,
        below=f"{rest} {size}.".strip(),
        chart=changes,
        numbers=() if changes is not None else _counted(found),
        labels=found.labels,
        verdict=found.verdict if found.is_trustworthy else None,
    )
    rows = {row.key: row for row in found.latencies if row.relative.value is not None}
    row = next((rows[key] for key in _LATENCY_TOLD if key in rows), None)
    drawn = next((chart for chart in charts if chart.title == "Latency of both arms"), None)
    if row is not None and drawn is not None:
        yield _latency(found, row, f"ab-{number}-latency", section, drawn)


def _counted(found: Analysis) -> tuple[Card, ...]:
    return tuple(
        Card(
            name=name_of(arm.name),
            value=f"{arm.n_users:,} users",
            below="" if arm.share is None else f"{written(arm.share, 'share')} intended",
        )
        for arm in found.arms
    )


def _latency(found: Analysis, row: LatencyResult, key: str, section: str, chart: Chart) -> Slide:
    change = row.relative.value or 0.0
    moved = "falls" if change < 0 else "rises"
    return slide(
        key,
        section,
        f"{row.key} latency {moved} by {signed(abs(change)).lstrip('+')}: {_ms(row.treatment)} instead of "
        f"{_ms(row.control)}",
        below=f"Change {signed(change)}{_range(row.relative)}; intervals are clustered by user.",
        chart=chart,
        labels=found.labels,
        verdict=row.verdict if row.is_judged else None,
    )


def _ms(found: Estimate) -> str:
    return "an unknown time" if found.value is None else milliseconds(found.value)


def _range(found: Estimate) -> str:
    if found.low is None or found.high is None:
        return " (no interval)"
    return f", 95 % interval {signed(found.low)} to {signed(found.high)}"


def _ramp(one: Ramp, number: int, charts: tuple[Chart, ...]) -> Iterable[Slide]:
    status = one.status
    section = f"Rollout {name_of(status.rollout.key)}"
    headline, _, why = status.sentence.partition(": ")
    watched = f"{len(one.looks):,} looks of the monitor; the audit log replays to this very state."
    yield slide(
        f"rollout-{number}",
        section,
        headline,
        below=as_start(why) if why else watched if one.looks and one.agrees else "",
        chart=charts[0],
        labels=(status.rollout.state.value, *one.labels),
    )
    for incident in status.incidents[:1]:
        why = incident.sentences[0] if incident.sentences else incident.title
        what, _, how = why.partition(": ")
        then = "" if why == incident.title else f"{incident.title}."
        # A rollback names the metric that it is about first, and so do the charts.
        about = next((chart for chart in charts[1:] if why.startswith(chart.title.partition(",")[0])), None)
        yield slide(
            f"rollout-{number}-incident",
            section,
            what,
            below=" ".join(part for part in (as_start(how), then) if part),
            chart=about,
            labels=("incident open" if incident.is_open else "incident closed", *_simulated(incident.is_simulated)),
        )


def _migration(one: Moved, number: int, charts: tuple[Chart, ...]) -> Slide:
    report = one.report
    is_whole = report.validation.verdict == "equal" and not report.n_held
    return slide(
        f"migration-{number}",
        "Migration",
        f"All {report.n_written:,} rows moved to {report.dims:,} dimensions, and source and target are equal"
        if is_whole
        else migrated(one),
        below=_moved(report),
        chart=charts[0] if charts else None,
        numbers=() if charts else _facts(report),
        labels=(report.validation.verdict,),
    )


def _moved(report: MigrationReport) -> str:
    search = report.validation.search
    if search is None:
        return f"{len(report.validation.checks):,} checks; search through the target's index was not measured."
    recall = search.neighbour_recall
    expected = search.predicted
    before = (
        ""
        if expected is None
        else f"; the sweep predicted {written(expected.mean, 'share')} ({interval_words(expected, 'share')})"
    )
    return (
        f"Search in the target finds {written(recall.mean, 'share')} of the source's top {search.k} "
        f"({interval_words(recall, 'share')}){before}. {report.rows_per_s:,.0f} rows a second."
    )


def _facts(report: MigrationReport) -> tuple[Card, ...]:
    return (
        Card(name="Rows moved", value=f"{report.n_written:,}", below=f"of {report.n_read:,}"),
        Card(name="Set aside", value=f"{report.n_held:,}"),
        Card(name="Rows a second", value=f"{report.rows_per_s:,.0f}"),
        Card(name="Rows that differ", value=f"{report.validation.n_differing:,}"),
    )


def _simulated(is_simulated: bool) -> tuple[str, ...]:  # a label for a fact
    return ("simulated",) if is_simulated else ()


def _first_sentence(text: str) -> tuple[str, str]:
    first, stop, rest = text.partition(". ")
    return first + stop.strip(), rest
