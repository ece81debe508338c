"""`dimshift plan` as a shell sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.embeddings.samples import synthetic
from engine.tradeoff import save_sweep, sweep
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def swept(tmp_path: Path, dimshift: Callable[..., Any]) -> str:  # it makes the workspace
    """Return the id of a sweep of 16 dims in the workspace, of which 2 keep far too little."""
    with Workspace.open(tmp_path / "workspace") as workspace:
        made = synthetic(300, 16, n_queries=60, clusters=5, spectrum=4.0, seed=0)
        return save_sweep(workspace, sweep(made, (2, 8, 16), (10,))).id


def test_without_a_sweep_it_is_the_example_and_says_so(dimshift: Callable[..., Any]) -> None:
    """In an empty workspace the example is planned, told to be no evidence, and that is no failure."""
    done = dimshift("plan")
    assert done.returncode == 0
    assert done.stdout.startswith("Measure first: nothing here says whether 768 of 3,072 dims are enough.")
    assert "A/B test" in done.stdout
    assert "96 days in all" in done.stdout
    assert "114 GiB" in done.stdout


def test_json_holds_the_whole_plan(dimshift: Callable[..., Any]) -> None:
    """JSON on stdout is the plan alone: recommendation, steps, test, triggers, storage and cost."""
    answer = dimshift("plan", "--documents", 1000, "--start", "2026-03-02", "--json", "-").json
    assert answer["recommendation"] == "measure first"
    assert answer["ends_on"] == "2026-06-05"
    assert answer["inputs"]["n_docs"] == 1000
    assert [step["key"] for step in answer["steps"]][:3] == ["measure", "prepare", "query-reduced"]
    assert answer["ab_test"]["n_users"] == 15_670
    assert answer["cost"]["then"]["serving"]["dim"] == 768
    assert {"triggers", "metrics", "storage", "warnings", "assumptions", "changes"} <= set(answer)


def test_a_plan_that_stops_ends_with_3(dimshift: Callable[..., Any], swept: str) -> None:
    """Dims that the sweep calls harmful end with status 3; the dims there are come from the sweep."""
    done = dimshift("plan", "--to", 2, "--json", "-")
    assert done.returncode == 3
    assert done.json["run_id"] == swept
    assert done.json["inputs"]["from_dims"] == 16
    assert done.json["recommendation"] == "stop"
    assert dimshift("plan", "--to", 2, "--run", swept).returncode == 3


def test_a_saved_plan_is_what_the_next_one_starts_from(dimshift: Callable[..., Any], tmp_path: Path) -> None:
    """What is left out is as in the kept plan, what is given is shown as moved, and Markdown is written on demand."""
    first = dimshift("plan", "--risk", "bold", "--owner", "copy=Ada <b>", "--save", "--json", "-")
    assert first.json["version"] == 1
    done = dimshift("plan", "--documents", "1000", "--out", "plan.md")
    assert "Moved since the kept plan:\n" in done.stdout
    assert "Documents: 5,000,000 -> 1,000" in done.stdout
    text = (tmp_path / "plan.md").read_text(encoding="utf-8")
    assert "appetite for risk: bold" in text
    assert "| Ada \\<b\\> |" in text
    assert dimshift("plan", "--schedule", "0:50,2:100", "--save", "--json", "-").json["version"] == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--to", 4096), "the dims to keep must be fewer than those there are; found 4,096 of 3,072"),
        (("--ctr", "nan"), "the CTR must be a number above 0 and below 1; found nan"),
        (("--documents", -5), "the number of documents must be a whole number from 1"),
        (("--risk", "wild"), "the appetite for risk is one of cautious, balanced, bold; found wild"),
        (("--start", "tomorrow"), "the start is a date from 2000 to 2200, or empty; found tomorrow"),
        (("--owner", "Ada"), "--owner takes STEP=NAME; found Ada"),
        (("--schedule", "0:5,3:4"), "the percentages of the stages must rise"),
        (("--run", "nope"), "no such run is in this workspace; found nope"),
        (("--out", "no/such/plan.md"), "--out must name a file in a folder that is there; found plan.md"),
        (("--copy-rows-per-s", "0.0001"), "the copy must end within ten years"),
    ],
)
def test_bad_input_is_one_line(dimshift: Callable[..., Any], options: tuple[Any, ...], said: str) -> None:
    """Each mistake ends with status 1 and one line that names the rule and what was found."""
    done = dimshift("plan", *options)
    assert done.returncode == 1
    assert done.stdout == ""
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
