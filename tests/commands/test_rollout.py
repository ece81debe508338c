"""`dimshift rollout` as a shell sees it: exit status, one line of error, and the JSON that scripts hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

FLAG = "use_reduced_dims"


@pytest.fixture
def rollout(dimshift):
    """Return a function that runs `dimshift rollout` in a folder with a workspace of its own."""
    return partial(dimshift, "rollout")


def observed(folder, *, latency=1.0, percent=5.0, clicks=1.0):
    """Write a CSV of both arms of the last milliseconds and return its path."""
    end = datetime.now(UTC)
    start = end - timedelta(milliseconds=1)
    lines = ["start,end,arm,percent,users,queries,clicks,errors,p99_ms"]
    for arm, share, p99 in (("control", 1 - percent / 100, 120), ("treatment", percent / 100, 120 * latency)):
        n = round(10_000_000 * share)
        clicked = round(n / 8 * (clicks if arm == "treatment" else 1))
        lines.append(f"{start.isoformat()},{end.isoformat()},{arm},{percent},{n // 5},{n},{clicked},{n // 500},{p99}")
    file = folder / "observed.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_rollout_is_run_from_a_shell(rollout):
    """Create, start, override, pause, resume, complete: each prints the status and answers with the same JSON."""
    made = rollout("create", "ramp", "--flag", FLAG, "--schedule", "0:5,1:100", "--holdback", "10", "--json", "-")
    assert (made.returncode, made.json["state"], made.json["next_action"]) == (0, "draft", "start")
    started = rollout("start", "ramp", "--by", "ann", "--json", "-").json
    assert (started["percent"], started["rollout"]["changed_by"]) == (5, "ann")
    refused = rollout("advance", "ramp")
    assert refused.returncode == 1
    assert refused.stderr.startswith("dimshift: a rollout cannot advance before the monitor has enough data")
    assert refused.stderr.count("\n") == 1
    advanced = rollout("advance", "ramp", "--override", "asked for", "--json", "-").json
    assert (advanced["percent"], advanced["stage"]["percent"], advanced["labels"]) == (90, 100, [])
    assert rollout("pause", "ramp").returncode == 1
    assert "is paused at 90 %" in rollout("pause", "ramp", "--reason", "lunch").stdout
    assert rollout("resume", "ramp").returncode == 0
    done = rollout("complete", "ramp", "--override", "fine", "--json", "-").json
    assert (done["state"], done["can_go_on"], done["next_action"]) == ("completed", False, None)
    listed = rollout("list", "--json", "-").json
    assert [(one["key"], one["state"]) for one in listed] == [("ramp", "completed")]
    replayed = rollout("history", "ramp", "--json", "-").json
    assert replayed["agrees"]
    assert [step["action"] for step in replayed["steps"]] == [
        "create", "start", "advance", "pause", "resume", "complete"
    ]  # fmt: skip


def test_start_with_a_flag_makes_the_rollout_first(rollout):
    """One command starts the default schedule on a flag; the list and the history are printed for people."""
    assert "running at 5 %" in rollout("start", "ramp", "--flag", FLAG).stdout
    assert "No rollout yet" not in rollout("list").stdout
    assert "the audit log gives the very state that is kept" in rollout("history", "ramp").stdout


def test_a_start_that_is_refused_leaves_no_draft(rollout):
    """The draft that a start with a flag made is gone when the start is refused, so that the key is free again."""
    rollout("start", "ramp", "--flag", FLAG)
    for _ in range(2):
        assert "a flag is driven by one rollout at a time" in rollout("start", "other", "--flag", FLAG).stderr
    assert [one["key"] for one in rollout("list", "--json", "-").json] == ["ramp"]
    rollout("create", "draft", "--flag", FLAG)
    assert rollout("start", "draft").returncode == 1
    assert [one["key"] for one in rollout("list", "--json", "-").json] == ["draft", "ramp"]


def test_rolling_back_takes_the_typed_words(rollout):
    """Without --confirm "roll back" nothing is rolled back; with it everybody is safe."""
    rollout("start", "ramp", "--flag", FLAG)
    assert 'typed words "roll back"; found nothing' in rollout("rollback", "ramp", "--reason", "slow").stderr
    done = rollout("rollback", "ramp", "--reason", "slow", "--confirm", "roll back", "--json", "-")
    assert (done.json["state"], done.json["percent"]) == ("rolled back", 0)


def test_a_version_that_somebody_else_has_passed_is_a_conflict(rollout):
    """--expected-version refuses in one line when the rollout has moved on."""
    version = rollout("start", "ramp", "--flag", FLAG, "--json", "-").json["version"]
    rollout("pause", "ramp", "--reason", "x")
    late = rollout("rollback", "ramp", "--reason", "x", "--confirm", "roll back", "--expected-version", version)
    assert (late.returncode, late.stderr.count("\n")) == (1, 1)
    assert "somebody else changed rollout ramp" in late.stderr


def test_observations_come_from_a_file_and_stop_the_rollout(rollout, tmp_path):
    """A good window is appended once; one with a huge p99 rolls back with status 3 and opens an incident."""
    rollout("start", "ramp", "--flag", FLAG)
    good = observed(tmp_path)
    first, again = (rollout("observe", "ramp", good, "--json", "-") for _ in range(2))
    assert (first.returncode, first.json["n_new"], again.json["n_new"], again.json["n_known"]) == (0, 2, 0, 2)
    bad = rollout("observe", "ramp", observed(tmp_path, latency=9.0), "--json", "-")
    assert (bad.returncode, bad.json["status"]["state"]) == (3, "rolled back")
    (incident,) = rollout("incidents", "ramp", "--json", "-").json
    assert incident["is_open"]
    closed = rollout("incidents", "--close", incident["key"], "--note", "cold cache")
    assert "closed by" in closed.stdout
    assert "cold cache" in closed.stdout


def test_a_file_that_cannot_be_read_is_one_line(rollout, tmp_path):
    """A missing file, a file without columns and an unknown unit leave the rollout as it was."""
    rollout("start", "ramp", "--flag", FLAG)
    (tmp_path / "empty.csv").write_text("a,b\n1,2\n")
    for arguments in (
        ["nowhere.csv"],
        ["."],
        ["empty.csv"],
        ["empty.csv", "--latency-unit", "h"],
        ["empty.csv", "--arm", "b"],
    ):
        done = rollout("observe", "ramp", *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert done.stderr.startswith("dimshift: ")


def test_simulated_days_pass_in_the_workspace(rollout):
    """The clock is stepped, latency doubles on day 2, and the pause or rollback is status 3; everything is labelled."""
    rollout("create", "ramp", "--flag", FLAG, "--simulated", "--automatic", "--schedule", "0:5,5:100")
    fine = rollout("simulate", "ramp", "--days", "2", "--fault", "latency:2@day2", "--json", "-")
    assert (fine.returncode, fine.json["labels"], fine.json["status"]["day"]) == (0, ["simulated"], 2)
    stopped = rollout("simulate", "ramp", "--days", "9", "--json", "-")
    assert stopped.returncode == 3
    assert stopped.json["status"]["state"] in {"paused", "rolled back"}
    assert len(stopped.json["steps"]) == 1
    assert "(simulated)" in rollout("status", "ramp").stdout
    assert rollout("simulate", "ramp", "--schedule", "0:5").returncode == 1


def test_a_rollout_is_simulated_in_memory(rollout):
    """Without a rollout nothing is kept: a clean one completes, one that loses clicks at 50 % is status 3."""
    schedule = ["--schedule", "0:25,1:50,2:100"]
    clean = rollout("simulate", *schedule, "--json", "-")
    assert (clean.returncode, clean.json["state"], clean.json["labels"]) == (0, "completed", ["simulated"])
    lossy = rollout("simulate", *schedule, "--fault", "clicks:-20%@50%", "--queries-a-day", "500000")
    assert lossy.returncode == 3
    assert "rolled back at 50 %" in lossy.stdout
    assert "An alert stood at the end of 1 of these days, first of day 2." in lossy.stdout
    assert "No rollout yet" in rollout("list").stdout
    assert rollout("simulate", "--days", "0.5").returncode == 1
    assert rollout("simulate", "--fault", "fire").returncode == 1


def test_preflight_says_what_two_settings_promise(rollout, tmp_path):
    """Chances with intervals for the three scenarios and the given fault, and what another setting changes."""
    (tmp_path / "strict.json").write_text('{"ctr": {"alert": 0.02, "severity": "critical"}}')
    done = rollout(
        "preflight", "--schedule", "0:10,2:100", "--simulations", "40", "--fault", "errors:0.01@day1", "--json", "-",
        "--against-thresholds", "strict.json", "--seed", "4",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.json["scenarios"]) == 4
    assert done.json["scenarios"][2]["missed"]["value"] == 0
    assert done.json["against"]["thresholds"]["ctr"]["alert"] == 0.02
    assert done.json["comparison"]["differences"]
    printed = rollout(
        "preflight", "--schedule", "0:10,2:100", "--simulations", "20", "--against-schedule", "0:50,1:100"
    )
    assert "Against the second setting" in printed.stdout
    assert done.json["is_kept"] is False


def test_a_preflight_of_a_rollout_is_evidence_in_its_runbook(rollout, dimshift):
    """With the settings that the rollout has it counts; with others, or with fewer simulations, it replaces nothing."""
    rollout("create", "ramp", "--flag", FLAG, "--schedule", "0:10,2:100", "--by", "anna")

    def evidence():
        (check,) = (one for one in dimshift("runbook", "--json", "-").json["checks"] if one["key"] == "preflight")
        return check["state"], check["evidence"]["sentence"], check["evidence"]["by"]

    assert (
        rollout("preflight", "ramp", "--schedule", "0:50", "--simulations", "20", "--json", "-").json["is_kept"]
        is False
    )
    assert evidence()[0] == "open"
    told = rollout("preflight", "ramp", "--simulations", "30", "--by", "olga")
    assert "Kept as evidence in the runbook of rollout ramp." in told.stdout
    state, sentence, by = evidence()
    assert (state, by) == ("done", "olga")
    assert sentence.startswith("30 simulated rollouts a scenario")
    assert rollout("preflight", "ramp", "--simulations", "20", "--json", "-").json["is_kept"] is False
    assert evidence()[1] == sentence


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "thresholds are a JSON object"),
        ("[]", "must be a JSON object"),
        ('{"p98": {}}', "must be known by name"),
        (None, "--thresholds must name a file"),
    ],
)
def test_broken_thresholds_are_one_line(rollout, tmp_path, content, sentence):
    """Thresholds that are no JSON, unknown, or not there name the file or the field."""
    if content is not None:
        (tmp_path / "thresholds.json").write_text(content)
    done = rollout("simulate", "--thresholds", "thresholds.json")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert sentence in done.stderr


def test_exports_are_written_for_other_tools(rollout, tmp_path):
    """Argo and Flagger manifests and the flag's own flagd file, to stdout or a file; another format is refused."""
    rollout("create", "ramp", "--flag", FLAG)
    assert 'duration: "72h"' in rollout("export", "ramp", "--format", "argo").stdout
    assert 'kind: "Canary"' in rollout("export", "ramp", "--format", "flagger").stdout
    assert list(rollout("export", "ramp", "--format", "flagd").json["flags"]) == [FLAG]
    assert rollout("export", "ramp", "--format", "argo", "--out", tmp_path / "argo.yaml").stdout == ""
    assert (tmp_path / "argo.yaml").read_text().startswith("#")
    assert "argo, flagger or flagd; found helm" in rollout("export", "ramp", "--format", "helm").stderr


def test_preflight_says_what_is_only_warned_of_and_what_a_holdback_changes(rollout):
    """Stopped, warned and missed are printed apart, with advice; the recommended holdback can be compared at once."""
    done = rollout("preflight", "--schedule", "0:10,9:100", "--simulations", "60", "--against-holdback", "5")
    assert "only warned of, which stops nothing, in" in done.stdout
    assert "Mind: “CTR 5 % lower” is only warned of in" in done.stdout
    assert "Mind: Nobody stays in control at 100 %" in done.stdout
    assert "Against the second setting" in done.stdout
    answer = rollout("preflight", "--simulations", "20", "--holdback", "5", "--json", "-").json
    assert not any("control" in words for words in answer["advice"])
    assert set(answer["scenarios"][1]) >= {"missed", "stopped", "warned_only", "users_exposed_at_end"}


def test_a_warning_is_printed_as_one_that_stops_nothing(rollout, tmp_path):
    """Fewer clicks by 7 % leave the rollout running with status 0, and every line about it says that nothing stops."""
    rollout("start", "ramp", "--flag", FLAG)
    done = rollout("observe", "ramp", observed(tmp_path, clicks=0.93))
    assert done.returncode == 0
    assert "a warning stands, which stops nothing" in done.stdout.splitlines()[1]
    assert "\nWarning, which stops nothing: CTR" in done.stdout
    assert "; a warning stands" in rollout("list").stdout
    rollout("advance", "ramp", "--override", "seen")
    assert "A warning stood and stopped nothing: CTR" in rollout("history", "ramp").stdout


def test_windows_that_do_not_count_are_named(rollout, tmp_path):
    """A window that began before the stage did is kept and left out, and the status says so instead of nothing."""
    rollout("start", "ramp", "--flag", FLAG)
    end = datetime.now(UTC).isoformat()
    (tmp_path / "early.csv").write_text(
        f"start,end,arm,percent,users,queries,clicks\n2026-01-01T00:00:00+00:00,{end},treatment,5,10,10,1\n"
    )
    assert "Note: 1 window left out that began before the stage did." in rollout("observe", "ramp", "early.csv").stdout


def test_a_log_of_queries_is_counted_day_by_day(dimshift, rollout):
    """What `ab simulate --events` writes is observed as days; a day that is not over waits; a simulated one follows."""
    made = ["ab", "simulate", "--users", "3000", "--queries-per-day", "30000", "--days", "4", "--fault", "latency:3:2"]
    dimshift(*made, "--events", "log.csv")
    rollout("start", "ramp", "--flag", FLAG)
    assert "known time zone" in rollout("observe", "ramp", "log.csv", "--per-query").stderr
    real = rollout("observe", "ramp", "log.csv", "--per-query", "--time-zone", "UTC", "--json", "-")
    assert (real.returncode, real.json["n_new"], real.json["n_unfinished"]) == (0, 8, 0)
    rollout("create", "sim", "--flag", "enable_new_index", "--simulated", "--schedule", "0:5,9:95")
    followed = rollout("simulate", "sim", "--log", "log.csv", "--json", "-")
    assert followed.returncode == 3
    assert [step["state"] for step in followed.json["steps"]] == ["running", "running", "rolled back"]
    assert "takes a rollout on simulated time" in rollout("simulate", "--log", "log.csv").stderr
    assert "only a rollout that has started" in rollout("simulate", "sim", "--log", "log.csv").stderr


def test_a_watch_ends_with_status_3_when_a_rollout_stops(dimshift, rollout):
    """One look is enough for cron: it settles, prints what it found, and is 3 only while something stands stopped."""
    rollout("start", "ramp", "--flag", FLAG)
    fine = rollout("watch", "--for", "0s")
    assert (fine.returncode, len(fine.stdout.splitlines())) == (0, 3)
    assert "Rollout ramp is running at 5 %" in fine.stdout
    dimshift("flags", "kill", "--confirm", "kill", "--reason", "p99")
    for _ in range(2):
        stopped = rollout("watch", "ramp", "--every", "1s", "--for", "0s", "--json", "-")
        assert (stopped.returncode, stopped.json["stopped"]) == (3, ["ramp"])
        assert stopped.json["changes"][0]["state"] == "paused"
    dimshift("flags", "restore", "--confirm", "restore", "--reason", "fine")
    rollout("resume", "ramp")
    assert rollout("watch", "--every", "0.1s", "--for", "0.15s").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing"], "no such rollout"),
        (["--every", "1x"], "--every is a time such as 30s, 5m, 2h or 1d; found 1x"),
        (["--every", ""], "--every is a time such as 30s, 5m, 2h or 1d; found nothing"),
        (["--every", "nans"], "--every is 0.1s to 1d; found nans"),
        (["--every", "0s"], "--every is 0.1s to 1d; found 0s"),
        (["--for", "-1s"], "--for is 0s to 366d; found -1s"),
    ],
)
def test_a_watch_that_makes_no_sense_is_one_line(rollout, arguments, sentence):
    """Unknown rollouts and times that are none are refused before the first look."""
    done = rollout("watch", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert sentence in done.stderr


def test_a_watch_that_is_interrupted_says_so(rollout, monkeypatch):
    """Ctrl-C ends a watch without end quietly: what it did is kept, so it does not say that nothing was."""

    def interrupt(_watch):
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.rollout.watching.RolloutWatch.look", interrupt)
    done = rollout("watch")
    assert (done.returncode, done.stderr) == (0, "Watches no more.\n")


def test_a_draft_is_edited_and_discarded(rollout):
    """Another schedule, then nothing at all; an edit that names nothing is refused."""
    rollout("create", "ramp", "--flag", FLAG)
    edited = rollout("edit", "ramp", "--schedule", "0:1,7:100", "--automatic", "--json", "-").json
    assert (len(edited["stages"]), edited["rollout"]["is_automatic"]) == (2, True)
    assert "must name what changes" in rollout("edit", "ramp").stderr
    assert rollout("discard", "ramp", "--json", "-").json == {"discarded": "ramp"}
    assert "No rollout yet" in rollout("list").stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["status", "nothing"], "no such rollout"),
        (["create", "r", "--flag", "nothing"], "no such flag"),
        (["create", "r", "--flag", FLAG, "--schedule", "0:50,1:20"], "percentages of the stages must rise"),
        (["create", "r", "--flag", FLAG, "--holdback", "nan"], "the holdback"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_1(rollout, arguments, sentence):
    """Unknown rollouts and flags and broken schedules say the rule and what was found, without a traceback."""
    done = rollout(*arguments)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert sentence in done.stderr
