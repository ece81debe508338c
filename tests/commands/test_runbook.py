"""`dimshift runbook` as a shell sees it: exit status, streams, Markdown and JSON."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def runbook(dimshift: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that runs `dimshift runbook` as anna."""
    return partial(dimshift, "runbook")


def test_it_shows_checklist_triggers_and_steps(runbook: Callable[..., Any], tmp_path: Path) -> None:
    """Alone it prints everything, writes Markdown and JSON where asked, and ends with 3 when --check is not met."""
    done = runbook("--out", "runbook.md")
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 of 7 items of the checklist are done; 7 open." in done.stdout
    assert "[ ] on-call     open" in done.stdout
    assert "dimshift flags kill --confirm kill --reason 'WHY'" in done.stdout
    assert (tmp_path / "runbook.md").read_text(encoding="utf-8").startswith("# Rollback runbook\n")
    checked = runbook("--check", "--json", "-")
    assert checked.returncode == 3
    answer = checked.json
    assert [check["state"] for check in answer["checks"]] == ["open"] * 7
    assert [one["number"] for one in answer["steps"]] == list(range(1, 9))
    assert (answer["is_ready"], answer["days_until_stale"]) == (False, 30)


def test_an_item_is_ticked_and_taken_back(runbook: Callable[..., Any], dimshift: Callable[..., Any]) -> None:
    """A tick takes a note and names who ticked, for the rollout there is; untick takes it back; both show at once."""
    assert dimshift("rollout", "create", "ramp", "--flag", "use_reduced_dims").returncode == 0
    ticked = runbook("tick", "on-call", "--by", "bob", "--note", "rang them", "--json", "-")
    assert ticked.returncode == 0, ticked.stderr
    assert (ticked.json["state"], ticked.json["by"]) == ("done", "bob")
    assert (ticked.json["tick"]["note"], ticked.json["tick"]["about"]) == ("rang them", "ramp")
    assert "[x] on-call     done by bob" in runbook().stdout
    assert "[ ] on-call     open" in runbook("untick", "on-call").stdout
    assert "stale after 3 days" in runbook("stale", "3").stdout
    assert runbook("--json", "-").json["days_until_stale"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("tick", "lunch", "--note", "x"), "an item of the checklist is one of backup,"),
        (("tick", "on-call"), "a tick takes a note of 1 to 400 characters; found nothing"),
        (("untick", "on-call"), "only what a person ticked can be taken back"),
        (("stale", "0"), "evidence is stale after 1 to 365 days"),
        (("count",), "only the source of a migration in this workspace can be counted"),
        (("preflight",), "a pre-flight is of a rollout; found none in this workspace"),
        (("rehearse", "--live"), 'takes the typed word "kill"; found nothing'),
        (("rehearse", "--kills", "0"), "on a copy of the flags kills 1 to 20 times"),
        (("--rollout", "nope"), "no such rollout is in this workspace; found nope"),
        (("--out", "nowhere/runbook.md"), "--out must name a file that can be written"),
        (("--json", "-", "tick", "on-call", "--note", "x"), "stand behind the word tick"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    runbook: Callable[..., Any], arguments: tuple[str, ...], said: str
) -> None:
    """Every wrong use is exit status 1 and one line on stderr that says what is wrong."""
    done = runbook(*arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_rehearsal_is_measured_and_kept(runbook: Callable[..., Any]) -> None:
    """Rehearsed on a copy, the time until a client followed is printed and makes the item done; a pre-flight too."""
    done = runbook("rehearse", "--kills", "1", "--limit", "30", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert (done.json["is_met"], done.json["where"], len(done.json["safe_s"])) == (True, "copy", 1)
    check = next(one for one in runbook("--json", "-").json["checks"] if one["key"] == "kill-switch")
    assert (check["state"], check["by"], check["reason"]) == ("done", "anna", done.json["sentence"])


def test_a_pre_flight_takes_the_traffic_given(runbook: Callable[..., Any], dimshift: Callable[..., Any]) -> None:
    """The pre-flight of a rollout is simulated with the traffic of the options and kept as evidence."""
    assert dimshift("rollout", "create", "ramp", "--flag", "use_reduced_dims").returncode == 0
    done = runbook("preflight", "--queries-a-day", "50000", "--users", "9000", "--by", "bob")
    assert done.returncode == 0, done.stderr
    assert "[x] preflight   done by bob" in done.stdout
    assert "50,000 queries a day of 9,000 users" in done.stdout
