"""The steps that ship what was decided: A/B test, rollout, move, and done when searches come from the new store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.charts.theme import VERDICTS
from engine.experiment.results import judged_of
from engine.experiment.wording import as_start, interval, plural, signed
from engine.migration.cut_over import FLAG
from engine.present.journey.results import BEHIND, SIMULATED, Action, Figure, Step
from engine.present.report.wording import interval_words, sentence, written
from engine.rollout.machine import RolloutState

if TYPE_CHECKING:
    from engine.experiment.results import Analysis
    from engine.migration.results import MigrationReport
    from engine.present.journey.evidence import Evidence, Move
    from engine.present.journey.results import StepState
    from engine.rollout import RolloutStatus

_REAL_TEST = "A test on real users: nobody stands behind a simulated one."
_IN_THE_WAY = {
    "kill switch": "The kill switch off again: {found}.",
    "critical alert": "An end to what is critical: {found}.",
    "too little data": "Data enough for the monitor: {found}.",
    "day": "The day of the next stage: {found}.",
}
_CUT_OVER = Action(label="Cut over", page="migration", query={"step": "Cut over"})


def ab_step(found: Evidence) -> Step:
    """Say what the newest A/B test shows; a simulated one is at best rehearsed."""
    one = found.experiment
    if one is None:
        others = plural(found.tests_of_others, "A/B test")
        return Step(
            key="ab",
            title="A/B test",
            state="waiting",
            sentence="No A/B test has been read."
            if not found.tests_of_others
            else f"No A/B test of this sweep has been read; {others} {'is' if found.tests_of_others == 1 else 'are'} "
            "of another sweep.",
            missing=("A test on your users, or a simulation of it on the lists of the sweep.",),
            action=Action(label="Set up the A/B test", page="ab-test"),
        )
    analysis = one.analysis
    state: StepState = "done" if analysis.verdict == "safe" else "under way"
    if analysis.verdict == "harmful" or not analysis.is_trustworthy:
        state = "stopped"
    missing = () if state == "done" else (_before_it_is_safe(analysis),)
    label = "Look at the test"
    if one.is_simulated:
        missing = (*missing, _REAL_TEST)
        if state == "done":
            state, label = "rehearsed", "Read the log of a real test"
    return Step(
        key="ab",
        title="A/B test",
        state=state,
        sentence=analysis.headline,
        figures=(_verdict(analysis),),
        missing=missing,
        labels=(SIMULATED,) if one.is_simulated else (),
        action=Action(label=label, page="ab-test", query={"run": one.run.id}),
        at=one.run.created_at,
    )


def rollout_step(found: Evidence) -> Step:
    """Say where the rollout stands; one on simulated time is at best rehearsed."""
    status = found.rollout
    if status is None:
        return Step(
            key="rollout",
            title="Rollout",
            state="waiting",
            sentence="No rollout is planned.",
            missing=("A rollout: stages, thresholds, and who watches.", *_of_the_runbook(found)),
            action=Action(label="Plan the rollout", page="rollout"),
        )
    rollout = status.rollout
    states: dict[RolloutState, StepState] = {
        RolloutState.DRAFT: "waiting",
        RolloutState.RUNNING: "stopped" if status.is_killed else "under way",
        RolloutState.PAUSED: "stopped",
        RolloutState.ROLLED_BACK: "stopped",
        RolloutState.COMPLETED: "rehearsed" if rollout.is_simulated else "done",
    }
    labels = {
        RolloutState.DRAFT: "Start the rollout",
        RolloutState.RUNNING: "Watch the rollout",
        RolloutState.COMPLETED: "Plan one on real time" if rollout.is_simulated else "Look at the rollout",
    }
    return Step(
        key="rollout",
        title="Rollout",
        state=states[rollout.state],
        sentence=status.sentence,
        figures=() if rollout.state is RolloutState.DRAFT else (_share(status),),
        missing=_before_the_next_stage(found, status),
        labels=status.labels,
        action=Action(
            label=labels.get(rollout.state, "Look at the rollout"), page="rollout", query={"rollout": rollout.key}
        ),
        at=rollout.changed_at,
    )


def move_step(found: Evidence) -> Step:
    """Say whether the vectors are in the target store; between stores to try things with it is at best rehearsed."""
    move = found.move
    if move is None and _leaves_out_the_move(found):
        return Step(
            key="move",
            title="Move",
            state="left out",
            sentence="The plan that is kept leaves the vectors where they are and reduces the queries alone.",
            action=Action(label="Look at the plan", page="plan"),
        )
    if move is None:
        return Step(
            key="move",
            title="Move",
            state="waiting",
            sentence="No vectors have been moved.",
            missing=("A migration of the vectors to a store of the new dimension, validated as equal.",),
            action=Action(label="Move the vectors", page="migration"),
        )
    state = _move_state(move)
    return Step(
        key="move",
        title="Move",
        state=state,
        sentence=_moved(move),
        figures=() if move.report is None else (_rows(move.report, is_example=move.is_example),),
        missing=_before_it_is_moved(move, state),
        labels=("demonstration",) if move.is_example else (),
        action=Action(
            label="Move your vectors" if state == "rehearsed" else "Look at the migration",
            page="migration",
            query={} if state == "rehearsed" else {"migration": move.job.id},
        ),
        at=move.changed_at,
    )


def done_step(found: Evidence, steps: tuple[Step, ...]) -> Step:
    """Say whether the migration is over: every step is real and done, and the new store answers every search.

    Where the plan leaves out the move, searches stay where they are.
    """
    stays = any(step.key == "move" and step.state == "left out" for step in steps)
    percent = 0.0 if found.killed is not None else found.cut_over_percent or 0.0
    is_over = (stays or percent == 100) and found.killed is None
    is_done = is_over and all(step.state in BEHIND for step in steps)
    is_rehearsed = not is_done and is_over and all(step.state in {*BEHIND, "rehearsed"} for step in steps)
    return Step(
        key="done",
        title="Done",
        state="done" if is_done else "rehearsed" if is_rehearsed else "waiting",
        sentence=_where_searches_go(percent, stays=stays),
        missing=() if is_done else _before_it_is_done(steps, percent, is_over=is_over),
        labels=(SIMULATED,) if is_rehearsed else (),
        action=Action(label="Show it", page="report") if is_over else _CUT_OVER,
    )


def _where_searches_go(percent: float, *, stays: bool) -> str:
    if stays:
        return "Searches stay in the source store."
    if percent == 100:
        return f"The target store answers every search, by the flag {FLAG}."
    if percent > 0:
        return f"The target store answers {percent:g} % of the users, by the flag {FLAG}."
    return "Searches still come from the source store."


def _before_it_is_done(steps: tuple[Step, ...], percent: float, *, is_over: bool) -> tuple[str, ...]:
    rehearsed = [step.title for step in steps if step.state == "rehearsed"]
    open_ones = [step.title for step in steps if step.state not in {*BEHIND, "rehearsed"}]
    missing = [] if is_over else [f"The flag {FLAG} at 100 %: it stands at {percent:g} % now."]
    if rehearsed:
        missing.append(f"What was only rehearsed, for real: {', '.join(rehearsed)}.")
    if open_ones:
        missing.append(f"Steps before this one: {', '.join(open_ones)}.")
    return tuple(missing)


def _leaves_out_the_move(found: Evidence) -> bool:
    return found.plan is not None and found.plan.plan.strategy.outcome == "query reduced"


def _verdict(analysis: Analysis) -> Figure:
    """Return the verdict, with the change of the first metric that is judged."""
    symbol = VERDICTS[analysis.verdict].symbol
    labels = (SIMULATED,) if SIMULATED in analysis.labels else ()
    first = next((one for one in judged_of(analysis.metrics, ()) if one.relative.value is not None), None)
    if first is None or first.relative.value is None:
        below = "no read-out" if not analysis.is_trustworthy else f"{analysis.n_users:,} users"
        return Figure(key="ab", name="A/B test", text=f"{symbol} {analysis.verdict}", below=below, labels=labels)
    name = getattr(first, "name", first.key)
    change, confidence = first.relative, analysis.settings.confidence
    return Figure(
        key="ab",
        name="A/B test",
        text=f"{symbol} {analysis.verdict}",
        below=sentence(f"{as_start(name)} {signed(first.relative.value)}, {interval(change, confidence)}"),
        explained=f"{analysis.n_queries:,} queries of {analysis.n_users:,} users. The verdict is that of every metric "
        "that is judged.",
        value=change.value,
        low=change.low,
        high=change.high,
        labels=labels,
    )


def _before_it_is_safe(analysis: Analysis) -> str:
    if not analysis.is_trustworthy:
        return "A test whose checks pass: nothing can be read off a broken one."
    if analysis.verdict == "harmful":
        return "A treatment that does no harm: this one is harmful."
    return "A test that is safe: this one is undecided."


def _share(status: RolloutStatus) -> Figure:
    day = f"day {status.day:,.1f}"
    if status.rollout.is_active:
        day += f" of {status.rollout.schedule.last_day:g}"
    return Figure(
        key="rollout",
        name="Rollout",
        text=f"{status.percent:g}\u00a0%",
        below=f"{'nobody sees it: kill switch' if status.is_killed else status.state.value}, {day}",
        explained="The share of the users in the treatment, by the rollout.",
        value=status.percent,
        labels=status.labels,
    )


def _before_the_next_stage(found: Evidence, status: RolloutStatus) -> tuple[str, ...]:
    in_the_way = tuple(_IN_THE_WAY[one.kind].format(found=one.found.rstrip(".")) for one in status.obstacles)
    real = ("A rollout on real time, with what your own users do.",) if status.labels else ()
    if status.state is RolloutState.COMPLETED:
        return real
    if status.state is RolloutState.DRAFT:
        return (*in_the_way, *_of_the_runbook(found), "Somebody who starts it.", *real)
    if status.state is RolloutState.ROLLED_BACK:
        return ("The cause of the rollback, and another rollout.", *real)
    return (*in_the_way, *_of_the_runbook(found), *real)


def _of_the_runbook(found: Evidence) -> tuple[str, ...]:
    if found.runbook is None or found.runbook.is_ready:
        return ()
    return (f"A way back that was tried: {found.runbook.readiness[0].lower()}{found.runbook.readiness[1:]}",)


def _move_state(move: Move) -> StepState:
    job, report = move.job, move.report
    if job.state in {"paused", "stopped", "cancelled"} or move.is_abandoned:
        return "stopped"
    if job.is_running:
        return "under way"
    if report is None or report.validation.verdict != "equal":
        return "stopped"
    return "rehearsed" if move.is_example else "done"


def _moved(move: Move) -> str:
    job, report = move.job, move.report
    dims = f"to {job.settings['dims']:,} dimensions"
    if move.is_abandoned:
        return f"The migration {dims} was left {job.state} when its process ended; it can be resumed."
    if job.is_running:
        return f"The migration {dims} is {job.state}: {move.n_read:,} rows read so far."
    if report is None or job.state != "done":
        why = f": {job.reason.rstrip('.')}" if job.reason else ""
        return f"The migration {dims} is {job.state}{why}."
    held = f", {report.n_held:,} set aside" if report.n_held else ""
    verdict = report.validation.verdict
    agrees = "source and target agree" if verdict == "equal" else "source and target differ"
    return f"{report.n_written:,} of {report.n_read:,} rows moved {dims}{held}; {agrees}."


def _before_it_is_moved(move: Move, state: StepState) -> tuple[str, ...]:
    missing = []
    if state == "stopped":
        is_finished = move.job.state == "done" and not move.is_abandoned
        missing.append("Equal stores: catch up, and validate again." if is_finished else "Somebody who resumes it.")
    if move.report is not None and move.report.n_held:
        missing.append(f"{plural(move.report.n_held, 'row')} in quarantine: searches in the target do not find them.")
    if move.is_example:
        missing.append("Your own stores: this one moved a set between stores to try things with.")
    return tuple(missing)


def _rows(report: MigrationReport, *, is_example: bool) -> Figure:
    validation = report.validation
    below = f"{report.n_written:,} of {report.n_read:,} rows"
    if validation.search is not None:
        recall = validation.search.neighbour_recall
        below += f"; recall@{validation.search.k} {written(recall.mean, 'score')}, {interval_words(recall)}"
    symbol = VERDICTS["safe" if validation.verdict == "equal" else "harmful"].symbol
    return Figure(
        key="move",
        name="Move",
        text=f"{symbol} {validation.verdict}",
        below=below,
        explained="Whether counts, ids, values and payloads of both stores agree; recall through the target's own "
        "index, against the source's exact full-dimension answer.",
        value=float(report.n_written),
        labels=("demonstration",) if is_example else (),
    )
