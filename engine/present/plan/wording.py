"""How a plan writes numbers, days and dates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.experiment.wording import percent

if TYPE_CHECKING:
    from datetime import date

    from engine.present.plan.results import PlanStep
    from engine.tradeoff.results import Interval, SweepSummary


_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def days_text(days: float) -> str:
    """Write a length: hours below two days where it is no whole number of days.

    >>> days_text(7), days_text(1), days_text(0.5), days_text(10.5), days_text(0), days_text(1234.0)
    ('7 days', '1 day', '12 hours', '10.5 days', '0 days', '1,234 days')
    """
    if days == round(days):
        return f"{days:,.0f} {'day' if days == 1 else 'days'}"
    if days < 2:
        hours = max(1, round(24 * days))
        return f"{hours} {'hour' if hours == 1 else 'hours'}"
    return f"{round(days, 1):,g} days" if days < 1000 else f"{days:,.0f} days"


def day_text(day: float) -> str:
    """Write a moment of the plan: ``day 3``, ``day 4.5``.

    >>> day_text(3.0), day_text(4.5), day_text(4.51)
    ('day 3', 'day 4.5', 'day 4.5')
    """
    return f"day {round(day, 1):,.10g}"


def when_text(step: PlanStep, start: str) -> str:
    """Write when a step is: its dates, else its days."""
    dates = step.dates(start)
    if dates is None:
        return f"{day_text(step.start_day)} to {day_text(step.end_day)}"
    return date_text(dates[0]) if dates[0] == dates[1] else f"{date_text(dates[0])} to {date_text(dates[1])}"


def date_text(day: date) -> str:
    """Write a date: ``Mon 2 Mar 2026``."""
    # Not by strftime, which writes in the language of the machine.
    return f"{_WEEKDAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]} {day.year}"


def gib_text(gib: float) -> str:
    """Write an amount of memory or disk.

    >>> gib_text(114.4), gib_text(0.002), gib_text(1234.5), gib_text(9.53)
    ('114 GiB', '2 MiB', '1,234 GiB', '9.5 GiB')
    """
    if gib < 1:
        return f"{1024 * gib:,.2g} MiB" if gib < 0.1 else f"{1024 * gib:,.0f} MiB"
    return f"{gib:,.1f} GiB" if gib < 99.95 else f"{gib:,.0f} GiB"


def money_text(amount: float, currency: str) -> str:
    """Write a price; cents below a hundred.

    >>> money_text(1234.5, "USD"), money_text(3.456, "USD"), money_text(-20.0, "EUR")
    ('1,234 USD', '3.46 USD', '-20.00 EUR')
    """
    return f"{amount:,.2f} {currency}" if abs(amount) < 100 else f"{amount:,.0f} {currency}"


def judged_text(summary: SweepSummary, interval: Interval) -> str:
    """Write what a sweep is judged by, with its interval."""
    k = summary.criterion.k
    if summary.criterion.quantity == "recall":
        return f"recall@{k} {interval.mean:.3f} (95 % interval {interval.low:.3f} to {interval.high:.3f})"
    bounds = f"95 % interval {percent(interval.low)} to {percent(interval.high)}"
    return f"{percent(interval.mean)} of the full dimension's nDCG@{k} ({bounds})"


def target_text(summary: SweepSummary) -> str:
    """Write the target of a sweep."""
    target = summary.criterion.target
    return f"{target:g}" if summary.criterion.quantity == "recall" else percent(target)
