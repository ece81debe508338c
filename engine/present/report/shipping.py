"""The sections of a report that A/B tests, rollouts and migrations fill, one after the other, the newest first."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from engine.charts import experiment as ab_charts
from engine.charts import experiment_checks as check_charts
from engine.charts import experiment_days as day_charts
from engine.charts import migration as migration_charts
from engine.charts import rollout as rollout_charts
from engine.charts import rollout_metrics as metric_charts
from engine.experiment.wording import as_start
from engine.present.report.blocks import Chart, Column, Heading, Points, Statement, Table, Words
from engine.present.report.decision import migrated
from engine.present.report.wording import iso_moment, moment
from engine.rollout.thresholds import METRIC_NAMES, METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.experiment.results import Analysis, ArmValue, Estimate
    from engine.migration.results import MigrationReport, Pass
    from engine.present.report.blocks import Block, Form
    from engine.present.report.sources import Experiment, Moved, Ramp, Sources
    from engine.rollout import Incident
    from engine.rollout.series import LookPoint
    from engine.rollout.thresholds import Metric

_STEPS_SHOWN = 30
_INCIDENTS_TOLD = 5
_MOST_LOOKS = 160  # drawn of a rollout: thousands, of windows of an hour, would outgrow the file
_ALARMED = {"warning", "critical", "roll back"}


def experiments(sources: Sources) -> tuple[Block, ...]:
    """Tell each A/B test: its verdict, what it rests on, the change of every metric, the days, latency and groups."""
    told = (_experiment(one, number) for number, one in enumerate(sources.experiments, 1))
    return tuple(chain.from_iterable(told))


def rollouts(sources: Sources) -> tuple[Block, ...]:
    """Tell each rollout: where it stands, how it went, what the monitor saw, every step and every incident."""
    return tuple(chain.from_iterable(_ramp(one, number) for number, one in enumerate(sources.ramps, 1)))


def migrations(sources: Sources) -> tuple[Block, ...]:
    """Tell each migration: whether source and target agree, what was checked, and how search in the target does."""
    return tuple(chain.from_iterable(_migration(one, number) for number, one in enumerate(sources.migrations, 1)))


def _experiment(one: Experiment, number: int) -> Iterable[Block]:
    found = one.analysis
    size = f"{found.n_queries:,} queries of {found.n_users:,} users"
    days = f", {found.n_days:,} days" if found.n_days > 1 else ""
    yield Statement(
        verdict=found.verdict,
        title=found.experiment_id if found.is_trustworthy else f"{found.experiment_id}: no read-out",
        reason=found.headline.partition(": ")[2] if found.is_trustworthy else found.headline,
        labels=found.labels,
        aside=f"{size}{days}, read {moment(one.run.created_at)}",
    )
    if found.sentences[1:]:
        yield Points(items=found.sentences[1:])
    if found.metrics:
        yield Chart(
            title="Change of every metric against its margin",
            description=ab_charts.describe_changes(found),
            draw=lambda colours: ab_charts.change_chart(found, colours=colours),
        )
        yield _metrics(found, number)
    yield from _days(found)
    yield from _latencies(found, number)
    yield from _ab_segments(found, number)
    yield _arms(found, number)
    yield _gates(found, number)


def _metrics(found: Analysis, number: int) -> Table:
    rows = found.metrics
    return Table(
        key=f"ab_{number}_metrics",
        title="Metrics",
        labels=found.labels,
        columns=(
            Column(name="metric", values=[as_start(one.name) for one in rows]),
            _estimates("control", [one.control for one in rows], form="share"),
            _estimates("treatment", [one.treatment for one in rows], form="share"),
            _estimates("relative change", [one.relative for one in rows]),
            _estimates("anytime-valid", [one.anytime for one in rows]),
            Column(name="margin", values=[one.margin.relative for one in rows], form="share"),
            Column(name="verdict", values=[one.verdict for one in rows], form="verdict"),
            Column(name="judged", values=[one.is_judged for one in rows], form="yes_no", is_shown=False),
            Column(name="further users", values=[one.further_users for one in rows], form="count", is_shown=False),
        ),
    )


def _estimates(name: str, found: Sequence[Estimate | ArmValue], *, form: Form = "change") -> Column:
    return Column(
        name=name,
        values=[one.value for one in found],
        low=[one.low for one in found],
        high=[one.high for one in found],
        form=form,
    )


def _days(found: Analysis) -> Iterable[Block]:
    if found.n_days < 2 or not found.daily.metrics:
        return
    key = found.daily.metrics[0].key
    yield Chart(
        title=f"{as_start(found.daily.metrics[0].name)} so far, day by day",
        description=day_charts.describe_cumulative(found, key),
        draw=lambda colours: day_charts.cumulative_chart(found, key, colours=colours),
    )
    yield Words(text=found.peeking.sentence, tone="note")


def _latencies(found: Analysis, number: int) -> Iterable[Block]:
    if not found.latencies:
        return
    rows = found.latencies
    yield Chart(
        title="Latency of both arms",
        description=check_charts.describe_latency(found),
        draw=lambda colours: check_charts.latency_chart(found, colours=colours),
    )
    yield Table(
        key=f"ab_{number}_latency",
        title="Latency",
        labels=found.labels,
        columns=(
            Column(name="percentile", values=[one.key for one in rows]),
            _estimates("control, ms", [one.control for one in rows], form="ms"),
            _estimates("treatment, ms", [one.treatment for one in rows], form="ms"),
            _estimates("relative change", [one.relative for one in rows]),
            Column(name="verdict", values=[one.verdict for one in rows], form="verdict"),
            Column(name="judged", values=[one.is_judged for one in rows], form="yes_no"),
        ),
    )


def _ab_segments(found: Analysis, number: int) -> Iterable[Block]:
    for one in found.stratified:
        yield Words(text=one.sentence, tone="warning" if one.is_reversed else "plain")
    if not found.segments:
        return
    metric = found.segments[0].metric
    yield Chart(
        title="Change by segment",
        description=check_charts.describe_segments(found, metric),
        draw=lambda colours: check_charts.segments_chart(found, metric, colours=colours),
    )
    rows, names = found.segments, {one.key: as_start(one.name) for one in found.metrics}
    yield Table(
        key=f"ab_{number}_segments",
        title="Segments",
        labels=found.labels,
        columns=(
            Column(name="segment", values=[one.segment for one in rows], form="data"),
            Column(name="metric", values=[names.get(one.metric, one.metric) for one in rows]),
            _estimates("relative change", [one.relative for one in rows]),
            Column(name="verdict", values=[one.verdict for one in rows], form="verdict"),
        ),
    )


def _arms(found: Analysis, number: int) -> Table:
    arms = found.arms
    counted = {"queries": "n_queries", "clicks": "n_clicks", "conversions": "n_conversions", "errors": "n_errors"}
    return Table(
        key=f"ab_{number}_arms",
        title="Arms",
        labels=found.labels,
        columns=(
            Column(name="arm", values=[one.name for one in arms], form="data"),
            Column(name="users", values=[one.n_users for one in arms], form="count"),
            Column(name="intended share", values=[one.share for one in arms], form="share"),
            Column(name="share found", values=[one.observed_share for one in arms], form="share"),
            *(
                Column(name=name, values=[getattr(one, field) for one in arms], form="count")
                for name, field in counted.items()
            ),
        ),
    )


def _gates(found: Analysis, number: int) -> Table:
    return Table(
        key=f"ab_{number}_checks",
        title="Checks before any metric",
        labels=found.labels,
        columns=(
            Column(name="check", values=[gate.title for gate in found.gates]),
            Column(
                name="passed",
                values=[gate.is_passed if gate.is_checked else None for gate in found.gates],
                form="yes_no",
            ),
            Column(name="what was found", values=[gate.sentence for gate in found.gates], form="words"),
        ),
    )


def _ramp(one: Ramp, number: int) -> Iterable[Block]:
    status, rollout, labels = one.status, one.status.rollout, one.labels
    yield Heading(text=rollout.key, labels=(rollout.state.value, *labels))
    yield Words(text=status.sentence, tone="lead")
    about = [f"Flag {rollout.flag_key}, variant {rollout.treatment}", rollout.description, _owner(rollout.owner)]
    yield Words(text=". ".join(part.rstrip(".") for part in about if part) + ".", tone="note")
    yield Chart(
        title="Share of users in the treatment",
        description=rollout_charts.describe_timeline(status),
        draw=lambda colours: rollout_charts.timeline_chart(status, one.history, colours=colours),
    )
    drawn = drawn_looks(one.looks)
    for metric in METRICS if drawn else ():
        yield _seen(one, drawn, metric)
    if len(drawn) < len(one.looks):
        thinned = f"Of {len(one.looks):,} looks of the monitor {len(drawn):,} are drawn, those with an alert first."
        yield Words(text=thinned, tone="note")
    yield _steps(one, number)
    yield Words(
        text="Replayed from the audit log, step by step, the rollout ends in the very state that is kept."
        if one.agrees
        else "The audit log and the rollout do not agree: somebody changed one of them past the engine.",
        tone="note" if one.agrees else "warning",
    )
    for incident in status.incidents[:_INCIDENTS_TOLD]:
        yield from _incident(incident)


def _owner(owner: str) -> str:
    return f"Owner: {owner}" if owner else ""


def drawn_looks(looks: Sequence[LookPoint], *, most: int = _MOST_LOOKS) -> tuple[LookPoint, ...]:
    """Return at most `most` looks in order of time: the last one, those with an alert, and of the rest evenly."""
    if len(looks) <= most:
        return tuple(looks)
    alarmed = [place for place, look in enumerate(looks) if any(one.status in _ALARMED for one in look.readings)]
    kept = {len(looks) - 1, *_evenly(alarmed, most - 1)}
    others = [place for place in range(len(looks)) if place not in kept]
    kept.update(_evenly(others, most - len(kept)))
    return tuple(look for place, look in enumerate(looks) if place in kept)


def _evenly(places: Sequence[int], n: int) -> list[int]:
    if len(places) <= n:
        return list(places)
    return [places[(step * len(places)) // n] for step in range(n)]


def _seen(one: Ramp, drawn: Sequence[LookPoint], metric: Metric) -> Chart:
    return Chart(
        title=f"{as_start(METRIC_NAMES[metric])}, day by day",
        description=metric_charts.describe_metric(one.looks, metric),
        draw=lambda colours: metric_charts.metric_chart(drawn, metric, colours=colours, labels=one.labels),
    )


def _steps(one: Ramp, number: int) -> Table:
    steps = one.history
    return Table(
        key=f"rollout_{number}_steps",
        title="Every step",
        labels=one.labels,
        most_shown=_STEPS_SHOWN,
        note="Moments are those of the rollout's own clock, in UTC.",
        columns=(
            Column(name="when", values=[moment(step.at) for step in steps]),
            Column(name="step", values=[step.action for step in steps]),
            Column(name="users in treatment, %", values=[step.percent for step in steps], form="count"),
            Column(name="state then", values=[step.state.value for step in steps]),
            Column(name="who", values=[step.actor for step in steps], form="data"),
            Column(name="why", values=[step.reason for step in steps], form="words"),
            Column(name="against the checks", values=[step.override for step in steps], form="words"),
            Column(name="replay agrees", values=[step.agrees for step in steps], form="yes_no", is_shown=False),
        ),
    )


def _incident(one: Incident) -> Iterable[Block]:
    yield Heading(
        text=f"Incident: {one.title}",
        labels=("open" if one.is_open else "closed", *(("simulated",) if one.is_simulated else ())),
    )
    closed = ""
    if one.closed_at is not None:
        closed = f" Closed {moment(one.closed_at)} by {one.closed_by}: {one.note.rstrip('.')}."
    yield Words(text=f"Opened {moment(one.opened_at)} at {one.percent:g} % of the users.{closed}", tone="note")
    yield Points(items=one.sentences)


def _migration(one: Moved, number: int) -> Iterable[Block]:
    report, validation = one.report, one.report.validation
    yield Heading(text=f"{report.source.url} → {report.target.url}", labels=(validation.verdict,))
    yield Words(text=migrated(one), tone="lead")
    yield Table(
        key=f"migration_{number}_checks",
        title="What was checked",
        columns=(
            Column(name="check", values=[check.name for check in validation.checks]),
            Column(name="holds", values=[check.passed for check in validation.checks], form="yes_no"),
            Column(name="what was found", values=[check.sentence for check in validation.checks], form="words"),
        ),
    )
    if validation.search is not None:
        search = validation.search
        yield Chart(
            title="Search in the target",
            description=migration_charts.describe_search_check(search),
            draw=lambda colours: migration_charts.search_check_chart(search, colours=colours),
        )
    yield _facts(report, number)
    yield Points(items=(*_caught_up(report.passes), *_equal(report), *report.warnings))
    yield from _differing(report, number)


def _facts(report: MigrationReport, number: int) -> Table:
    sides = (report.source, report.target)
    facts: dict[str, list[str | None]] = {
        "store": [side.kind for side in sides],
        "server": [side.server for side in sides],
        "table": [side.table for side in sides],
        "rows": [f"{side.n_rows:,}" for side in sides],
        "dimensions": [None if side.dim is None else f"{side.dim:,}" for side in sides],
        "numbers": [side.dtype for side in sides],
        "metric": [side.metric for side in sides],
        "index": [side.index for side in sides],
    }
    speed = f"{report.n_written:,} rows in {report.copy_s:,.1f} s, {report.rows_per_s:,.0f} rows a second"
    return Table(
        key=f"migration_{number}_stores",
        title="Source and target",
        note=f"{speed}; began {iso_moment(report.began)}, ended {iso_moment(report.ended)}.",
        columns=(
            Column(name="of", values=list(facts)),
            Column(name="source", values=[values[0] for values in facts.values()], form="data"),
            Column(name="target", values=[values[1] for values in facts.values()], form="data"),
        ),
    )


def _caught_up(passes: Sequence[Pass]) -> list[str]:
    return [
        f"Caught up by {one.by}: {one.n_changed:,} changed, {one.n_missing:,} new and {one.n_deleted:,} deleted rows."
        for one in passes
    ]


def _equal(report: MigrationReport) -> list[str]:
    if report.equal_from is None or report.equal_until is None:
        return ["The source changed faster than the passes over it."]
    began, ended = iso_moment(report.equal_from), iso_moment(report.equal_until)
    return [f"Source and target were equal between {began} and {ended}."]


def _differing(report: MigrationReport, number: int) -> Iterable[Block]:
    differing = report.validation.differing
    if differing:
        yield Table(
            key=f"migration_{number}_differing",
            title=f"Rows that differ, {len(differing):,} of {report.validation.n_differing:,}",
            columns=(
                Column(name="id", values=[row.id for row in differing], form="data"),
                Column(name="what", values=[row.what for row in differing], form="data"),
                Column(name="by at most", values=[row.largest for row in differing], form="count"),
            ),
        )
    if report.held:
        yield Table(
            key=f"migration_{number}_held",
            title=f"Rows set aside, {len(report.held):,} of {report.n_held:,}",
            columns=(
                Column(name="id", values=[row.id for row in report.held], form="data"),
                Column(name="why", values=[row.reason for row in report.held], form="words"),
            ),
        )
