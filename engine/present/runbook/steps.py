"""What triggers a rollback, and the numbered steps of one, with the commands to type for the live state."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from engine.experiment.wording import as_start
from engine.migration.cut_over import CUT_BACK_WORD
from engine.migration.stores.urls import store_name
from engine.present.runbook.results import seconds
from engine.rollout import ROLL_BACK_WORD, RolloutState, Thresholds
from engine.rollout.monitor_sentences import percent
from engine.rollout.thresholds import METRIC_NAMES, METRICS, RISE_IS_BAD

if TYPE_CHECKING:
    from engine.present.runbook.situation import Situation
    from engine.rollout import Limit
    from engine.rollout.thresholds import Metric

StepState = Literal["to do", "done already", "not needed"]

_WHY = "--reason 'WHY'"


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """Something that starts a rollback: `sentence` says what happens by itself and what a person has to do."""

    name: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: what to do and why, the `commands` to type, and the page that has a button for it (its url).

    `state` tells what is done already, or not needed, as things stand.
    """

    number: int
    title: str
    text: str
    commands: tuple[str, ...]
    page: str
    state: StepState = "to do"


def triggers_of(situation: Situation) -> tuple[Trigger, ...]:
    """Return what starts a rollback: the thresholds of the rollout, or the defaults while there is none."""
    thresholds = Thresholds() if situation.rollout is None else situation.rollout.rollout.thresholds
    found = [_trigger(metric, thresholds.limit(metric)) for metric in METRICS]
    silence = f"No data of the treatment for {thresholds.missing_after_hours:g} hours"
    does = "pauses the rollout" if thresholds.pauses_when_missing else "raises an alert, which stops nothing by itself"
    found.append(Trigger(name="Missing data", sentence=f"{silence} {does}."))
    said = "Any person who sees harm that no metric shows kills first and asks later: a restore brings all of it back."
    found.append(Trigger(name="A person", sentence=said))
    return tuple(found)


def steps_of(situation: Situation) -> tuple[Step, ...]:
    """Return the numbered steps of a rollback as things stand now."""
    makers = (_confirm, _kill, _roll_back, _cut_back, _verify, _vectors, _restore, _write_up)
    return tuple(replace(maker(situation), number=number) for number, maker in enumerate(makers, start=1))


def _trigger(metric: Metric, limit: Limit) -> Trigger:
    name = METRIC_NAMES[metric]
    sign = "+" if RISE_IS_BAD[metric] else "−"
    parts = []
    if limit.alert is not None and limit.alert != limit.roll_back:
        does = "pauses the rollout" if limit.severity == "critical" else "warns, which stops nothing: a person decides"
        parts.append(f"{sign}{percent(limit.alert)} {does}")
    if limit.roll_back is not None:
        parts.append(f"{sign}{percent(limit.roll_back)} rolls it back by itself")
    said = "; ".join(parts) if parts else "no threshold: nobody is told and nothing stops"
    return Trigger(name=as_start(name), sentence=f"{as_start(said)}.")


def _confirm(situation: Situation) -> Step:
    status = situation.rollout
    if status is None:
        return _step(
            "Confirm the trigger",
            "No rollout is there, so nothing is ramped. See which flags give somebody another than the safe variant.",
            ("dimshift flags list",),
            page="flags",
        )
    key = shlex.quote(status.rollout.key)
    text = f"{status.sentence} Look at alerts and readings; whoever is in doubt goes on to the next step."
    return _step("Confirm the trigger", text, (f"dimshift rollout status {key}",), page="rollout")


def _kill(situation: Situation) -> Step:
    flag, killed, rehearsal = situation.flag, situation.killed, situation.kept.rehearsal
    safe = f": {flag.key} → {flag.safe_variant}" if flag is not None else ""
    soon = "Clients in other processes follow with their next look at the flag file; that has not been measured here."
    if rehearsal is not None and rehearsal.result.slowest_s is not None:
        soon = f"In the rehearsal a client in another process followed within {seconds(rehearsal.result.slowest_s)}."
    text = f"Every flag goes to its safe variant for every user at once{safe}. {soon} It can be taken back."
    if killed is not None:
        text = f"The kill switch is on since {killed.at:%Y-%m-%d %H:%M} UTC, by {killed.actor}. {text}"
    state: StepState = "to do" if killed is None else "done already"
    return _step("Stop the harm", text, (f"dimshift flags kill --confirm kill {_WHY}",), page="flags", state=state)


def _roll_back(situation: Situation) -> Step:
    status = situation.rollout
    title = "Roll the rollout back"
    if status is None:
        return _step(title, "No rollout is there, so none can be rolled back.", (), page="rollout", state="not needed")
    rollout = status.rollout
    command = f"dimshift rollout rollback {shlex.quote(rollout.key)} --confirm {shlex.quote(ROLL_BACK_WORD)} {_WHY}"
    if status.state is RolloutState.ROLLED_BACK:
        text = f"It was rolled back by {rollout.changed_by}: everybody sees {rollout.control}."
        return _step(title, text, (), page="rollout", state="done already")
    if status.state is RolloutState.DRAFT:
        text = f"It is a draft and moves nothing yet: nobody sees {rollout.treatment} because of it."
        return _step(title, text, (command,), page="rollout", state="not needed")
    text = (
        f"{status.percent:g} % of the users have {rollout.treatment} of {rollout.flag_key} now; after it everybody has "
        f"{rollout.control}, whatever becomes of the kill switch. The rollout ends: to try again, plan a new one."
    )
    return _step(title, text, (command,), page="rollout")


def _cut_back(situation: Situation) -> Step:
    flag, title = situation.cut_over, "Send searches back to the source store"
    if flag is None:
        text = "No flag sends searches to a target store."
        return _step(title, text, (), page="migration", state="not needed")
    share = flag.percent if flag.percent is not None else 0.0
    driver = flag.driven_by
    command = f"dimshift flags set {shlex.quote(flag.key)} --percent 0 {_WHY}"
    if driver is not None and driver == situation.about:
        text = f"{flag.key} is the flag of this very rollout: step 3 sends searches back."
        return _step(title, text, (), page="rollout", state="not needed")
    if driver is not None:
        text = f"Rollout {driver} drives {flag.key}, at {share:g} %: rolling that one back sends searches back."
        again = f"dimshift rollout rollback {shlex.quote(driver)} --confirm {shlex.quote(ROLL_BACK_WORD)} {_WHY}"
        return _step(title, text, (again,), page="rollout")
    if share <= 0 and flag.default_variant == flag.safe_variant:
        text = f"{flag.key} is at 0 %: the source store answers every search."
        return _step(title, text, (), page="migration", state="not needed")
    text = (
        f"{flag.key} sends {share:g} % of the users to the target store; after it the source store answers all. On the "
        f'page Migration the same is the button with the typed words "{CUT_BACK_WORD}".'
    )
    return _step(title, text, (command,), page="migration")


def _verify(situation: Situation) -> Step:
    flag, status = situation.flag, situation.rollout
    if flag is None:
        text = "See what a user gets of every flag."
        return _step("Check that it worked", text, ("dimshift flags list",), page="flags")
    commands = [f"dimshift flags get {shlex.quote(flag.key)} --user SOMEBODY", "dimshift flags check"]
    text = (
        f"A user must get {flag.safe_variant} of {flag.key}, and the audit log must be intact. Then watch p99 latency, "
        "error rate and CTR come back to what they were before the rollout"
    )
    if status is not None and status.rollout.is_simulated:
        text += " (this rollout runs on simulated time: its figures are simulated)"
    return _step("Check that it worked", f"{text}.", tuple(commands), page="flags")


def _vectors(situation: Situation) -> Step:
    job, report, count = situation.migration, situation.report, situation.kept.count
    title = "Check the full vectors"
    if job is None:
        text = "No migration is in this workspace: the full vectors are where they always were."
        return _step(title, text, (), page="migration", state="not needed")
    text = f"The source {store_name(job.source)} has not been counted yet."
    if count is not None and count.result.migration == job.id:
        text = f"{count.result.sentence} Counted on {count.at:%Y-%m-%d %H:%M} UTC."
    elif report is not None:
        text = (
            f"The source {store_name(job.source)} held {report.validation.n_source:,} rows when the migration was "
            f"validated, on {report.ended[:10]}."
        )
    text += " Nothing has to be copied back while they are there; keep them until the rollout has completed."
    return _step(title, text, ("dimshift runbook count",), page="migration")


def _restore(situation: Situation) -> Step:
    killed, status = situation.killed, situation.rollout
    after = "the rollout is rolled back and the cause is known" if status is not None else "the cause is known"
    text = f"Only when {after}: flags mean again what they say, and a rollout that was only paused can resume."
    command = "dimshift flags restore --confirm restore --reason 'WHY IT IS SAFE AGAIN'"
    title = "Switch the flags on again"
    if killed is None:
        text = f"The kill switch is off. After a kill: {text[:1].lower()}{text[1:]}"
    return _step(title, text, (command,), page="flags", state="to do")


def _write_up(situation: Situation) -> Step:
    status = situation.rollout
    people = ", ".join(f"{one.name} ({one.role.lower()})" for one in situation.on_call[:6])
    tells = f"Tell {people}." if people else "Nobody is named to be told: fill in the owners of the plan."
    text = f"{tells} A rollback by the monitor opens an incident, which is closed with what was found out."
    commands = ["dimshift flags audit --limit 20"]
    open_ones = () if status is None else tuple(one for one in status.incidents if one.is_open)
    if status is not None:
        commands.append(f"dimshift rollout incidents {shlex.quote(status.rollout.key)}")
    if open_ones:
        key = shlex.quote(open_ones[0].key)
        commands.append(f"dimshift rollout incidents --close {key} --note 'WHAT WAS FOUND OUT'")
    return _step("Tell people and write it up", text, tuple(commands), page="rollout")


def _step(title: str, text: str, commands: tuple[str, ...], *, page: str, state: StepState = "to do") -> Step:
    return Step(number=0, title=title, text=text, commands=commands, page=page, state=state)
