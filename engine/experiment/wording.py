"""How shares, changes, intervals and p-values are written in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.experiment.settings import MIN_USERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.experiment.results import Estimate
    from engine.experiment.settings import Margin


_LEAST_CHANGE = 0.00005
"""Smaller relative changes than this round to 0.00 %: nobody measures them, and nobody could act on them."""


def percent(share: float) -> str:
    """Write a share; two digits below 10 %, one decimal above, none above 100 %.

    >>> percent(0.04167), percent(0.1149), percent(0.00012), percent(1.0), percent(9.154)
    ('4.2 %', '11.5 %', '0.012 %', '100 %', '915 %')
    """
    value = 100 * share
    if abs(value) < 1e-9:
        return "0 %"
    if abs(value) < 9.95:
        return _plain(f"{float(f'{value:.2g}'):.11f}")
    return _plain(f"{value:,.1f}" if abs(value) < 99.95 else f"{value:,.0f}")


def signed(change: float) -> str:
    """Write a relative change with its sign, with two decimals of a percent at most.

    >>> signed(0.05), signed(-0.0417), signed(0.00052), signed(-0.00001), signed(0)
    ('+5 %', '-4.2 %', '+0.05 %', '0 %', '0 %')
    """
    size = _size(change)
    return size if size == "0 %" else f"{'+' if change > 0 else '-'}{size}"


def precise(share: float) -> str:
    """Write a share with four digits, for figures that stand side by side.

    >>> precise(0.12), precise(0.1198), precise(0.00009693), precise(0.0000001)
    ('12 %', '11.98 %', '0.009693 %', '0.00001 %')
    """
    return _plain(f"{float(f'{100 * share:.4g}'):.11f}")


def milliseconds(value: float) -> str:
    """Write a latency.

    >>> milliseconds(42.04), milliseconds(999.7), milliseconds(12_345.6)
    ('42 ms', '1,000 ms', '12,346 ms')
    """
    return f"{value:.3g} ms" if value < 999.5 else f"{value:,.0f} ms"


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

    >>> moved(-0.0417), moved(0.02), moved(0.00001), moved(0)
    ('fell by 4.2 %', 'rose by 2 %', 'changed by less than 0.01 %', 'did not change')
    """
    if change == 0:
        return "did not change"
    if _size(change) == "0 %":
        return "changed by less than 0.01 %"
    return f"{'rose' if change > 0 else 'fell'} by {_size(change)}"


def margin_text(margin: Margin) -> str:
    """Write what a margin allows: ``5 %``, or ``10 % (or 2 in 10,000 queries, if that is more)``."""
    if not margin.absolute:
        return percent(margin.relative)
    return f"{percent(margin.relative)} (or {10_000 * margin.absolute:g} in 10,000 queries, if that is more)"


def crowd_text(n_users: int, n_even_users: float) -> str | None:
    """Say that an arm with users enough has too many queries of a few of them, None where it has not.

    >>> crowd_text(60_000, 5.04)
    "a few users, perhaps bots, send so many of an arm's queries that it tells as much as 5 users: 30 are needed"
    """
    if n_users < MIN_USERS or n_even_users >= MIN_USERS:
        return None
    return (
        "a few users, perhaps bots, send so many of an arm's queries that it tells as much as "
        f"{plural(int(n_even_users), 'user')}: {MIN_USERS} are needed"
    )


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

    >>> plural(1, "day"), plural(12_000, "user"), plural(0, "query")
    ('1 day', '12,000 users', '0 queries')
    """
    several = f"{noun[:-1]}ies" if noun.endswith("ry") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else several}"


def rounded(number: int) -> int:
    """Round a planned number up to two digits, as its last ones mean nothing.

    >>> rounded(36_271), rounded(94), rounded(101)
    (37000, 94, 110)
    """
    step = int(10 ** max(0, len(str(number)) - 2))
    return -(-number // step) * step


def _size(change: float) -> str:
    """Write the size of a change without its sign."""
    value = abs(100 * change)
    if value < 100 * _LEAST_CHANGE:
        return "0 %"
    return _plain(f"{value:.2f}") if value < 1 else percent(abs(change))


def _plain(number: str) -> str:
    """Return a decimal number without the zeros at its end, with the sign of percent."""
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} %"
