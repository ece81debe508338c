"""`dimshift demo`: a workspace of its own in which the bundled data have gone through every stage."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine import terminal
from engine.commands.interrupting import interruptible
from engine.commands.options import Json, Seed
from engine.errors import CancelledError, WorkspaceError, printable

if TYPE_CHECKING:
    from engine.present.demonstration import Demonstration
    from engine.workspace import Workspace

_FOLDER = Path(".dimshift-demo")

DemoFolder = Annotated[Path, typer.Option("--workspace", metavar="DIR", help="Where it is built.")]


def demo(
    context: typer.Context,
    *,
    opens: Annotated[bool, typer.Option("--open", help="Open it in the dashboard then.")] = False,
    json_file: Json = None,
    workspace: DemoFolder = _FOLDER,
    seed: Seed = 0,
) -> None:
    """Build a demonstration: the bundled data through every stage, on simulated time, in under a minute."""
    from engine.workspace import Workspace

    terminal.check_outputs(json_file)
    with Workspace.open(workspace) as opened:
        built = _built(opened, seed=seed)
    if json_file != "-":
        _print_demonstration(built, workspace)
    terminal.write_json(json_file, _demonstration_json(built, workspace))
    if opens:
        _open(context, workspace)


def _built(workspace: Workspace, *, seed: int) -> Demonstration:
    from engine.present.demonstration import build_demonstration, find_demonstration

    try:
        with interruptible() as interrupted:
            return build_demonstration(workspace, seed=seed, progress=terminal.show_progress, cancelled=interrupted)
    except CancelledError:
        kept = find_demonstration(workspace)
        raise WorkspaceError(
            "the demonstration was stopped",
            found=f"{0 if kept is None else len(kept.stages):,} finished stages, which are kept",
            hint="Run the same command again to go on",
        ) from None


def _print_demonstration(built: Demonstration, folder: Path) -> None:
    if built.n_new:
        typer.echo(f"A demonstration, seed {built.seed:,}, built in {built.seconds:,.0f} s:\n")
    else:
        typer.echo("This workspace holds its demonstration already; nothing was changed.\n")
    for stage in built.stages:
        typer.echo(f"{stage.title}: {printable(stage.outcome.sentence, longest=600)}")
    typer.echo("\nUsers, traffic, days and ticks of the checklist are simulated, and say so; the rest is measured.")
    where = f"--workspace {shlex.quote(printable(folder, longest=1000))}"
    typer.echo(f"See it with:      dimshift app {where}")
    typer.echo(f"As one file with: dimshift report {built.sweep_run} {where} --out report.html")


def _demonstration_json(built: Demonstration, folder: Path) -> dict[str, Any]:
    return {
        "workspace": str(folder),
        "seed": built.seed,
        "is_complete": built.is_complete,
        "n_new": built.n_new,
        "seconds": built.seconds,
        "sweep_run": built.sweep_run,
        "stages": [asdict(stage) for stage in built.stages],
    }


def _open(context: typer.Context, folder: Path) -> None:
    # Found by its name: the module of the verb stands above this one.
    shell: Any = context.find_root().command
    context.invoke(shell.get_command(context, "app").callback, workspace=folder)
