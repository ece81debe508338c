"""What the command line prints: progress on stderr, tables for people on stdout, JSON where asked."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from engine.errors import InputError, printable
from engine.outputs import write_output

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.embeddings import EmbeddingSet, Health
    from engine.tradeoff import SweepSummary
    from engine.tradeoff.latency.results import LatencyResult
    from engine.tradeoff.nesting.diagnosis import Diagnosis


def show_progress(share: float, message: str) -> None:
    """Draw progress on a terminal; stay silent in a log."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{100 * share:3.0f} %  {message}" if share < 1 else "\r\x1b[K")
        sys.stderr.flush()


def check_outputs(json_file: str | None, *, folder: Path | None = None) -> None:
    """Refuse outputs that cannot be written before any work is done. Raises InputError."""
    named = json_file is not None and json_file != "-"
    if named and (not json_file or Path(json_file).is_dir() or not Path(json_file).absolute().parent.is_dir()):
        raise InputError("--json must name a file in a folder that is there", found=json_file or "nothing")
    if folder is not None and folder.exists() and not folder.is_dir():
        raise InputError("--out must name a folder", found=f"the file {folder.name}")


def write_json(file: str | None, answer: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write `answer` to `file`, or to stdout for ``-``; nothing when no file was named."""
    if file is None:
        return
    text = json.dumps(answer, indent=2, allow_nan=False) + "\n"
    if file == "-":
        sys.stdout.write(text)
        return
    write_output(Path(file), text)


def write_folder(folder: Path, answer: Mapping[str, Any], summary: SweepSummary) -> None:
    """Write sweep.json and points.csv into `folder`."""
    from engine.spreadsheets import csv_text
    from engine.tradeoff import points_table

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("--out must name a folder that can be written", found=error.strerror) from error
    write_output(folder / "sweep.json", json.dumps(answer, indent=2, allow_nan=False) + "\n")
    write_output(folder / "points.csv", csv_text(points_table(summary)))


def print_health(path: str, chosen: EmbeddingSet, health: Health) -> None:
    """Print every finding with its hint."""
    labels = f"  [{', '.join(chosen.labels)}]" if chosen.labels else ""
    typer.echo(f"{printable(path)}{labels}")
    for finding in health.findings:
        hint = f" {finding.hint}" if finding.hint else ""
        typer.echo(f"  {finding.severity:8} {printable(finding.message + hint, longest=600)}")


def print_sweep(summary: SweepSummary, run_id: str, labels: list[str], warnings: list[str]) -> None:
    """Print a row a dimension, the recommendation and the warnings."""
    criterion, dataset = summary.criterion, summary.dataset
    print_dataset(dataset.name, dataset.n_docs, dataset.n_queries, labels)
    judged = f"recall@{criterion.k}" if criterion.quantity == "recall" else f"nDCG@{criterion.k} kept"
    typer.echo(f"{'dim':>6} {judged:>14} {'95 % interval':>15} {'nDCG':>7} {'bytes':>7}  verdict")
    for point in summary.points:
        value = summary.judged(point)
        ndcg = f"{point.ndcg[criterion.k].mean:.3f}" if point.ndcg else "-"
        interval = f"{value.low:.3f}–{value.high:.3f}"
        typer.echo(
            f"{point.dim:>6} {value.mean:>14.3f} {interval:>15} {ndcg:>7} {point.bytes_per_vector:>7}  {point.verdict}"
        )
    typer.echo(f"\n{summary.recommendation.reason}")
    for warning in warnings:
        typer.echo(f"Note: {printable(warning, longest=400)}")
    typer.echo(f"Run {run_id}; see it with: dimshift")


def print_latency(result: LatencyResult) -> None:
    """Print a row for each serving path and dimension, and what the numbers mean."""
    print_dataset(result.dataset.name, result.n_rows, result.n_timed_queries, result.dataset.labels)
    typer.echo(
        f"{'path':>7} {'dim':>6} {'recall@' + str(result.k):>10} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'ef':>5}"
    )
    best = set(result.frontier())
    for place, point in enumerate(result.points):
        ef = "-" if point.hnsw is None else str(point.hnsw.ef)
        times = " ".join(f"{time.value:>8.3f}" for time in (point.p50_ms, point.p95_ms, point.p99_ms))
        mark = "  on the frontier" if place in best else ""
        typer.echo(f"{point.path:>7} {point.dim:>6} {point.recall.mean:>10.3f} {times} {ef:>5}{mark}")
    typer.echo("")
    for sentence in (*result.assumptions, *result.warnings):
        typer.echo(f"Note: {printable(sentence, longest=400)}")


def print_diagnosis(result: Diagnosis) -> None:
    """Print what each choice of components keeps, and the verdicts in words."""
    print_dataset(result.dataset.name, result.n_docs, result.n_queries, result.dataset.labels)
    typer.echo(f"{'dim':>6} {'prefix':>8} {'random':>8} {'tail':>8} {'PCA':>8}   recall@{result.k}")
    for point in result.points:
        means = " ".join(f"{kept.mean:>8.3f}" for kept in (point.prefix, point.random, point.tail, point.projection))
        typer.echo(f"{point.dim:>6} {means}")
    typer.echo("")
    for sentence in result.sentences:
        typer.echo(sentence)
    for sentence in (*result.assumptions, *result.warnings):
        typer.echo(f"Note: {printable(sentence, longest=400)}")


def print_dataset(name: str, n_docs: int, n_queries: int, labels: Sequence[str]) -> None:
    """Print what was measured on."""
    notes = f"  [{', '.join(labels)}]" if labels else ""
    typer.echo(f"{printable(name)}: {n_docs:,} documents, {n_queries:,} queries{notes}\n")
