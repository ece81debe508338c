"""`dimshift plan`: the migration plan that the workspace's measurements support, as text, JSON or Markdown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine import terminal
from engine.commands.options import Actor, Json, Seed, WorkspaceFolder, actor_name
from engine.commands.plan_text import print_plan
from engine.commands.rollout_options import schedule_of, thresholds_of
from engine.errors import InputError, ParameterError
from engine.outputs import write_output

if TYPE_CHECKING:
    from engine.present.plan import Change, KeptPlan, Plan, PlanInputs

STOPPED = 3
"""What a plan whose recommendation is to stop ends with."""


def plan(
    *,
    documents: Annotated[int | None, typer.Option(help="Documents to move.")] = None,
    queries_per_day: Annotated[int | None, typer.Option(help="Queries a day.")] = None,
    p99_ms: Annotated[float | None, typer.Option("--p99-ms", help="99th percentile of latency today, ms.")] = None,
    ctr: Annotated[float | None, typer.Option(help="Share of queries with a click, as 0.12.")] = None,
    from_dims: Annotated[int | None, typer.Option("--from", metavar="DIMS", help="Dims there are.")] = None,
    to_dims: Annotated[int | None, typer.Option("--to", metavar="DIMS", help="Dims to keep.")] = None,
    risk: Annotated[str | None, typer.Option(help="cautious, balanced or bold.")] = None,
    start: Annotated[str | None, typer.Option(metavar="DATE", help="First day, as 2026-03-02; empty for open.")] = None,
    margin: Annotated[float | None, typer.Option(help="Relative loss of CTR that the A/B test rules out.")] = None,
    schedule: Annotated[
        str | None, typer.Option(metavar="DAY:PERCENT,...", help="Stages of the rollout, as 0:5,3:10,7:25.")
    ] = None,
    holdback: Annotated[float | None, typer.Option(help="Percent of the users that stay in control.")] = None,
    thresholds: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON of thresholds, as dimshift rollout takes it.")
    ] = None,
    queries_per_user: Annotated[float | None, typer.Option(help="Queries of a user during the A/B test.")] = None,
    new_users_per_day: Annotated[float | None, typer.Option(help="Users seen for the first time a day.")] = None,
    longest_ab_days: Annotated[int | None, typer.Option(help="How long an A/B test may take.")] = None,
    copy_rows_per_s: Annotated[float | None, typer.Option(help="Rows copied a second.")] = None,
    owner: Annotated[
        list[str] | None, typer.Option(metavar="STEP=NAME", help="Who owns a step, as ab-test=Ada; several times.")
    ] = None,
    run: Annotated[
        str | None, typer.Option(metavar="RUN", help="The sweep it rests on; the kept plan's, else the newest.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write it as Markdown.")] = None,
    save: Annotated[bool, typer.Option("--save", help="Keep it as the plan of the workspace.")] = False,
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it, so that scripts can pass it to all
) -> None:
    """Plan the migration: strategy, timeline, A/B length, triggers, cost. What is left out is as in the kept plan."""
    from engine.present.plan import PlanInputs, PlanStore, changes, evidence_of, inputs_from, make_plan, render_markdown
    from engine.workspace import Workspace

    terminal.check_outputs(json_file)
    _check_markdown_file(out)
    store = Workspace.open(workspace)
    kept = PlanStore(store).load()
    evidence = evidence_of(store, run if run is not None else (None if kept is None else kept.run_id))
    base = inputs_from(evidence, PlanInputs()) if kept is None else kept.plan.inputs
    given = {
        "n_docs": documents,
        "queries_per_day": queries_per_day,
        "p99_ms": p99_ms,
        "ctr": ctr,
        "from_dims": from_dims,
        "to_dims": to_dims,
        "risk": risk,
        "start": start,
        "margin": margin,
        "queries_per_user": queries_per_user,
        "new_users_per_day": new_users_per_day,
        "longest_ab_days": longest_ab_days,
        "copy_rows_per_s": copy_rows_per_s,
        "thresholds": thresholds_of(thresholds),
    }
    inputs = _changed(base, given, schedule=schedule, holdback=holdback, owners=owner or [])
    made = make_plan(inputs, evidence=evidence)
    moved = () if kept is None else changes(kept.plan, made)
    if out is not None:
        write_output(out, render_markdown(made), rule="--out must be a file that can be written")
    if save:
        version = 0 if kept is None else kept.version
        kept = PlanStore(store).save(
            made, run_id=evidence.run_id, expected_version=version, actor=actor_name(by), reason="dimshift plan --save"
        )
    if json_file != "-":
        print_plan(made, moved)
    terminal.write_json(json_file, _plan_json(made, moved, kept))
    if made.strategy.is_stop:
        raise typer.Exit(STOPPED)


def _changed(
    base: PlanInputs, given: dict[str, Any], *, schedule: str | None, holdback: float | None, owners: list[str]
) -> PlanInputs:
    """Return `base` with what was given. Raises ParameterError."""
    chosen = {name: value for name, value in given.items() if value is not None}
    if schedule is not None or holdback is not None:
        asked = schedule_of(schedule, holdback, present=base.used_schedule)
        chosen["schedule"] = asked
        chosen["holdback_percent"] = None
    named = dict(base.owners)
    for one in owners:
        step, equals, name = one.partition("=")
        if not equals:
            raise ParameterError("--owner takes STEP=NAME", found=one, hint="As ab-test=Ada")
        named[step.strip()] = name.strip()
    return replace(base, owners=named, **chosen)


def _check_markdown_file(out: Path | None) -> None:
    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        raise InputError("--out must name a file in a folder that is there", found=out.name or str(out))


def _plan_json(made: Plan, moved: tuple[Change, ...], kept: KeptPlan | None) -> dict[str, Any]:
    from engine.workspace import plain_json

    fields: Any = plain_json(made)
    return {
        "run_id": made.strategy.run_id,
        "recommendation": made.strategy.outcome,
        "days": made.days,
        "ends_on": plain_json(made.ends_on),
        "version": None if kept is None else kept.version,
        **fields,
        "changes": plain_json(moved),
    }
