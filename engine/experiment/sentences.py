"""What an analysis says, in sentences: the verdict first, then each metric with its interval and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.experiment.results import judged_of
from engine.experiment.settings import MIN_USERS
from engine.experiment.wording import (
    as_start,
    interval,
    listed,
    margin_text,
    milliseconds,
    moved,
    p_text,
    percent,
    plural,
    rounded,
    signed,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.experiment.results import ClassicTest, Gate, LatencyResult, MetricResult, PeekingRow, Stratified
    from engine.experiment.settings import AnalysisSettings
    from engine.tradeoff.results import Verdict

SIMULATED = "Simulated: no real user stands behind these numbers."


def broken(gates: Sequence[Gate]) -> str:
    """Say which checks failed, and that nothing else may be read."""
    causes = " ".join(gate.sentence for gate in gates if not gate.is_passed)
    return f"Undecided: the experiment is broken, so no read-out can be trusted. {causes}"


def headline(
    verdict: Verdict,
    metrics: Sequence[MetricResult],
    latencies: Sequence[LatencyResult],
    settings: AnalysisSettings,
) -> str:
    """Say the overall verdict and why."""
    judged = judged_of(metrics, latencies)
    if not judged:
        return "Undecided: the events hold nothing of what is judged."
    if verdict == "safe":
        names = listed([_name(one) for one in judged])
        within = "stays within the margin" if len(judged) == 1 else "stay within their margins"
        return f"Safe: {names} {within}, and larger losses are ruled out."
    if verdict == "harmful":
        level = (1 - settings.confidence) / 2
        harmful = [one for one in judged if one.verdict == "harmful" and (one.harm_holm_p or 0) < level]
        changes = listed([f"{_name(one)} {_moved(one)}" for one in harmful])
        return f"Harmful: {changes}, beyond {'the margin' if len(harmful) == 1 else 'their margins'}."
    return _undecided(judged)


def _undecided(judged: Sequence[MetricResult | LatencyResult]) -> str:
    causes = [cause for one in judged if (cause := _not_comparable(one))]
    if causes:
        return f"Undecided: {causes[0][0].lower()}{causes[0][1:]}"
    open_ones = [one for one in judged if one.verdict == "undecided"]
    alone = [one for one in judged if one.verdict == "harmful"]
    parts = []
    if alone:
        parts.append(
            f"{listed([_name(one) for one in alone])} {_is(alone)} beyond the margin when looked at alone, but not "
            f"after the correction for {len(judged)} metrics"
        )
    if open_ones:
        parts.append(f"{listed([_name(one) for one in open_ones])} {_is(open_ones)} not settled")
    return f"Undecided: {'; '.join(parts)}.{_needed(open_ones)}"


def _needed(open_ones: Sequence[MetricResult | LatencyResult]) -> str:
    needed = [one.further_users for one in open_ones if one.further_users is not None]
    days = [one.further_days for one in open_ones if one.further_days is not None]
    crowd = next((one.reason for one in open_ones if one.reason and one.relative.low is not None), None)
    if crowd:
        return f" {as_start(crowd)}."
    if not needed or len(needed) < len(open_ones):
        return ""
    if any(_is_few(one) for one in open_ones):
        users = plural(rounded(max(needed)), "more user")
        return f" At least {users} are needed: an arm has fewer than {MIN_USERS}."
    more = _more(max(needed), max(days) if len(days) == len(needed) else None)
    return f" {more} would settle {'it' if len(open_ones) == 1 else 'them'}."


def metric_sentence(result: MetricResult, settings: AnalysisSettings) -> str:
    """Say what one metric shows: verdict, change with interval, and what it means for the margin."""
    start = f"{as_start(result.name)}: {result.verdict}."
    cause = _not_comparable(result)
    if cause:
        return f"{start} {cause}"
    change = result.relative.value
    word = "rise" if result.worse == "higher" else "loss"
    allowed = margin_text(result.margin)
    if change is None:
        return f"{start} {_from_nothing(result, allowed)}"
    found = f"It {moved(change)} ({interval(result.relative, settings.confidence)})"
    if result.verdict == "harmful":
        return f"{start} {found}, which is more than the margin of {allowed}."
    if result.verdict == "safe":
        ruled_out = f"a {word} of more than {allowed} is ruled out{_at_level(result, settings)}"
        return f"{start} {found}; {ruled_out}.{_real(result)}"
    if _is_few(result):
        few = plural(min(result.control.n_users, result.treatment.n_users), "user")
        return f"{start} {found}; {few} in an arm cannot settle anything, {MIN_USERS} or more could."
    if result.reason:
        return f"{start} {found}; {result.reason}."
    return f"{start} {found}; a {word} of {allowed} is neither ruled out nor shown.{_further(result)}"


def _not_comparable(result: MetricResult | LatencyResult) -> str | None:
    arms = {"control": result.control, "treatment": result.treatment}
    empty = [name for name, arm in arms.items() if getattr(arm, "n_queries", None) == 0]
    if empty:
        where = f"in the {empty[0]}" if len(empty) == 1 else "in either arm"
        return f"There is no query {where}, so there is nothing to compare."
    return None


def _is_few(result: MetricResult | LatencyResult) -> bool:
    """Whether an arm has too few users to settle anything; the users behind a percentile are not known here."""
    return any(getattr(arm, "n_users", MIN_USERS) < MIN_USERS for arm in (result.control, result.treatment))


def _at_level(result: MetricResult | LatencyResult, settings: AnalysisSettings) -> str:
    """Name the test where the two-sided interval, which is wider, reaches beyond what is ruled out."""
    is_rise = getattr(result, "worse", "higher") == "higher"
    end = result.relative.high if is_rise else result.relative.low
    control = result.control.value
    allowed = max(result.margin.relative, result.margin.absolute / control if control else 0.0)
    reaches = end is not None and (end if is_rise else -end) > allowed
    return f" (one-sided, at {percent(settings.alpha)})" if reaches else ""


def _from_nothing(result: MetricResult, allowed: str) -> str:
    event = {"ctr": "click", "conversion": "conversion", "error_rate": "error"}.get(result.key, "empty answer")
    nothing = f"Neither arm has a single {event}"
    if not result.treatment.n_events and result.verdict == "undecided":
        return f"{nothing}, so there is no relative change to judge.{_further(result)}"
    counts = f"The control has no {event}, the treatment {plural(result.treatment.n_events, event)}"
    if result.verdict == "safe":
        found = counts if result.treatment.n_events else nothing
        return f"{found}; a rise of more than {allowed} is ruled out."
    if result.verdict == "harmful":
        return f"{counts}, which is more than {allowed}."
    return f"{counts}, so there is no relative change to judge.{_further(result)}"


def _real(result: MetricResult) -> str:
    change = result.relative.value
    if not result.is_real or not change:
        return ""
    is_loss = (change > 0) == (result.worse == "higher")
    return " The loss is real, though within the margin." if is_loss else " The improvement is real."


def _further(result: MetricResult | LatencyResult) -> str:
    if result.further_users is None and result.relative.value is None:
        return ""
    if result.further_users is None:
        return " No number of users would settle it while the change stays this close to the margin."
    return f" {_more(result.further_users, result.further_days)} would settle it if the change stays as it is."


def _more(users: int, days: int | None) -> str:
    number = f"About {plural(rounded(max(1, users)), 'more user')}"
    return number if days is None else f"{number}, or about {plural(rounded(days), 'more day')} at your traffic,"


def classic_sentence(
    test: ClassicTest, *, confidence: float, design_effect: float | None, is_real: bool | None = None
) -> str:
    """Say what the two-proportion z-test finds, and that no significant difference does not mean safe.

    `is_real` is what Holm's correction over the metrics leaves of the difference by user, None where nobody asked.
    """
    if test.p_value is None or test.z is None:
        return "The classic test needs queries in both arms."
    start = f"z = {test.z:.2f}, {p_text(test.p_value)}:"
    if test.p_value < 1 - confidence:
        sentence = f"{start} a significant difference."
        if is_real is False:
            sentence += " By user, and corrected for the number of metrics, it is none."
    else:
        sentence = f"{start} no significant difference, which does not mean safe."
    if test.is_too_optimistic and design_effect is not None:
        larger = f"{design_effect:.1f}" if design_effect < 100 else f"{design_effect:,.0f}"
        sentence += (
            f" It takes every query for a user of its own and is too sure of itself: by user the variance is "
            f"{larger} times as large."
        )
    return sentence


def latency_sentence(result: LatencyResult, settings: AnalysisSettings) -> str:
    """Say what one percentile shows, and whether the hoped-for gain is there."""
    name = _name(result)
    if result.control.value is None or result.treatment.value is None:
        return f"{as_start(name)}: undecided. An arm holds no latency."
    times = [milliseconds(value) for value in (result.control.value, result.treatment.value)]
    start = f"{as_start(name)}: {result.verdict}. {times[0]} in the control, {times[1]} in the treatment"
    change = result.relative.value
    if change is None or result.relative.low is None:
        return f"{start}; there is no interval, since {result.reason or 'an arm has too few rows'}."
    found = f"{start}: it {moved(change)} ({interval(result.relative, settings.confidence)})"
    allowed = percent(result.margin.relative)
    tail = {
        "safe": f"a rise of more than {allowed} is ruled out{_at_level(result, settings)}",
        "harmful": f"that is more than the margin of {allowed}",
        "undecided": result.reason or f"a rise of {allowed} is neither ruled out nor shown",
    }[result.verdict]
    further = _further(result) if result.verdict == "undecided" and not result.reason else ""
    return f"{found}; {tail}.{further}{_hoped(result, settings)}"


def _hoped(result: LatencyResult, settings: AnalysisSettings) -> str:
    if not result.is_judged or result.speedup is None:
        return ""
    if result.speedup >= settings.expected_speedup:
        return f" It is {result.speedup:.1f} times as fast; {settings.expected_speedup:g} times was hoped for."
    return f" The hoped-for gain, {settings.expected_speedup:g} times as fast, is not there."


def stratified_sentence(result: Stratified, name: str) -> str:
    """Say what pooling would claim and what the strata show."""
    if result.pooled.value is None or result.stratified.value is None:
        return f"{as_start(name)}: the {result.by}s hold too little to be compared one by one."
    sentence = (
        f"{as_start(name)}: pooled over the {result.by}s the change is {signed(result.pooled.value)}, within them "
        f"{signed(result.stratified.value)}."
    )
    if result.is_reversed:
        sentence += " The split differs between them and turns the sign (Simpson's paradox): trust the second number."
    return sentence


def peeking_sentence(row: PeekingRow, confidence: float) -> str:
    """Say what daily looks at the fixed test cost, beside the interval that stays valid."""
    nominal = percent(1 - confidence)
    if row.n_looks == 1:
        return f"Looked at once, the fixed test calls identical arms different {nominal} of the time."
    return (
        f"Looked at on each of {row.n_looks} days, the fixed test calls identical arms different on some day "
        f"{percent(row.false_positive_rate)} of the time instead of {nominal}; the anytime-valid interval at most "
        f"{nominal}."
    )


def _name(result: MetricResult | LatencyResult) -> str:
    return getattr(result, "name", None) or f"{result.key} latency"


def _moved(result: MetricResult | LatencyResult) -> str:
    return "rose from nothing" if result.relative.value is None else moved(result.relative.value)


def _is(results: Sequence[object]) -> str:
    return "is" if len(results) == 1 else "are"
