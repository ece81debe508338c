"""What moved between two plans: before and after of everything that a reader would notice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.experiment.wording import milliseconds, percent, precise
from engine.present.plan.wording import date_text, days_text, gib_text, money_text, when_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.present.plan.results import Plan, PlanStep

Topic = Literal["strategy", "dates", "A/B test", "cost", "storage", "triggers", "owners", "inputs"]
_NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that moved, as it was written before and is written after."""

    topic: Topic
    what: str
    before: str
    after: str


def changes(before: Plan, after: Plan) -> tuple[Change, ...]:
    """Return what moved from `before` to `after`, the most important first; nothing where the plans are equal."""
    pairs = [*_strategy(before, after), *_dates(before, after), *_money(before, after), *_rest(before, after)]
    return tuple(Change(topic=topic, what=what, before=old, after=new) for topic, what, old, new in pairs if old != new)


_Pair = tuple[Topic, str, str, str]


def _strategy(before: Plan, after: Plan) -> Iterator[_Pair]:
    old, new = before.strategy, after.strategy
    yield "strategy", "Recommendation", old.headline, new.headline
    yield "strategy", "Goes as far as", _reach(before), _reach(after)
    yield "strategy", "Rests on", old.run_id or "no sweep", new.run_id or "no sweep"
    if old.headline == new.headline:
        yield "strategy", "Reason", old.reason, new.reason


def _reach(plan: Plan) -> str:
    gone = [leg.title for leg in plan.strategy.legs if leg.goes]
    return gone[-1] if gone else "nowhere"


def _dates(before: Plan, after: Plan) -> Iterator[_Pair]:
    yield "dates", "End of the plan", _end(before), _end(after)
    yield "A/B test", "Length of the A/B test", days_text(before.ab_test.days), days_text(after.ab_test.days)
    yield "A/B test", "Users of the A/B test", f"{before.ab_test.n_users:,}", f"{after.ab_test.n_users:,}"
    yield "A/B test", "Margin of the A/B test", percent(before.ab_test.margin), percent(after.ab_test.margin)
    yield "A/B test", "Power of the A/B test", percent(before.ab_test.power), percent(after.ab_test.power)
    olds, news = ({step.key: step for step in plan.steps} for plan in (before, after))
    for key in dict.fromkeys([*news, *olds]):
        old, new = olds.get(key), news.get(key)
        shown = new or old
        if shown is not None:
            yield "dates", shown.title, _when(old, before), _when(new, after)
            if old is not None and new is not None:
                yield "owners", f"Owner of {shown.title}", old.owner or _NONE, new.owner or _NONE


def _end(plan: Plan) -> str:
    ends = plan.ends_on
    length = days_text(plan.days) if plan.steps else "nothing to do"
    return length if ends is None else f"{date_text(ends)} ({length})"


def _when(step: PlanStep | None, plan: Plan) -> str:
    if step is None:
        return "not planned"
    return f"{when_text(step, plan.inputs.start)} ({days_text(step.days)})"


def _money(before: Plan, after: Plan) -> Iterator[_Pair]:
    olds, news = _monthly(before), _monthly(after)
    for what, old in olds.items():
        yield "cost", what, old, news[what]
    yield "storage", "Memory now", gib_text(before.cost.now.memory_gib), gib_text(after.cost.now.memory_gib)
    yield "storage", "Memory after", gib_text(before.cost.then.memory_gib), gib_text(after.cost.then.memory_gib)


def _monthly(plan: Plan) -> dict[str, str]:
    cost, currency = plan.cost, plan.cost.assumptions.currency
    return {
        "A month now": money_text(cost.now.cost_per_month, currency),
        "A month after": money_text(cost.then.cost_per_month, currency),
        "Saved a month after the move": money_text(cost.saving_per_month, currency),
    }


def _rest(before: Plan, after: Plan) -> Iterator[_Pair]:
    olds, news = ({(one.metric, one.severity): one.condition for one in plan.triggers} for plan in (before, after))
    for key in dict.fromkeys([*news, *olds]):
        yield "triggers", f"{key[0]}, {key[1]}", olds.get(key, "none"), news.get(key, "none")
    one, two = before.inputs, after.inputs
    yield "inputs", "Documents", f"{one.n_docs:,}", f"{two.n_docs:,}"
    yield "inputs", "Queries a day", f"{one.queries_per_day:,}", f"{two.queries_per_day:,}"
    yield "inputs", "p99", milliseconds(one.p99_ms), milliseconds(two.p99_ms)
    yield "inputs", "CTR", precise(one.ctr), precise(two.ctr)
    yield "inputs", "Dims from", f"{one.from_dims:,}", f"{two.from_dims:,}"
    yield "inputs", "Dims to", f"{one.to_dims:,}", f"{two.to_dims:,}"
    yield "inputs", "Appetite for risk", one.risk, two.risk
    yield "inputs", "Start", one.start or "open", two.start or "open"
    yield "inputs", "Stages", str(one.used_schedule), str(two.used_schedule)
    held = [f"{plan.used_schedule.holdback_percent:g} %" for plan in (one, two)]
    yield "inputs", "Holdback", held[0], held[1]
