"""`dimshift report` and `dimshift runs`: one file that tells a stored sweep, and the list of what is stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine import terminal
from engine.commands.options import Json, Seed, WorkspaceFolder
from engine.errors import ParameterError, RunNotFoundError, printable
from engine.sizes import written_size

if TYPE_CHECKING:
    from engine.present.report.blocks import Report
    from engine.workspace import Run, Workspace

_LONGEST_NAME = 32
_LONGEST_WORDS = 90


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The id of a stored sweep; dimshift runs lists them.")],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write, as report.html or report.md.")],
    form: Annotated[
        str | None, typer.Option("--format", help="html or markdown; what the file's ending says, else html.")
    ] = None,
    tables: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write every table, as CSV and as Parquet.")
    ] = None,
    sections: Annotated[
        str | None,
        typer.Option(metavar="KEY[=TITLE],...", help="Which sections in which order, as verdict,curves=What we keep."),
    ] = None,
    title: Annotated[str | None, typer.Option(help="The title of the report.")] = None,
    compare: Annotated[str | None, typer.Option(metavar="RUN,...", help="Other sweeps to set beside this one.")] = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it, so that scripts can pass it to all
) -> None:
    """Write a report of a sweep: one file that needs no network, verdict first."""
    from engine.present.report.building import build_report
    from engine.present.report.files import check_report_files, report_format, write_report, write_tables
    from engine.present.report.sections import parse_sections
    from engine.workspace import Workspace

    terminal.check_outputs(json_file)
    written_as = report_format(form, out)
    check_report_files(out, tables=tables)
    chosen = () if sections is None else parse_sections(sections)
    others = () if compare is None else tuple(one.strip() for one in compare.split(","))
    try:
        built = build_report(
            Workspace.open(workspace),
            run,
            sections=chosen,
            title=title,
            compared_with=others,
            progress=terminal.show_progress,
        )
        terminal.show_progress(1.0, "Done")
    except RunNotFoundError as error:
        hint = "A run is stored once it has finished; dimshift runs lists those that are"
        raise RunNotFoundError(error.rule, found=error.found, hint=hint) from None
    n_bytes = write_report(built, out, form=written_as)
    files = () if tables is None else write_tables(built, tables)
    if json_file != "-":
        _print_report(built, out, n_bytes, n_files=len(files), tables=tables)
    terminal.write_json(json_file, _report_json(built, out, n_bytes, files))


def runs(
    *,
    kind: Annotated[str | None, typer.Option(help="Only runs of this kind, as sweep, ab or migration.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,  # noqa: ARG001 -- every verb takes it, so that scripts can pass it to all
) -> None:
    """List the stored runs, newest first."""
    from engine.workspace import Workspace

    terminal.check_outputs(json_file)
    store = Workspace.open(workspace)
    found = _found(store, kind, limit)
    if json_file != "-":
        _print_runs(found)
    terminal.write_json(json_file, [_run_json(one) for one in found])


def _found(store: Workspace, kind: str | None, limit: int) -> tuple[Run, ...]:
    found = store.runs(kind=kind, limit=limit)
    if not found and kind is not None and kind not in _kinds():
        raise ParameterError(f"the kind of a run is one of {', '.join(_kinds())}", found=kind)
    return found


def _kinds() -> tuple[str, ...]:
    from engine.experiment import storage as experiments
    from engine.migration.results import RUN_KIND
    from engine.tradeoff import storage as sweeps
    from engine.tradeoff.panels import PANELS
    from engine.tradeoff.size import options as costs

    return (sweeps.KIND, *(one.key for one in PANELS), costs.KIND, experiments.KIND, RUN_KIND)


def _print_report(built: Report, out: Path, n_bytes: int, *, n_files: int, tables: Path | None) -> None:
    shown = ", ".join(section.key for section in built.sections)
    size = written_size(n_bytes)
    typer.echo(f"{printable(out)}: {size}, {len(built.charts)} charts, {len(built.tables)} tables")
    typer.echo(f"Sections: {shown}")
    if built.left_out:
        typer.echo(f"Left out, since nothing is stored for them: {', '.join(built.left_out)}")
    if tables is not None:
        typer.echo(f"{printable(tables)}: {n_files} files")


def _report_json(built: Report, out: Path, n_bytes: int, files: tuple[Path, ...]) -> dict[str, Any]:
    return {
        "run_id": built.run_id,
        "title": built.title,
        "file": str(out),
        "bytes": n_bytes,
        "sections": [{"key": section.key, "title": section.title} for section in built.sections],
        "left_out": list(built.left_out),
        "tables": [str(file) for file in files],
    }


def _print_runs(found: tuple[Run, ...]) -> None:
    if not found:
        typer.echo("No run is stored yet; dimshift sweep makes one.")
        return
    typer.echo(f"{'run':<24} {'kind':<12} {'made, UTC':<16} {'seed':>6}  {'of':<{_LONGEST_NAME}} what it says")
    for one in found:
        name = printable(one.dataset.get("name") or "", longest=_LONGEST_NAME)
        typer.echo(
            f"{one.id:<24} {one.kind:<12} {one.created_at:%Y-%m-%d %H:%M} {one.seed:>6}  {name:<{_LONGEST_NAME}} "
            f"{printable(_says(one), longest=_LONGEST_WORDS)}"
        )


def _says(run: Run) -> str:
    """Return the verdict or headline of a run, where its kind has one."""
    said = run.summary.get("recommendation")
    if isinstance(said, dict):
        return f"{said['verdict']}: " + ("none" if said["dim"] is None else f"keep {said['dim']:,} dims")
    if "target" in run.parameters and "dims" in run.parameters:  # a migration
        return f"to {run.parameters['dims']:,} dims of {run.parameters['dtype']}"
    return str(run.summary.get("headline") or run.summary.get("refused") or "")


def _run_json(run: Run) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "kind": run.kind,
        "created_at": run.created_at.isoformat(),
        "seed": run.seed,
        "elapsed_s": run.elapsed_s,
        "dataset": run.dataset,
        "says": _says(run),
    }
