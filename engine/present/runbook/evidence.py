"""What the system knows of every item of the checklist, from what was measured and from the live state."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engine.experiment.wording import as_start
from engine.migration.stores.urls import store_name
from engine.present.runbook.checks import Evidence
from engine.present.runbook.preflighting import settings_sha256
from engine.present.runbook.rehearsing import too_slow
from engine.rollout.thresholds import METRIC_NAMES, METRICS

if TYPE_CHECKING:
    from engine.present.runbook.checks import CheckKey
    from engine.present.runbook.situation import Situation

_NOTHING = Evidence(finding="nothing", sentence="")


def evidence_of(situation: Situation) -> dict[CheckKey, Evidence]:
    """Return the evidence for every item; an item that only people can tick has none."""
    return {
        "backup": _backup(situation),
        "kill-switch": _kill_switch(situation),
        "scripts": _NOTHING,
        "alerts": _alerts(situation),
        "preflight": _preflight(situation),
        "runbook": _written(situation),
        "on-call": _NOTHING,
    }


def gaps(situation: Situation) -> tuple[str, ...]:
    """Return what the steps cannot name yet."""
    found = []
    if situation.rollout is None:
        found.append("a rollout")
    if situation.flag is None:
        found.append("the flag")
    if not situation.on_call:
        found.append("who is on call")
    return tuple(found)


def _backup(situation: Situation) -> Evidence:
    job, report, count = situation.migration, situation.report, situation.kept.count
    if job is None:
        nothing = "No migration is in this workspace, so the system knows of no source; a person can tick a backup."
        return Evidence(finding="nothing", sentence=nothing)
    if count is not None and count.result.migration == job.id:
        found, at, by = count.result, count.at, count.by
        if found.problem:
            return Evidence(finding="outdated", sentence=found.sentence, at=at, by=by)
        return Evidence(finding="fails" if found.shortfall else "holds", sentence=found.sentence, at=at, by=by)
    if report is None:
        return Evidence(finding="nothing", sentence=f"The source {store_name(job.source)} has not been counted yet.")
    source, rows = report.source, report.validation.n_source
    sentence = (
        f"The source {store_name(source.url)} held {rows:,} rows of {source.dim or 0:,} dims when the migration was "
        "validated; it has not been counted since."
    )
    return Evidence(finding="holds" if rows else "fails", sentence=sentence, at=_moment(report.ended))


def _kill_switch(situation: Situation) -> Evidence:
    rehearsal = situation.kept.rehearsal
    if rehearsal is not None:
        slow = too_slow(rehearsal.result)
        sentence = slow or rehearsal.result.sentence
        return Evidence(finding="fails" if slow else "holds", sentence=sentence, at=rehearsal.at, by=rehearsal.by)
    killed, restored = situation.last_kill, situation.last_restore
    if killed is None or restored is None:
        return Evidence(finding="nothing", sentence="The kill switch has never been switched on and off again here.")
    return Evidence(
        finding="nothing",
        sentence=(
            f"It was killed on {killed.at:%Y-%m-%d} by {killed.actor} and restored on {restored.at:%Y-%m-%d}, but how "
            "soon clients followed has not been measured."
        ),
    )


def _alerts(situation: Situation) -> Evidence:
    if situation.rollout is None:
        return Evidence(finding="nothing", sentence="No rollout is there yet, so there is nothing to alert on.")
    rollout = situation.rollout.rollout
    limits = {metric: rollout.thresholds.limit(metric) for metric in METRICS}
    silent = [METRIC_NAMES[metric] for metric, limit in limits.items() if limit.to_be_seen is None]
    if silent:
        said = f"Rollout {rollout.key} has no threshold for {' and '.join(silent)}."
        return Evidence(finding="fails", sentence=said, at=situation.now)
    if all(limit.roll_back is None for limit in limits.values()):
        said = f"No threshold of rollout {rollout.key} rolls it back by itself."
        return Evidence(finding="fails", sentence=said, at=situation.now)
    stops = [METRIC_NAMES[metric] for metric, limit in limits.items() if limit.roll_back is not None]
    state = rollout.state.value
    return Evidence(
        finding="holds",
        sentence=(
            f"Rollout {rollout.key} ({state}) watches all three metrics, and is rolled back by itself for "
            f"{', '.join(stops)}. Whether somebody is paged is not known here."
        ),
    )


def _preflight(situation: Situation) -> Evidence:
    if situation.rollout is None:
        return Evidence(finding="nothing", sentence="No rollout is there yet, so there is nothing to simulate.")
    rollout = situation.rollout.rollout
    noted = situation.kept.preflights.get(rollout.key)
    if noted is None:
        return Evidence(finding="nothing", sentence=f"No pre-flight of rollout {rollout.key} has been kept.")
    note = noted.result
    if note.sha256 != settings_sha256(rollout.schedule, rollout.thresholds):
        said = f"Schedule or thresholds of rollout {rollout.key} have changed since its pre-flight."
        return Evidence(finding="outdated", sentence=said, at=noted.at, by=noted.by)
    said = f"{note.n_simulations:,} simulated rollouts a scenario, {note.traffic}. {as_start(note.sentences[0])}"
    return Evidence(finding="holds", sentence=said, at=noted.at, by=noted.by)


def _written(situation: Situation) -> Evidence:
    missing = gaps(situation)
    if missing:
        return Evidence(finding="nothing", sentence=f"The steps cannot name {' and '.join(missing)} yet.")
    names = ", ".join(f"{one.name} ({one.role.lower()})" for one in situation.on_call[:4])
    flag = situation.flag
    named = "" if flag is None else f"flag {flag.key} with safe variant {flag.safe_variant}, and "
    return Evidence(finding="holds", sentence=f"The steps name rollout {situation.about}, {named}{names}.")


def _moment(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
