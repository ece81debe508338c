"""What `dimshift plan` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from engine.errors import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.present.plan import Change, Plan

_LONGEST_TITLE = 32
_LONGEST_NAME = 24
_LONGEST = 600


def print_plan(made: Plan, moved: Sequence[Change]) -> None:
    """Print strategy, timeline, A/B test, storage and cost, warnings, and what moved since the kept plan."""
    typer.echo(f"{made.strategy.headline}.")
    typer.echo(f"{printable(made.strategy.reason, longest=_LONGEST)}\n")
    for leg in made.strategy.legs:
        reason = printable(leg.reason, longest=_LONGEST)
        typer.echo(f"  {'go  ' if leg.goes else 'stop'}  {leg.title}: {reason}")
    typer.echo("")
    _timeline(made)
    _ab_test(made)
    _costs(made)
    for warning in made.warnings:
        typer.echo(f"Note: {printable(warning, longest=_LONGEST)}")
    if moved:
        typer.echo("\nMoved since the kept plan:")
        for one in moved:
            typer.echo(f"  {one.what}: {printable(one.before, longest=90)} -> {printable(one.after, longest=90)}")


def _timeline(made: Plan) -> None:
    from engine.present.plan.wording import date_text, days_text, when_text

    if not made.steps:
        typer.echo("Nothing is to be done with these dims now.\n")
        return
    width = max(len(when_text(step, made.inputs.start)) for step in made.steps)
    typer.echo(f"{'step':<{_LONGEST_TITLE}} {'when':<{width}} {'length':>10}  owner")
    for step in made.steps:
        owner = printable(step.owner, longest=_LONGEST_NAME) or "to be named"
        title = printable(step.title, longest=_LONGEST_TITLE)
        when = when_text(step, made.inputs.start)
        typer.echo(f"{title:<{_LONGEST_TITLE}} {when:<{width}} {days_text(step.days):>10}  {owner}")
    ends = "" if made.ends_on is None else f", until {date_text(made.ends_on)}"
    typer.echo(f"{days_text(made.days)} in all{ends}\n")


def _ab_test(made: Plan) -> None:
    if made.step("ab-test") is None:
        return
    typer.echo(f"A/B test: {' '.join(made.ab_test.sentences)}")
    for one in made.ab_test.alternatives:
        typer.echo(f"  Instead: {one.sentence}")
    typer.echo("")


def _costs(made: Plan) -> None:
    from engine.present.plan.wording import gib_text, money_text

    currency = printable(made.cost.assumptions.currency, longest=8)
    typer.echo(f"{'phase':<28} {'memory':>10} {'disk':>10} {'a month':>14}")
    for one in made.storage:
        memory, disk = gib_text(one.memory_gib), gib_text(one.disk_gib)
        typer.echo(f"{one.title:<28} {memory:>10} {disk:>10} {money_text(one.cost_per_month, currency):>14}")
    typer.echo("")
