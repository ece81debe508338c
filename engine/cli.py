"""The `dimshift` command: every verb is one engine call, printed for people or as JSON for scripts.

Exit status: 0 done and target met, 1 error (one line on stderr), 2 usage, 3 done but the target was not met.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine import __version__, terminal
from engine.commands.ab import ab_app
from engine.commands.cluster import Scheduler, parts_of
from engine.commands.demo import demo
from engine.commands.flags import flags_app
from engine.commands.migrate import migrate, search
from engine.commands.options import Json, Seed, WorkspaceFolder
from engine.commands.plan import plan
from engine.commands.report import report, runs
from engine.commands.rollout import rollout_app
from engine.commands.runbook import runbook_app
from engine.embeddings import METRICS, RECIPES, Columns, load
from engine.embeddings.samples import load_sample
from engine.errors import EngineError, InputError, ParameterError, VectorError
from engine.seeds import check_seed

if TYPE_CHECKING:
    from engine.embeddings import EmbeddingSet

TARGET_NOT_MET = 3
_INTERRUPTED = 130  # what a shell reports for a command that Ctrl-C ended
_APP = Path(__file__).resolve().parents[1] / "app.py"

Corpus = Annotated[str, typer.Argument(help="Corpus vectors, a one-file set, or sample:NAME.")]
Queries = Annotated[str | None, typer.Option(help="Query vectors; held out from the corpus without.")]
Dims = Annotated[str | None, typer.Option(help="Dimensions to try, as 64,128,256.")]
VectorColumn = Annotated[str | None, typer.Option(help="Column of the vectors, where several could be.")]
QueryColumn = Annotated[str | None, typer.Option(help="Column of the query vectors, where it is another one.")]
IdColumn = Annotated[str | None, typer.Option(help="Column of the ids.")]

app = typer.Typer(
    name="dimshift",
    help="How few dimensions can your Matryoshka embeddings keep?",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(ab_app, name="ab")
app.add_typer(flags_app, name="flags")
app.add_typer(rollout_app, name="rollout")
app.add_typer(runbook_app, name="runbook")
app.command()(demo)
app.command()(migrate)
app.command()(search)
app.command()(plan)
app.command()(report)
app.command()(runs)


def main() -> None:
    """Run the command line; an engine error becomes one line on stderr and exit status 1."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except EngineError as error:
        sys.stderr.write(f"dimshift: {error}\n")
        sys.exit(1)
    except OSError as error:
        sys.stderr.write(f"dimshift: the output must be writable; found {error.strerror}\n")
        os._exit(1)  # a normal exit would try to flush the same output again and fail with a traceback
    except KeyboardInterrupt:
        sys.stderr.write("dimshift: stopped; nothing was kept\n")
        sys.exit(_INTERRUPTED)


@app.callback(invoke_without_command=True)
def _without_a_verb(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"dimshift {__version__}")
    elif context.invoked_subcommand is None:
        open_app()


@app.command("app")
def open_app(
    *,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port; 8501 or the next free one.")] = None,
    address: Annotated[str | None, typer.Option(help="Address to listen on; this machine only without.")] = None,
    without_login: Annotated[
        bool, typer.Option("--without-login", help="Let everybody who reaches the address do everything.")
    ] = False,
    workspace: WorkspaceFolder = None,
) -> None:
    """Open the dashboard in the browser."""
    if not _APP.is_file():
        raise InputError(
            "the dashboard starts from a checkout of the project",
            found="an installation without app.py",
            hint="Clone the repository and run pip install -e . there",
        )
    command = [sys.executable, "-m", "pages.shell.serve"]
    if port is not None:
        command += ["--server.port", str(port)]
    if address is not None:
        command += ["--server.address", address]
    # Streamlit reads its configuration from the folder it starts in, so what the caller named is made absolute first.
    environment = os.environ.copy()
    folder = workspace or os.environ.get("DIMSHIFT_WORKSPACE") or ".dimshift"
    environment["DIMSHIFT_WORKSPACE"] = str(Path(folder).absolute())
    if without_login:
        environment["DIMSHIFT_WITHOUT_LOGIN"] = "1"
    if data_root := os.environ.get("DIMSHIFT_DATA_ROOT"):
        environment["DIMSHIFT_DATA_ROOT"] = str(Path(data_root).absolute())
    if os.name == "posix":
        os.chdir(_APP.parent)
        os.execve(sys.executable, command, environment)  # noqa: S606 -- our own interpreter, no shell
    raise typer.Exit(subprocess.run(command, cwd=_APP.parent, env=environment, check=False).returncode)  # noqa: S603


@app.command()
def inspect(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files or folders, or sample:NAME.")],
    *,
    vector_column: VectorColumn = None,
    id_column: IdColumn = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,  # noqa: ARG001 -- every verb takes it, so that scripts can pass it to all
    seed: Seed = 0,
) -> None:
    """Say what is in the files: counts, norms, zero, duplicate and broken rows."""
    from engine.embeddings import inspect_health

    terminal.check_outputs(json_file)
    columns = Columns(vector=vector_column, id=id_column)
    answers, problems = [], []
    for path in paths:
        chosen = _load(path, columns, seed=seed, n_held_out=0)
        health = inspect_health(chosen, progress=terminal.show_progress)
        answers.append({"path": path, "name": chosen.name, "labels": list(chosen.labels), **health.as_dict()})
        problems += [(path, finding) for finding in health.findings if finding.severity == "problem"]
        if json_file != "-":
            terminal.print_health(path, chosen, health)
    terminal.write_json(json_file, answers)
    if problems:
        where, worst = problems[0]
        raise VectorError(f"{where}: {worst.message.rstrip('.')}", hint=worst.hint)


@app.command()
def sweep(
    corpus: Corpus,
    *,
    queries: Queries = None,
    qrels: Annotated[str | None, typer.Option(help="Relevance judgements, BEIR TSV or TREC.")] = None,
    dims: Dims = None,
    k: Annotated[str, typer.Option("--k", help="Ranks to measure at, as 1,10,100.")] = "1,10,100",
    metric: Annotated[str | None, typer.Option(help="cosine, ip or l2; what the file says, else cosine.")] = None,
    recipe: Annotated[str, typer.Option(help="prefix, or layer_norm before the prefix (nomic).")] = "prefix",
    target_recall: Annotated[float, typer.Option(help="Mean recall@k that must be kept.")] = 0.95,
    max_ndcg_loss: Annotated[
        float | None, typer.Option(help="Judge by nDCG instead: the share that may be lost, as 0.05.")
    ] = None,
    judge_at: Annotated[int | None, typer.Option(help="The k that is judged; 10, or the nearest given.")] = None,
    n_queries: Annotated[int | None, typer.Option(min=1, help="Sweep a seeded sample of the queries.")] = None,
    vector_column: VectorColumn = None,
    query_column: QueryColumn = None,
    id_column: IdColumn = None,
    panels: Annotated[
        str | None, typer.Option(help="Also measure panels, as nesting,latency, or all; they go into the JSON.")
    ] = None,
    scheduler: Scheduler = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write sweep.json and points.csv.")] = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,
    seed: Seed = 0,
) -> None:
    """Measure recall and quality at every dimension and recommend the smallest that is safe."""
    from engine import tradeoff
    from engine.tradeoff.distributed import sweeper
    from engine.tradeoff.export import panel_json
    from engine.tradeoff.panels import explore, panel_keys
    from engine.workspace import Workspace

    terminal.check_outputs(json_file, folder=out)
    keys = panel_keys(panels)
    asked_dims, ks = _whole_numbers(dims, "--dims"), _whole_numbers(k, "--k") or ()
    store = Workspace.open(workspace)
    columns = Columns(vector=vector_column, queries=query_column, id=id_column)
    files: dict[str, Any] = {"queries": queries, "qrels": qrels}
    about: dict[str, Any] = {"metric": _metric(metric), "recipe": _recipe(recipe)}
    parts = None if scheduler is None else parts_of(corpus, columns=columns, panels=keys, **files, **about)
    chosen = _load(corpus, columns, seed=seed, **files, **about) if parts is None else None
    result = sweeper(scheduler)(
        chosen or parts,
        asked_dims,
        ks,
        metric=_metric(metric),
        n_queries=n_queries,
        seed=seed,
        progress=terminal.show_progress,
    )
    criterion = _criterion(result, target_recall=target_recall, max_ndcg_loss=max_ndcg_loss, judge_at=judge_at)
    estimates = tradeoff.estimate(result)
    summary = tradeoff.judge(estimates, criterion)
    run = tradeoff.save_sweep(store, result, criterion=criterion, estimates=estimates)
    answer = tradeoff.sweep_json(result, summary, run_id=run.id, environment=run.environment)
    if keys is not None and chosen is not None:
        answers = explore(store, chosen, result, run_id=run.id, keys=keys, progress=terminal.show_progress)
        answer["panels"] = {key: panel_json(one) for key, one in answers.items()}
    if out is not None:
        terminal.write_folder(out, answer, summary)
    if json_file != "-":
        terminal.print_sweep(summary, run.id, [*result.dataset.labels], answer["warnings"])
    terminal.write_json(json_file, answer)
    if summary.recommendation.dim is None:
        raise typer.Exit(TARGET_NOT_MET)


@app.command()
def latency(
    corpus: Corpus,
    *,
    queries: Queries = None,
    dims: Dims = None,
    path: Annotated[str, typer.Option(help="Serving paths to time.")] = "exact,prefix,hnsw",
    k: Annotated[int, typer.Option("--k", help="Neighbours a query asks for.")] = 10,
    threads: Annotated[int, typer.Option(help="Measure throughput with 1 to this many threads.")] = 1,
    target_recall: Annotated[float, typer.Option(help="What HNSW must find of the exact answer.")] = 0.95,
    vector_column: VectorColumn = None,
    query_column: QueryColumn = None,
    id_column: IdColumn = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,  # noqa: ARG001 -- every verb takes it, so that scripts can pass it to all
    seed: Seed = 0,
) -> None:
    """Time single queries on every serving path at every dimension."""
    from engine.tradeoff.export import result_json
    from engine.tradeoff.latency.measure import measure_latency

    terminal.check_outputs(json_file)
    columns = Columns(vector=vector_column, queries=query_column, id=id_column)
    chosen = _load(corpus, columns, seed=seed, queries=queries)
    result = measure_latency(
        chosen,
        _whole_numbers(dims, "--dims"),
        k=k,
        paths=path.split(","),
        n_threads=threads,
        target_recall=target_recall,
        seed=seed,
        progress=terminal.show_progress,
    )
    if json_file != "-":
        terminal.print_latency(result)
    terminal.write_json(json_file, result_json(result))


@app.command()
def diagnose(
    corpus: Corpus,
    *,
    queries: Queries = None,
    dims: Dims = None,
    k: Annotated[int, typer.Option("--k", help="Neighbours that must be kept.")] = 10,
    vector_column: VectorColumn = None,
    query_column: QueryColumn = None,
    id_column: IdColumn = None,
    json_file: Json = None,
    workspace: WorkspaceFolder = None,  # noqa: ARG001 -- every verb takes it, so that scripts can pass it to all
    seed: Seed = 0,
) -> None:
    """Say whether the embeddings nest: the prefix against random subsets, the tail and PCA."""
    from engine.tradeoff.export import result_json
    from engine.tradeoff.nesting.diagnosis import diagnose as measure

    terminal.check_outputs(json_file)
    columns = Columns(vector=vector_column, queries=query_column, id=id_column)
    chosen = _load(corpus, columns, seed=seed, queries=queries)
    result = measure(chosen, _whole_numbers(dims, "--dims"), k=k, seed=seed, progress=terminal.show_progress)
    if json_file != "-":
        terminal.print_diagnosis(result)
    terminal.write_json(json_file, {**result_json(result), "verdicts": list(result.verdicts)})


def _load(path: str, columns: Columns, *, seed: int, recipe: str = "prefix", **options: Any) -> EmbeddingSet:
    check_seed(seed)
    if not path.startswith("sample:"):
        if not path:
            raise ParameterError("a path must name a file or a folder", found="nothing")
        shown = terminal.show_progress
        return load(path, columns=columns, recipe=_recipe(recipe), seed=seed, progress=shown, **options)
    asked = [name for name in ("queries", "qrels") if options.get(name) is not None]
    if asked or columns != Columns():
        found = ", ".join(f"--{name}" for name in asked) or "a choice of columns"
        raise ParameterError("a bundled set comes with its queries and judgements", found=found, hint="Leave it out")
    return replace(load_sample(path.removeprefix("sample:")), recipe=_recipe(recipe))


def _recipe(name: str) -> Any:
    if name not in RECIPES:
        raise ParameterError(f"the recipe is one of {', '.join(RECIPES)}", found=name)
    return name


def _metric(name: str | None) -> Any:
    if name is not None and name not in METRICS:
        raise ParameterError(f"the metric is one of {', '.join(METRICS)}", found=name)
    return name


def _criterion(result: Any, *, target_recall: float, max_ndcg_loss: float | None, judge_at: int | None) -> Any:
    from engine.tradeoff import Criterion, default_criterion

    k = default_criterion(result).k if judge_at is None else judge_at
    if max_ndcg_loss is None:
        return Criterion(quantity="recall", k=k, target=target_recall)
    return Criterion(quantity="ndcg", k=k, target=1 - max_ndcg_loss)


def _whole_numbers(text: str | None, option: str) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ParameterError(f"{option} takes whole numbers with commas between", found=text) from None


if __name__ == "__main__":
    main()
