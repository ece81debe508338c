"""Recommend how far to go with these dims, each leg with its reason from the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import printable
from engine.experiment.wording import plural
from engine.present.plan.ab_test import pace_text
from engine.present.plan.evidence import is_shown_safe
from engine.present.plan.results import Leg, Strategy
from engine.present.plan.wording import judged_text, target_text

if TYPE_CHECKING:
    from engine.present.plan.evidence import PlanEvidence
    from engine.present.plan.inputs import PlanInputs
    from engine.present.plan.results import AbPlan, LegKey, Outcome
    from engine.tradeoff.results import Point
    from engine.tradeoff.size.funnel import FunnelRow

_TITLES: dict[LegKey, str] = {
    "query reduced": "Store full, query reduced (prefix scan)",
    "A/B test": "A/B test",
    "progressive rollout": "Progressive rollout",
    "full migration": "Full migration",
}
_NO_GAIN = 1.05
_NO_AB = "Too little traffic to show it harmless: see what to do instead of the A/B test."


@dataclass(frozen=True, kw_only=True)
class _Verdict:
    """The outcome with its words; the leg `stops_at` and those after it are not gone, and `why_not`."""

    outcome: Outcome
    headline: str
    reason: str
    stops_at: LegKey | None = None
    why_not: str = ""
    shortlist: int | None = None


def matches(inputs: PlanInputs, evidence: PlanEvidence) -> bool:
    """Tell whether the sweep is of these dims: the same full dimension, and the dims to keep were swept."""
    return evidence.full_dim == inputs.from_dims and evidence.point(inputs.to_dims) is not None


def choose_strategy(inputs: PlanInputs, evidence: PlanEvidence, ab: AbPlan) -> Strategy:
    """Return the strategy that the data support; without data it says so and recommends to measure first."""
    verdict = _verdict(inputs, evidence, ab)
    is_matching = matches(inputs, evidence)
    return Strategy(
        outcome=verdict.outcome,
        headline=verdict.headline,
        reason=verdict.reason,
        legs=_legs(inputs, evidence, verdict),
        evidence=_evidence(inputs, evidence) if is_matching else (),
        missing=_missing(inputs, evidence),
        run_id=evidence.run_id if is_matching else None,
        labels=evidence.labels if is_matching else (),
        suggested_dims=None if verdict.outcome == "full migration" else suggested_dims(inputs, evidence),
        shortlist=verdict.shortlist,
    )


def _verdict(inputs: PlanInputs, evidence: PlanEvidence, ab: AbPlan) -> _Verdict:
    point = evidence.point(inputs.to_dims) if matches(inputs, evidence) else None
    if point is None:
        return _unmeasured(inputs, evidence, ab)
    seen = evidence.ab
    if seen is not None and seen.verdict == "harmful" and not seen.is_simulated:
        return _Verdict(
            outcome="stop",
            headline="Stop: the A/B test reads harmful",
            reason=f"The newest A/B test of users (run {seen.run_id}) reads harmful: {seen.headline}",
            stops_at="query reduced",
            why_not="The A/B test of users reads harmful.",
        )
    found = _by_sweep(inputs, evidence, point)
    if found.outcome != "stop" and _never_ends(ab):
        return _Verdict(
            outcome="stop",
            headline="Stop before the A/B test: this traffic cannot decide it",
            reason=f"{_ab_never(inputs, ab)} {found.reason}",
            stops_at="A/B test",
            why_not=_NO_AB,
            shortlist=found.shortlist,
        )
    return found


def _by_sweep(inputs: PlanInputs, evidence: PlanEvidence, point: Point) -> _Verdict:
    dims = f"{inputs.to_dims:,} of {inputs.from_dims:,} dims"
    said = _swept(evidence, point)
    if is_shown_safe(point):
        return _Verdict(
            outcome="full migration",
            headline=f"Go the whole way to {dims}, one reversible step at a time",
            reason=f"The sweep calls {inputs.to_dims:,} dims safe: {said}.",
        )
    other = _other_dims(inputs, evidence)
    row = evidence.shortlist(inputs.to_dims)
    if row is not None:
        return _with_rerank(inputs, point, row, said, kept=_kept(evidence, row), other=other)
    if point.verdict == "harmful":
        return _harmful(inputs, said, other)
    return _undecided(inputs, evidence, point, said, other)


def _unmeasured(inputs: PlanInputs, evidence: PlanEvidence, ab: AbPlan) -> _Verdict:
    dims = f"{inputs.to_dims:,} of {inputs.from_dims:,} dims"
    if evidence.summary is None:
        why = "No sweep of your vectors is in this workspace."
    elif evidence.full_dim != inputs.from_dims:
        why = (
            f"The sweep {evidence.run_id} is of {evidence.full_dim:,} dims, and this plan is from "
            f"{inputs.from_dims:,}: it says nothing about it."
        )
    else:
        swept = ", ".join(f"{one.dim:,}" for one in evidence.summary.points)
        why = f"The sweep {evidence.run_id} did not try {inputs.to_dims:,} dims; it tried {swept}."
    return _Verdict(
        outcome="measure first",
        headline=f"Measure first: nothing here says whether {dims} are enough",
        reason=f"{why} The way below is what it would be if a sweep calls {inputs.to_dims:,} dims safe.",
        stops_at="A/B test" if _never_ends(ab) else None,
        why_not=_NO_AB,
    )


def _with_rerank(inputs: PlanInputs, point: Point, row: FunnelRow, said: str, *, kept: str, other: str) -> _Verdict:
    return _Verdict(
        outcome="query reduced",
        headline=f"Keep the full vectors: query {inputs.to_dims:,} dims, then rerank {row.shortlist:,} documents",
        reason=(
            f"Alone, {inputs.to_dims:,} dims are {point.verdict}: {said}. A shortlist of {row.shortlist:,} documents, "
            f"reranked by the full vectors, reaches the target{kept}.{other}"
        ),
        stops_at="full migration",
        why_not="The rerank reads the full vectors, so they stay: the store does not shrink.",
        shortlist=row.shortlist,
    )


def _harmful(inputs: PlanInputs, said: str, other: str) -> _Verdict:
    return _Verdict(
        outcome="stop",
        headline=f"Stop: {inputs.to_dims:,} dims are shown to lose too much",
        reason=f"{said}.{other}",
        stops_at="query reduced",
        why_not=f"The sweep calls {inputs.to_dims:,} dims harmful.",
    )


def _undecided(inputs: PlanInputs, evidence: PlanEvidence, point: Point, said: str, other: str) -> _Verdict:
    settle = " More queries, or fewer dims tried, would settle it."
    if point.further_queries:
        settle = f" About {plural(point.further_queries, 'further query')} would settle it."
    seen = evidence.ab
    if seen is not None and seen.verdict == "safe" and not seen.is_simulated:
        return _Verdict(
            outcome="full migration",
            headline=f"Go the whole way to {inputs.to_dims:,} dims: users did not notice",
            reason=f"The sweep leaves it undecided ({said}), and the A/B test {seen.run_id} of users reads safe: "
            f"{seen.headline}",
        )
    if inputs.profile.settles_first:
        return _Verdict(
            outcome="stop",
            headline=f"Stop for now: {inputs.to_dims:,} dims are undecided",
            reason=f"{said}.{settle} A cautious plan settles that before it reaches users.{other}",
            stops_at="query reduced",
            why_not="Undecided, and this plan is cautious: sweep with more queries first.",
        )
    return _Verdict(
        outcome="query reduced",
        headline=f"Go as far as the A/B test: {inputs.to_dims:,} dims are undecided",
        reason=f"{said}.{settle} Querying the first components of full rows can be undone at once, so users may "
        f"settle it.{other}",
        stops_at="progressive rollout",
        why_not="Plan it once the A/B test, or a sweep with more queries, says safe.",
    )


def _swept(evidence: PlanEvidence, point: Point) -> str:
    summary = evidence.summary
    if summary is None:
        raise ValueError("a swept point belongs to a sweep")
    aside = ", but not after Holm's correction over the dims tried" if point.verdict == "safe" else ""
    aside = "" if is_shown_safe(point) else aside
    return (
        f"{judged_text(summary, summary.judged(point))} against a target of {target_text(summary)}{aside}, "
        f"over {plural(summary.dataset.n_queries, 'query')}"
    )


def _kept(evidence: PlanEvidence, row: FunnelRow) -> str:
    k = None if evidence.funnel is None else evidence.funnel.k
    return f" (recall@{k} {row.recall.mean:.3f}, 95 % interval {row.recall.low:.3f} to {row.recall.high:.3f})"


def _other_dims(inputs: PlanInputs, evidence: PlanEvidence) -> str:
    dim = suggested_dims(inputs, evidence)
    if dim is None:
        return ""
    return f" {dim:,} dims are safe: plan with those to shrink the store."


def suggested_dims(inputs: PlanInputs, evidence: PlanEvidence) -> int | None:
    """Return the dims that the sweep recommends where they are other than those to keep."""
    if evidence.summary is None or evidence.full_dim != inputs.from_dims:
        return None
    dim = evidence.summary.recommendation.dim
    return None if dim == inputs.to_dims else dim


def _never_ends(ab: AbPlan) -> bool:
    return ab.power_days is None


def _ab_never(inputs: PlanInputs, ab: AbPlan) -> str:
    return (
        f"An A/B test that rules out a loss of {100 * ab.margin:g} % of the CTR needs {plural(ab.n_users, 'user')}, "
        f"which {pace_text(inputs)} new users a day do not reach within a year."
    )


def _legs(inputs: PlanInputs, evidence: PlanEvidence, verdict: _Verdict) -> tuple[Leg, ...]:
    reasons = {
        "query reduced": _query_reason(inputs, evidence, verdict),
        "A/B test": "Recall is about neighbours; only users say whether it is noticed.",
        "progressive rollout": "Stage by stage with a monitor on every stage; the flag takes it back at once.",
        "full migration": f"Only this saves bytes: {inputs.to_dims:,} of {inputs.from_dims:,} components are kept.",
    }
    legs, goes = [], True
    for key, title in _TITLES.items():
        goes = goes and key != verdict.stops_at
        shown = (
            title if key != "query reduced" or verdict.shortlist is None else f"{title}, rerank {verdict.shortlist:,}"
        )
        legs.append(
            Leg(
                key=key,
                title=shown,
                goes=goes,
                reason=reasons[key] if goes else verdict.why_not,
                is_reversible=key != "full migration",
            )
        )
    return tuple(legs)


def _query_reason(inputs: PlanInputs, evidence: PlanEvidence, verdict: _Verdict) -> str:
    reason = "Reversible by the flag alone, no vector is written; no byte is saved either."
    faster = evidence.times_faster("prefix", inputs.to_dims) if matches(inputs, evidence) else None
    if faster is not None:
        gain = f"{faster:.2g} × faster at the median" if faster >= _NO_GAIN else "no faster"
        reason += f" Measured: scanning the first {inputs.to_dims:,} components is {gain}."
    if verdict.shortlist is not None:
        reason += f" The rerank of {verdict.shortlist:,} documents is what keeps the quality."
    return reason


def _evidence(inputs: PlanInputs, evidence: PlanEvidence) -> tuple[str, ...]:
    sentences = []
    if evidence.summary is not None:
        dataset = evidence.summary.dataset
        labels = f", {', '.join(dataset.labels)}" if dataset.labels else ""
        name = printable(dataset.name, longest=80)
        queries = plural(dataset.n_queries, "query")
        sentences.append(f"Sweep {evidence.run_id} of {name}: {dataset.n_docs:,} documents, {queries}{labels}.")
        sentences.append(evidence.summary.recommendation.reason)
    if evidence.nesting is not None:
        sentences += list(evidence.nesting.sentences)
    sentences += _latency_sentences(inputs, evidence)
    point = evidence.point(inputs.to_dims)
    if point is not None and not is_shown_safe(point):
        sentences += _funnel_sentences(inputs, evidence)
    if evidence.ab is not None:
        simulated = "simulated, so it proves nothing about users" if evidence.ab.is_simulated else "of users"
        sentences.append(f"A/B run {evidence.ab.run_id} ({simulated}): {evidence.ab.verdict}.")
    return tuple(sentences)


def _latency_sentences(inputs: PlanInputs, evidence: PlanEvidence) -> list[str]:
    latency = evidence.latency
    paths = {"prefix": "Scanning the first {dims} components of full rows", "hnsw": "An HNSW graph of {dims} dims"}
    found = []
    for path, words in paths.items():
        faster = evidence.times_faster(path, inputs.to_dims)
        if faster is None or latency is None:
            continue
        point = latency.point(path, inputs.to_dims)
        found.append(
            f"{words.format(dims=f'{inputs.to_dims:,}')} took {point.p50_ms.value:.3g} ms at the median, "
            f"{point.p99_ms.value:.3g} ms at p99, measured on {latency.n_rows:,} documents: {faster:.2g} × the speed "
            f"of {inputs.from_dims:,} dims{' (slower)' if faster < 1 else ''}."
        )
    return found


def _funnel_sentences(inputs: PlanInputs, evidence: PlanEvidence) -> list[str]:
    if evidence.funnel is None:
        return []
    row = evidence.shortlist(inputs.to_dims)
    if row is None:
        return [f"No shortlist by {inputs.to_dims:,} dims that was tried is shown to reach the target after a rerank."]
    words = f"A shortlist of {row.shortlist:,} by {inputs.to_dims:,} dims reaches the target after a rerank"
    return [f"{words}{_kept(evidence, row)}."]


def _missing(inputs: PlanInputs, evidence: PlanEvidence) -> tuple[str, ...]:
    if not matches(inputs, evidence):
        return (f"A sweep of {inputs.from_dims:,} dims that tries {inputs.to_dims:,}.",)
    missing = []
    if evidence.nesting is None:
        missing.append("Whether the vectors nest: the prefix was not compared with other components.")
    if evidence.times_faster("prefix", inputs.to_dims) is None:
        missing.append(f"Latency of the prefix scan at {inputs.to_dims:,} dims: the gain in speed is not known.")
    if evidence.funnel is None:
        missing.append("Shortlist and rerank: whether a rerank would keep more.")
    if evidence.ab is None or evidence.ab.is_simulated:
        missing.append("An A/B test of users.")
    return (*missing, *evidence.problems)
