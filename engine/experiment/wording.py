"""How shares, changes, intervals and p-values are written in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.experiment.results import Estimate
    from engine.experiment.settings import Margin


def percent(share: float) -> str:
    """Write a share; two digits below 10 %, one decimal above.

    >>> percent(0.04167), percent(0.1149), percent(0.00012), percent(1.0)
    ('4.2 %', '11.5 %', '0.012 %', '100 %')
    """
    value = 100 * share
    if abs(value) < 9.95:
        return f"{float(f'{value:.2g}'):.10g} %" if abs(value) >= 1e-9 else "0 %"
    return f"{value:,.1f}".removesuffix(".0") + " %"


def signed(change: float) -> str:
    """Write a change with its sign.

    >>> signed(0.05), signed(-0.0417), signed(0)
    ('+5 %', '-4.2 %', '0 %')
    """
    return percent(change) if change <= 0 else f"+{percent(change)}"


def interval(estimate: Estimate, confidence: float) -> str:
    """Write a two-sided interval of a change; a side that the data leave open is named."""
    low = "no lower bound" if estimate.low is None else signed(estimate.low)
    high = "no upper bound" if estimate.high is None else signed(estimate.high)
    if estimate.low is None and estimate.high is None:
        return "no interval"
    return f"{percent(confidence)} interval {low} to {high}"


def p_text(p_value: float) -> str:
    """Write a p-value.

    >>> p_text(0.2722), p_text(1e-9)
    ('p = 0.27', 'p < 0.0001')
    """
    return "p < 0.0001" if p_value < 1e-4 else f"p = {p_value:.2g}"


def moved(change: float) -> str:
    """Write a change as a verb.

    >>> moved(-0.0417), moved(0.02), moved(0)
    ('fell by 4.2 %', 'rose by 2 %', 'did not change')
    """
    if change == 0:
        return "did not change"
    return f"{'rose' if change > 0 else 'fell'} by {percent(abs(change))}"


def margin_text(margin: Margin) -> str:
    """Write what a margin allows: ``5 %``, or ``10 % (or 2 in 10,000 queries, if that is more)``."""
    if not margin.absolute:
        return percent(margin.relative)
    return f"{percent(margin.relative)} (or {10_000 * margin.absolute:g} in 10,000 queries, if that is more)"


def listed(names: Sequence[str]) -> str:
    """Join names as a sentence does.

    >>> listed(["CTR"]), listed(["CTR", "conversion", "error rate"])
    ('CTR', 'CTR, conversion and error rate')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def as_start(name: str) -> str:
    """Begin a sentence with a name; percentiles keep their small p.

    >>> as_start("error rate"), as_start("p99 latency")
    ('Error rate', 'p99 latency')
    """
    return name if name[1:2].isdigit() else name[:1].upper() + name[1:]


def plural(number: int, noun: str) -> str:
    """Write a number with its noun.

    >>> plural(1, "day"), plural(12_000, "user")
    ('1 day', '12,000 users')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def rounded(number: int) -> int:
    """Round a planned number up to two digits, as its last ones mean nothing.

    >>> rounded(36_271), rounded(94), rounded(101)
    (37000, 94, 110)
    """
    step = int(10 ** max(0, len(str(number)) - 2))
    return -(-number // step) * step
