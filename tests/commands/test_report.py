"""`dimshift report` and `dimshift runs` as a shell sees them: exit status, streams, files and JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from engine.embeddings.samples import synthetic
from engine.tradeoff import save_sweep, sweep
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Swept:
    """A workspace, the ids of its two sweeps, newest first, and that of a run of another kind."""

    folder: Path
    sweeps: list[str]
    cost: str


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """Return a workspace with two sweeps and a run of another kind, made once: nothing here writes into it."""
    folder = tmp_path_factory.mktemp("swept") / "workspace"
    with Workspace.open(folder) as workspace:
        for seed in (0, 1):
            save_sweep(workspace, sweep(synthetic(300, 16, n_queries=40, clusters=5, spectrum=4.0, seed=seed), (8, 16)))
        workspace.save_run(
            kind="cost",
            dataset={"name": "\x1b[31mred\u202e"},
            parameters={},
            seed=0,
            summary={},
            arrays={},
            elapsed_s=0.0,
        )
        sweeps = [run.id for run in workspace.runs(kind="sweep")]
        return Swept(folder, sweeps, workspace.runs(kind="cost")[0].id)


@pytest.fixture
def shell_workspace(swept: Swept) -> Path:
    """Return the folder of that workspace: each test is in an empty folder of its own."""
    return swept.folder


def test_report_writes_one_html_file(dimshift: Callable[..., Any], swept: Swept, tmp_path: Path) -> None:
    """The file is there, whole, and what was written is said for people and as JSON."""
    done = dimshift("report", swept.sweeps[0], "--out", "report.html", "--json", "answer.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Sections: verdict, curves, losers, method, provenance" in done.stdout
    page = (tmp_path / "report.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert page.endswith("</html>\n")
    answer = json.loads((tmp_path / "answer.json").read_text())
    assert answer["run_id"] == swept.sweeps[0]
    assert answer["bytes"] == len(page.encode())
    assert [one["key"] for one in answer["sections"]] == ["verdict", "curves", "losers", "method", "provenance"]


def test_report_chooses_sections_titles_tables_and_other_runs(
    dimshift: Callable[..., Any], swept: Swept, tmp_path: Path
) -> None:
    """Markdown by its ending, chosen sections under their titles, tables beside it, and another run compared."""
    options = ("--sections", "curves=What we keep,ab,comparison", "--title", "Tuesday", "--tables", "tables")
    done = dimshift("report", swept.sweeps[0], "--out", "report.md", *options, "--compare", swept.sweeps[1])
    assert (done.returncode, done.stderr) == (0, "")
    assert "Left out, since nothing is stored for them: ab" in done.stdout
    document = (tmp_path / "report.md").read_text()
    assert document.startswith("# Tuesday\n")
    assert [line for line in document.splitlines() if line.startswith("## ")] == [
        "## What we keep",
        "## Beside other runs",
    ]
    files = {file.name for file in (tmp_path / "tables").iterdir()}
    keys = ("dimensions", "compared_runs", "compared_recall")
    assert files == {f"{key}.{form}" for key in keys for form in ("csv", "parquet")}


BAD = {
    "unknown": (("report", "20200101-000000-00000000", "--out", "a.html"), "no such run is in this workspace"),
    "unfinished": (("report", "a1b2c3d4e5f60718", "--out", "a.html"), "A run is stored once it has finished"),
    "no_sweep": (("report", "COST", "--out", "a.html"), "the run must be a sweep; found cost"),
    "folder": (("report", "SWEEP", "--out", "."), "--out must name a file"),
    "no_folder": (("report", "SWEEP", "--out", "nowhere/a.html"), "--out must name a file in a folder that is there"),
    "long_name": (
        ("report", "SWEEP", "--out", f"{'x' * 300}.md"),
        "must name what a file or folder can be called; found File name too long",
    ),
    "format": (("report", "SWEEP", "--out", "a.html", "--format", "pdf"), "html or markdown; found pdf"),
    "section": (("report", "SWEEP", "--out", "a.html", "--sections", "weather"), "a section is one of verdict"),
    "no_section": (("report", "SWEEP", "--out", "a.html", "--sections", ""), "sections are listed with commas"),
    "empty": (("report", "SWEEP", "--out", "a.html", "--sections", "ab"), "at least one chosen section must have data"),
    "title": (("report", "SWEEP", "--out", "a.html", "--title", ""), "the title has 1 to 200 characters"),
    "itself": (("report", "SWEEP", "--out", "a.html", "--compare", "SWEEP"), "2 to 8 different runs"),
    "stranger": (("report", "SWEEP", "--out", "a.html", "--compare", "x"), "no such run is in this workspace"),
    "kind": (("runs", "--kind", "weather"), "the kind of a run is one of sweep, nesting"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(
    case: str, dimshift: Callable[..., Any], swept: Swept, tmp_path: Path
) -> None:
    """Status 1, one sentence on stderr, nothing on stdout, and no file."""
    arguments, sentence = BAD[case]
    named = {"SWEEP": swept.sweeps[0], "COST": swept.cost}
    done = dimshift(*(named.get(one, one) for one in arguments), "--json", "-")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("dimshift: ")
    assert done.stderr.count("\n") == 1
    assert sentence in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_wrong_usage_is_status_2(dimshift: Callable[..., Any]) -> None:
    """A report without a run, or without a file to write, is a usage error."""
    assert dimshift("report").returncode == 2
    assert dimshift("report", "x").returncode == 2
    assert dimshift("runs", "--limit", "0").returncode == 2


def test_runs_lists_what_is_stored_newest_first(dimshift: Callable[..., Any], swept: Swept) -> None:
    """Every run has its line with what it says; control characters of a name do not reach the terminal."""
    done = dimshift("runs")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[2:]] == swept.sweeps
    assert lines[1].split()[1] == "cost"
    assert "safe: keep 8 dims" in lines[2]
    assert not {"\x1b", "\u202e"} & set(done.stdout)
    answers = dimshift("runs", "--json", "-").json
    assert [one["kind"] for one in answers] == ["cost", "sweep", "sweep"]
    assert set(answers[1]) == {"run_id", "kind", "created_at", "seed", "elapsed_s", "dataset", "says"}
    assert len(dimshift("runs", "--limit", "1", "--json", "-").json) == 1


def test_a_known_kind_without_runs_is_an_empty_list(dimshift: Callable[..., Any]) -> None:
    """A script that asks for migrations before the first one gets [], and people a hint."""
    done = dimshift("runs", "--kind", "migration", "--json", "-")
    assert (done.returncode, done.json) == (0, [])
    assert "No run is stored yet" in dimshift("runs", "--kind", "migration").stdout


def test_both_verbs_have_help_texts(dimshift: Callable[..., Any]) -> None:
    """Each option says what it is for."""
    for verb in ("report", "runs"):
        lines = [line.strip() for line in dimshift(verb, "--help").stdout.splitlines()]
        options = [line for line in lines if line.startswith("--")]
        assert len(options) >= 6
        assert all(len(line.split("  ")) > 1 for line in options)
