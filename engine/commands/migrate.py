"""`dimshift migrate` and `dimshift search`: move vectors between stores, and ask one."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine import terminal
from engine.commands import migrate_text
from engine.commands.interrupting import interruptible
from engine.commands.options import Actor, Json, Seed, WorkspaceFolder, actor_name
from engine.errors import CancelledError, MigrationError, ParameterError

if TYPE_CHECKING:
    from engine.migration import Migrator
    from engine.workspace import Workspace

_TARGET_NOT_MET = 3


def migrate(
    source: Annotated[str, typer.Argument(help="URL of the store to read, as postgresql://user@host/db#table.")],
    target: Annotated[str, typer.Argument(help="URL of the store to write, as lancedb:///folder#table.")],
    *,
    dims: Annotated[int, typer.Option(help="Components to keep.")],
    dtype: Annotated[str, typer.Option(help="Type in the target: float32 or float16.")] = "float32",
    metric: Annotated[str | None, typer.Option(help="cosine, ip or l2; the source's by default.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a batch; about 16 MiB by default.")] = None,
    rate: Annotated[float | None, typer.Option(help="At most so many rows a second.")] = None,
    validate: Annotated[str, typer.Option(help="full, or the share of rows whose values are compared.")] = "0.01",
    quarantine_share: Annotated[float, typer.Option(help="Share of rows that may be set aside.")] = 0.01,
    queries: Annotated[str | None, typer.Option(help="Full-dimension query vectors to validate search with.")] = None,
    sweep: Annotated[str | None, typer.Option(metavar="RUN", help="The sweep whose recall is the prediction.")] = None,
    overwrite: Annotated[
        str | None, typer.Option(metavar="TABLE", help="The target's name, typed, to replace what it holds.")
    ] = None,
    index: Annotated[bool, typer.Option(help="Build a vector index after the copy.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and write nothing.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a migration that was interrupted.")] = False,
    catch_up: Annotated[
        bool, typer.Option("--catch-up", help="Take over what changed since a finished migration.")
    ] = False,
    retry_quarantine: Annotated[
        bool, typer.Option("--retry-quarantine", help="Try the rows that were set aside once more.")
    ] = False,
    pause: Annotated[bool, typer.Option("--pause", help="Ask the process at work on it to pause.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Ask the process at work on it to cancel.")] = False,
    by: Actor = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,
) -> None:
    """Move truncated vectors from one database to another, checked row by row."""
    from engine.migration import IndexSpec, MigrationSettings, Migrator, open_store
    from engine.workspace import Workspace

    terminal.check_outputs(json_file)
    settings = MigrationSettings(
        index=IndexSpec() if index else None,
        dims=dims,
        dtype=_one_of(dtype, "--dtype"),
        metric=_one_of(metric, "--metric"),
        batch_size=batch_size,
        rows_per_s=rate,
        validate_share=1.0 if validate == "full" else _share(validate),
        quarantine_share=quarantine_share,
        overwrite=overwrite,
        seed=seed,
    )
    with ExitStack() as opened:
        kept = opened.enter_context(Workspace.open(workspace))
        migrator = Migrator(
            opened.enter_context(open_store(source, role="source")),
            opened.enter_context(open_store(target, role="target")),
            settings,
            workspace=kept,
            actor=actor_name(by),
            queries=None if queries is None else _vectors(queries),
            predicted=None if sweep is None else _prediction(kept, sweep, dims),
        )
        if pause or cancel:
            job = migrator.record.ask("cancel" if cancel else "pause", actor=actor_name(by))
            typer.echo(f"Asked migration {job.id} to {job.asked}.", err=True)
            return
        if dry_run:
            plan = migrator.plan()
            if json_file != "-":
                migrate_text.print_plan(plan)
            terminal.write_json(json_file, migrate_text.as_json(plan))
            raise typer.Exit(_TARGET_NOT_MET if plan.refusals else 0)
        _move(migrator, resume=resume, catch_up=catch_up, retry_quarantine=retry_quarantine)
        report = migrator.report()
        if report is None:
            raise MigrationError("the migration must be finished to have a report")
        if json_file != "-":
            migrate_text.print_report(report)
        terminal.write_json(json_file, migrate_text.as_json(report))
    if report.validation.verdict != "equal" or report.n_held:
        raise typer.Exit(_TARGET_NOT_MET)


def _move(migrator: Migrator, *, resume: bool, catch_up: bool, retry_quarantine: bool) -> None:
    job = migrator.status()
    if job is not None and job.state in {"paused", "stopped", *_running()} and not resume:
        raise MigrationError(
            "a migration that was begun is gone on with by --resume",
            found=f"{job.state}{f': {job.reason}' if job.reason else ''}",
        )
    try:
        with interruptible() as interrupted:
            if retry_quarantine:
                moved = migrator.retry_quarantine(cancelled=interrupted)
                typer.echo(f"Rows of the quarantine that are in the target now: {moved:,}.", err=True)
            elif catch_up:
                migrator.catch_up(progress=terminal.show_progress, cancelled=interrupted)
            else:
                migrator.run(progress=terminal.show_progress, cancelled=interrupted)
    except CancelledError:
        raise MigrationError("the migration is paused; run it again with --resume to go on") from None


def _running() -> tuple[str, ...]:
    from engine.migration.job import RUNNING

    return RUNNING


def search(
    url: Annotated[str, typer.Argument(help="URL of the store.")],
    *,
    query_file: Annotated[str, typer.Option(help="Query vectors, full-dimension or already cut.")],
    dims: Annotated[int, typer.Option(help="Components that the store holds.")],
    k: Annotated[int, typer.Option("-k", "--k", help="Results a query asks for.")] = 10,
    ef: Annotated[int | None, typer.Option(help="Candidates the index keeps while it searches.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Compare with every row instead of asking the index.")] = False,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,  # noqa: ARG001 -- every verb takes it, so that scripts can pass it to all
    seed: Seed = 0,  # noqa: ARG001
) -> None:
    """Search a store through its own index."""
    from engine.migration import open_store
    from engine.migration.transform import Transform

    terminal.check_outputs(json_file)
    queries = _vectors(query_file)
    if dims > queries.shape[1]:
        raise ParameterError(f"the queries have {queries.shape[1]} dims, so at most as many can be asked", found=dims)
    with open_store(url, role="source") as store:
        info = store.describe()
        transform = Transform(dims=dims, normalise=info.metric in {None, "cosine"})
        answer = store.search(transform.cut(queries), k, ef=ef, exact=exact)
    if json_file != "-":
        migrate_text.print_answer(answer)
    terminal.write_json(json_file, migrate_text.answer_json(answer, url=store.url))


def _vectors(path: str) -> Any:
    import numpy as np

    from engine.embeddings import load

    return np.ascontiguousarray(load(path, n_held_out=0).corpus, dtype=np.float32)


def _prediction(workspace: Workspace, run_id: str, dims: int) -> Any:
    from engine.tradeoff import Criterion, load_sweep, summarize

    result = load_sweep(workspace, run_id)
    if dims not in result.dims or 10 not in result.ks:
        shown = ", ".join(map(str, result.dims))
        raise ParameterError(f"the sweep must have measured recall@10 at {dims} dims", found=f"dims {shown}")
    summary = summarize(result, Criterion(quantity="recall", k=10, target=0.95))
    return next(point.recall[10] for point in summary.points if point.dim == dims)


def _one_of(value: str | None, option: str) -> Any:
    known = {"--dtype": ("float32", "float16"), "--metric": ("cosine", "ip", "l2")}[option]
    if value is not None and value not in known:
        raise ParameterError(f"{option} is one of {', '.join(known)}", found=value)
    return value


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ParameterError("--validate is full or a share between 0 and 1", found=text) from None
