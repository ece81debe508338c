"""The timeline: which steps follow one another, and where each length comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import ParameterError
from engine.present.plan.ab_test import ab_basis
from engine.present.plan.inputs import ASSUMED_ROWS_PER_S, MOST_COPY_DAYS, copy_days
from engine.present.plan.results import PlanStep
from engine.present.plan.wording import days_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.present.plan.evidence import PlanEvidence
    from engine.present.plan.inputs import PlanInputs
    from engine.present.plan.results import AbPlan, Phase, Strategy
    from engine.tradeoff.size.cost import CostEstimate

_MEASURE_DAYS = 2.0
_PREPARE_DAYS = 3.0
_SHADOW_DAYS = 2.0
_DECIDE_DAYS = 1.0
_HOLD_DAYS = 7.0
_DUAL_DAYS = 7.0
_CUT_OVER_DAYS = 1.0
_DROP_DAYS = 1.0
_USUAL = "Usual length, to be edited"


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """A step without its place: it follows every one of `after`."""

    key: str
    title: str
    phase: Phase
    days: float
    after: tuple[str, ...]
    detail: str
    basis: str = _USUAL
    percent: float | None = None


def rows_per_s(inputs: PlanInputs, evidence: PlanEvidence) -> tuple[float, str]:
    """Return the rows a second of the copy, and where that comes from."""
    if inputs.copy_rows_per_s is not None:
        return inputs.copy_rows_per_s, "as entered"
    if evidence.copy is not None:
        return evidence.copy.rows_per_s, f"measured by migration {evidence.copy.run_id}"
    return ASSUMED_ROWS_PER_S, "assumed, not measured"


def plan_steps(
    inputs: PlanInputs, evidence: PlanEvidence, *, strategy: Strategy, ab: AbPlan, cost: CostEstimate
) -> tuple[PlanStep, ...]:
    """Return the steps that the strategy reaches, each beginning when all it follows have ended.

    Raises
    ------
    ParameterError
        When the copy or the building of the index would take more than ten years.
    """
    ends: dict[str, float] = {}
    steps = []
    for draft in _drafts(inputs, evidence, strategy, ab, cost):
        # The length of a stage is the schedule's, that of the A/B test is settled already.
        is_fixed = draft.key.startswith("stage-") or draft.key == "ab-test"
        days = draft.days if is_fixed else inputs.lengths.get(draft.key, draft.days)
        start = max((ends[key] for key in draft.after), default=0.0)
        ends[draft.key] = start + days
        steps.append(
            PlanStep(
                key=draft.key,
                title=draft.title,
                phase=draft.phase,
                start_day=start,
                days=days,
                after=draft.after,
                percent=draft.percent,
                detail=draft.detail,
                basis="Edited" if not is_fixed and draft.key in inputs.lengths else draft.basis,
                owner=inputs.owners.get(draft.key, ""),
            )
        )
    return tuple(steps)


def _drafts(
    inputs: PlanInputs, evidence: PlanEvidence, strategy: Strategy, ab: AbPlan, cost: CostEstimate
) -> Iterator[_Draft]:
    yield from _measuring(inputs, evidence, strategy)
    if strategy.goes("query reduced"):
        yield from _reducing(inputs, strategy)
        yield from _testing(inputs, ab)
    if strategy.goes("progressive rollout"):
        yield from _rolling_out(inputs)
    if strategy.goes("full migration"):
        yield from _moving(inputs, evidence, cost)


def _measuring(inputs: PlanInputs, evidence: PlanEvidence, strategy: Strategy) -> Iterator[_Draft]:
    if strategy.outcome == "measure first":
        yield _Draft(
            key="measure",
            title="Measure: sweep",
            phase="measure",
            days=_MEASURE_DAYS,
            after=(),
            detail=f"Sweep {inputs.from_dims:,} dims with {inputs.to_dims:,} among those tried, with real queries.",
        )
    elif not strategy.goes("query reduced"):
        point = evidence.point(inputs.to_dims)
        further = None if point is None else point.further_queries
        if point is not None and point.verdict != "harmful":
            yield _Draft(
                key="measure",
                title="Measure with more queries",
                phase="measure",
                days=_MEASURE_DAYS,
                after=(),
                detail="About as many further queries as would settle it: "
                f"{'not known' if further is None else f'{further:,}'}.",
            )
        return
    yield _Draft(
        key="prepare",
        title="Prepare",
        phase="prepare",
        days=_PREPARE_DAYS,
        after=(),
        detail="Set the monitor's thresholds, rehearse the kill switch, write the runbook, name the owners.",
    )


def _reducing(inputs: PlanInputs, strategy: Strategy) -> Iterator[_Draft]:
    rerank = "" if strategy.shortlist is None else f", then rerank {strategy.shortlist:,} by the full vectors"
    yield _Draft(
        key="query-reduced",
        title=f"Query {inputs.to_dims:,} dims behind a flag",
        phase="query reduced",
        days=_SHADOW_DAYS,
        after=("measure", "prepare") if strategy.outcome == "measure first" else ("prepare",),
        detail=f"At 0 % of users: scan the first {inputs.to_dims:,} components of the full rows{rerank}; compare "
        "answers on shadow queries. Nothing is written, nobody sees it.",
    )


def _testing(inputs: PlanInputs, ab: AbPlan) -> Iterator[_Draft]:
    is_interleaved = ab.power_days is None
    yield _Draft(
        key="ab-test",
        title="Interleaving" if is_interleaved else "A/B test",
        phase="A/B test",
        days=ab.days,
        after=("query-reduced",),
        detail="Both lists on one page; which one do the clicks prefer?"
        if is_interleaved
        else f"Half of the users each; rule out a loss of {100 * ab.margin:g} % of the CTR with "
        f"{100 * ab.power:g} % power.",
        basis=ab_basis(inputs, ab),
    )
    yield _Draft(
        key="decide",
        title="Read it and decide",
        phase="A/B test",
        days=_DECIDE_DAYS,
        after=("ab-test",),
        detail="Go on only when it reads safe; undecided is not safe.",
    )


def _rolling_out(inputs: PlanInputs) -> Iterator[_Draft]:
    schedule, before = inputs.used_schedule, "decide"
    last = len(schedule.stages) - 1
    for place, stage in enumerate(schedule.stages):
        share = schedule.share_percent(place)
        held = " (the holdback stays out)" if share < stage.percent else ""
        name = f": {stage.name}" if stage.name else ""
        key = "hold" if place == last else f"stage-{place + 1}"
        yield _Draft(
            key=key,
            title=f"{share:g} % of users{', hold' if place == last else ''}{name}",
            phase="rollout",
            days=_HOLD_DAYS * inputs.profile.stretch if place == last else schedule.length_days(place),
            after=(before,),
            detail=f"Raise the flag to {share:g} %{held}; the monitor decides whether the next stage may begin.",
            basis=_USUAL if place == last else "The schedule of the rollout",
            percent=share,
        )
        before = key


def _moving(inputs: PlanInputs, evidence: PlanEvidence, cost: CostEstimate) -> Iterator[_Draft]:
    rate, source = rows_per_s(inputs, evidence)
    copying = copy_days(inputs.n_docs, rate)
    build = cost.then.build_hours / 24
    if build > MOST_COPY_DAYS:
        rows = f"{inputs.n_docs:,} rows at {cost.then.build_rows_per_s:,g} a second"
        raise ParameterError(
            "the index must be built within ten years", found=rows, hint="Check the prices of the plan"
        )
    measured = "measured" if cost.then.build_measured else "assumed"
    keep = inputs.profile.keep_full_days
    yield _step(
        "copy",
        f"Copy at {inputs.to_dims:,} dims",
        _whole_days(copying + build),
        "hold",
        f"{inputs.n_docs:,} vectors. Resumable; searches go on against the full store; the index is built at the end.",
        f"{days_text(copying)} at {rate:,.0f} rows a second ({source}), {days_text(build)} of building the index at "
        f"{cost.then.build_rows_per_s:,.0f} rows a second ({measured}); whole days",
    )
    yield _step(
        "validate",
        "Validate the copy",
        _whole_days(2 * copying),
        "copy",
        "In full: counts, ids both ways, every value, and search through the target's own index.",
        f"{days_text(2 * copying)}: both stores are read once at the rate of the copy; whole days",
    )
    yield _step(
        "dual-search",
        "Dual search",
        _DUAL_DAYS * inputs.profile.stretch,
        "validate",
        "Every query asks both; the answers are compared, and one failing store fails no query.",
    )
    yield _step(
        "cut-over",
        "Cut over",
        _CUT_OVER_DAYS,
        "dual-search",
        "Searches move to the reduced store. Reversible: the full store stays as it is and keeps being written.",
    )
    yield _step(
        "keep-full",
        "Keep the full vectors",
        float(keep),
        "cut-over",
        "The way back. Until its end a return takes a flag, afterwards an embedding of everything.",
        f"Appetite for risk: {inputs.risk}",
    )
    yield _step(
        "drop-full",
        "Drop the full vectors",
        _DROP_DAYS,
        "keep-full",
        "Not reversible. From here the cost is that of the reduced store alone.",
    )


def _step(key: str, title: str, days: float, after: str, detail: str, basis: str = _USUAL) -> _Draft:
    return _Draft(key=key, title=title, phase="migration", days=days, after=(after,), detail=detail, basis=basis)


def _whole_days(days: float) -> float:
    return float(max(1, math.ceil(days - 1e-9)))
