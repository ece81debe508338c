"""`dimshift ab` as a shell sees it: exit status, streams, and the JSON that scripts hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial

import pandas as pd
import pytest
import typer

from engine.commands.ab import ab_app
from engine.embeddings.samples import synthetic
from engine.experiment.presets import presets
from engine.experiment.storage import load_analysis, load_origin
from engine.experiment.traffic import simulate
from engine.tradeoff import save_sweep, sweep
from engine.workspace import Workspace


@pytest.fixture
def ab(dimshift):
    """Return a function that runs `dimshift ab` in a folder with a workspace of its own."""
    return partial(dimshift, "ab")


SMALL = ("--users", 3000, "--queries-per-day", 6000, "--days", 3)


def test_totals_read_undecided_with_the_verdict_first_and_status_3(ab, tmp_path):
    """1200/10000 against 1150/10000 with a 5 % margin: sentences, then a table, and a run that can be loaded."""
    done = ab("analyze", "--control", "1200/10000", "--treatment", "1150/10000", "--margin", "0.05")
    assert done.returncode == 3
    assert "\nUndecided: CTR is not settled." in done.stdout
    assert done.stdout.index("Undecided:") < done.stdout.index("control treatment") < done.stdout.index("z = -1.10")
    answer = ab("analyze", "--control", "1200/10000", "--treatment", "1150/10000", "--json", "-").json
    assert answer["verdict"] == "undecided"
    assert answer["metrics"][0]["classic"]["p_value"] == pytest.approx(0.2722306, abs=1e-7)
    with Workspace.open(tmp_path / "workspace") as workspace:
        assert load_analysis(workspace, answer["run_id"]).headline == answer["headline"]


def test_safe_totals_end_with_status_0_and_a_broken_split_with_3(ab):
    """Enough equal clicks are safe; with the intended percentage given, unequal arms close the gate."""
    assert ab("analyze", "--control", "120000/1000000", "--treatment", "120000/1000000").returncode == 0
    done = ab("analyze", "--control", "120000/1000000", "--treatment", "120000/900000", "--percent", "50")
    assert done.returncode == 3
    assert "FAILED  The split is broken" in done.stdout
    assert "classic" not in done.stdout.lower()
    unknown = ab("analyze", "--control", "120000/1000000", "--treatment", "120000/900000").stdout
    assert "no data  The split was not checked" in unknown
    assert "passed" not in unknown


def test_a_simulation_is_written_as_a_log_that_reads_the_same(ab, tmp_path):
    """The events of a simulation, written and analysed again, give the same metrics; the run can be simulated again."""
    done = ab("simulate", *SMALL, "--control", "ctr=0.3,error_rate=0.01", "--events", "e.parquet", "--json", "s.json")
    assert done.returncode in {0, 3}, done.stderr
    made = json.loads((tmp_path / "s.json").read_text())
    read = ab("analyze", "e.parquet", "--json", "-").json
    assert made["labels"] == ["simulated"]
    assert [one["relative"] for one in read["metrics"]] == [one["relative"] for one in made["metrics"]]
    assert [one["sentence"] for one in read["latencies"]] == [one["sentence"] for one in made["latencies"]]
    assert (read["events_digest"] is None, made["events_digest"]) == (False, None)
    with Workspace.open(tmp_path / "workspace") as workspace:
        again = simulate(load_origin(workspace, made["run_id"]).traffic)
    assert again.n_rows == made["n_queries"] == len(pd.read_parquet(tmp_path / "e.parquet"))


def test_faults_ramps_and_margins_are_taken_from_the_options(ab):
    """A slower treatment is harmful, a planned ramp passes the gates, and a margin for it makes it safe."""
    slow = ab("simulate", *SMALL, "--fault", "latency:2:1", "--judge", "p99", "--json", "-")
    answer = slow.json
    assert (slow.returncode, answer["verdict"]) == (3, "harmful")
    assert "Injected fault: latency × 2 in the treatment, from day 1 on." in answer["assumptions"]
    burst = ab("simulate", *SMALL, "--fault", "errors:0.05:1-1:control", "--json", "-").json
    assert "Injected fault: 5 % more errors in the control, from day 1 to day 1." in burst["assumptions"]
    wide = ab("simulate", *SMALL, "--fault", "latency:2:1", "--judge", "p99", "--margin-latency", "3")
    assert wide.returncode == 0, wide.stdout
    assert "The hoped-for gain, 2 times as fast, is not there." in slow.json["latencies"][2]["sentence"]
    ramp = ab("simulate", *SMALL, "--stages", "0:10,1:50", "--json", "-").json
    assert all(gate["is_passed"] for gate in ramp["gates"])
    assert [one["metric"] for one in ramp["stratified"]] == ["ctr", "conversion", "error_rate"]


def test_a_preset_and_a_stored_sweep_can_be_simulated(ab, tmp_path):
    """A preset gives the numbers, a sweep the lists of both arms; --dim without a sweep is refused."""
    preset = ab("simulate", "--preset", "768 of 3072", *SMALL, "--json", "-").json
    assert preset["latencies"][2]["speedup"] > 2
    fast = ab("simulate", "--preset", "768 of 3072", *SMALL, "--expected-speedup", "4").stdout
    assert "The hoped-for gain, 4 times as fast, is not there." in fast
    assert preset["seed"] == presets()[1].settings.seed
    with Workspace.open(tmp_path / "workspace") as workspace:
        run = save_sweep(workspace, sweep(synthetic(200, 16, n_queries=30, seed=1), (4, 16), (1, 10)))
    swept = ab("simulate", "--sweep", run.id, "--dim", "4", *SMALL, "--json", "-")
    answer = swept.json
    assert answer["metrics"][0]["relative"]["value"] < 0
    refused = ab("simulate", "--dim", "4")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "--dim chooses lists of a stored sweep" in refused.stderr


def test_a_plan_is_printed_and_written(ab):
    """The reference size stands in the sentence and in the JSON, and a few simulations beside it."""
    done = ab("power", "--baseline", "0.12", "--margin", "0.05", "--users-per-day", "5000")
    assert done.returncode == 0
    assert "36,271 queries in the control" in done.stdout
    assert "that takes 15 days" in done.stdout
    effect = ab("power", "--baseline", "0.12", "--effect", "-0.05", "--json", "-").json
    assert (effect["n_control"], effect["n_control_arcsine"], effect["simulated"]) == (45_045, 45_042, None)
    asked = ("--baseline", "0.4", "--margin", "0.2", "--queries-per-user", "2", "--simulations", "4", "--json", "-")
    assert ab("power", *asked).json["simulated"]["n_simulations"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("analyze",), "without a log --control takes totals, events/queries; found nothing"),
        (("analyze", "--control", "12", "--treatment", "1/2"), "without a log --control takes totals"),
        (("analyze", "--control", "12/10", "--treatment", "1/2"), "control cannot have more events than queries"),
        (("analyze", "--control", "1/10", "--treatment", "1/2", "--margin", "0"), "margin of the CTR must be above 0"),
        (("analyze", "--control", "1/10", "--treatment", "1/2", "--alpha", "0.5"), "alpha must be above 0 and below"),
        (("analyze", "--control", "1/10", "--treatment", "1/2", "--metric", "clicks"), "a metric is one of ctr"),
        (
            ("analyze", "--control", "1/10", "--treatment", "1/9", "--judge", "p99"),
            "columns; found --judge. Name",
        ),
        (("analyze", "--control", "1/9", "--treatment", "1/9", "--user-column", "u"), "columns; found u as user_id."),
        (("analyze", "--control", "1/9", "--treatment", "1/9", "--expected-speedup", "0"), "speed-up must be above 0"),
        (("analyze", "nowhere.csv"), "nowhere.csv"),
        (("analyze", "a.csv", "--latency-unit", "h"), "the unit of latency is one of ms, s, us; found h"),
        (("simulate", "--fault", "latency"), "--fault takes KIND:AMOUNT"),
        (("simulate", "--fault", "latency:x"), "--fault takes KIND:AMOUNT"),
        (("simulate", "--fault", "fire:2"), "a fault is one of"),
        (("simulate", "--control", "ctr=a"), "--control takes numbers"),
        (("simulate", "--treatment", "speed=2"), "--treatment takes NAME=VALUE of ctr"),
        (("simulate", "--stages", "0-5"), "a ramp is written as day:percent"),
        (("simulate", "--percent", "150"), "150"),
        (("simulate", "--fault", "errors:0.1:2-x"), "--fault takes KIND:AMOUNT"),
        (("simulate", "--days", "5", "--fault", "errors:0.1:3-2"), "does not end before; found day 3 to day 2"),
        (
            ("analyze", "--control", "1/10", "--treatment", "1/9", "--percent", "150"),
            "above 0 and below 100; found 150",
        ),
        (("analyze", "a.csv", "--percent", "0"), "percentage of users in the treatment must be above 0 and below 100"),
        (("analyze", "--control", f"1/{10**21}", "--treatment", "1/9"), "control may have at most 1,000,000,000,000"),
        (("power", "--baseline", "0.1", "--margin", "0.1", "--percent", "nan"), "above 0 and below 100; found nan"),
        (("simulate", "--judge", ""), "is one or more of ctr, conversion, error_rate, no_results, p99; found nothing"),
        (("simulate", "--preset", "perfect"), "a preset is one of"),
        (("simulate", "--events", "e.txt"), "--events ends in .parquet or .csv"),
        (("simulate", "--events", "nowhere/e.csv"), "--events must name a file in a folder that is there"),
        (("simulate", "--judge", "speed"), "what is judged is one or more of"),
        (("simulate", "--sweep", "20260101-000000-00000000"), "no such run"),
        (("power", "--baseline", "0.12"), "either a margin or an effect"),
        (("power", "--baseline", "1.2", "--margin", "0.05"), "the rate of control must be above 0 and below 1"),
        (
            ("power", "--baseline", "0.1", "--margin", "0.1", "--metric", "conversion", "--simulations", "3"),
            "of the CTR",
        ),
    ],
)
def test_wrong_input_is_one_line_on_stderr_and_status_1(ab, tmp_path, arguments, message):
    """Every wrong option is refused with the rule it breaks, before anything is stored."""
    (tmp_path / "a.csv").write_text("user_id,timestamp,variation_id,latency\nu,2026-01-01,a,1\n")
    done = ab(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert message in done.stderr


def test_a_log_with_columns_of_other_names_is_mapped(ab, tmp_path):
    """Columns, the unit of latency, the arms and the intended share are what the options say."""
    rows = range(400)
    frame = pd.DataFrame(
        {
            "who": [f"u{n % 80}" for n in rows],
            "at": "2026-03-01T10:00:00Z",
            "which": ["full" if n % 80 % 2 else "cut" for n in rows],
            "hit": [n % 3 == 0 for n in rows],
            "took": [0.05 + n / 10_000 for n in rows],
        }
    )
    frame.to_csv(tmp_path / "log.csv", index=False)
    mapped = ("--user-column", "who", "--time-column", "at", "--variation-column", "which", "--clicked-column", "hit")
    latency = ("--latency-column", "took", "--latency-unit", "s", "--control", "full", "--treatment", "cut")
    done = ab("analyze", "log.csv", *mapped, *latency, "--percent", "50", "--json", "-")
    answer = done.json
    assert [arm["name"] for arm in answer["arms"]] == ["full", "cut"]
    assert 50 < answer["latencies"][0]["control"]["value"] < 90
    assert sum(arm["n_clicks"] for arm in answer["arms"]) == sum(n % 3 == 0 for n in rows)


@pytest.mark.parametrize("verb", ["power", "simulate", "analyze"])
def test_every_verb_says_what_its_options_are_for(ab, verb):
    """Each verb has a help text for itself and for every one of its options."""
    command = typer.main.get_command(ab_app).commands[verb]
    assert command.help in ab(verb, "--help").stdout.replace("\n  ", " ")
    assert [one.name for one in command.params if not getattr(one, "help", None)] == []


def test_the_conversion_keeps_its_share_of_the_clicks_unless_it_is_given(ab):
    """With another CTR as many of the clicks convert, so that no CTR is too low for a conversion nobody stated."""
    stated = ("--treatment", "ctr=0.06,conversion=0.02")
    told = ab("simulate", *SMALL, "--control", "ctr=0.24", *stated, "--json", "-").json["assumptions"]
    assert "CTR 24 % and 6 %, conversion 12 % and 2 %, errors 0.1 % and 0.1 %." in " ".join(told)
    assert ab("simulate", *SMALL, "--control", "ctr=0").returncode == 3


def test_what_looking_daily_costs_stands_beside_every_anytime_valid_interval(ab):
    """Also totals of a single look come with the price of more of them."""
    done = ab("analyze", "--control", "1200/10000", "--treatment", "1150/10000")
    assert "False alarms by number of looks: 1: 5 %, 5: 14.2 %, 10: 19.3 %, 35: 29.2 %." in done.stdout
    one = ab("simulate", "--users", "2", "--queries-per-day", "1", "--days", "1")
    assert "1 query of 1 user " in one.stdout


def test_simulations_of_a_plan_answer_its_question(ab):
    """A plan to find a change is told how often one was found, a plan with a margin how often it was kept."""
    size = ("--baseline", "0.4", "--queries-per-user", "2", "--simulations", "3")
    assert "A change was found in" in ab("power", "--effect", "0.3", *size).stdout
    assert "A loss of 20 % was ruled out in" in ab("power", "--margin", "0.2", *size).stdout


def test_totals_are_read_without_loading_what_only_rows_need(tmp_path):
    """`dimshift ab` with plain totals compiles nothing and loads no SciPy, pandas or statsmodels, to answer at once."""
    script = (
        "import sys; from engine.cli import main\n"
        "sys.argv = ['dimshift', 'ab', 'analyze', '--control', '1200/10000', '--treatment', '1150/10000']\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'numba', 'pandas', 'pyarrow', 'scipy', 'statsmodels'} & {*sys.modules}))\n"
    )
    environment = {**os.environ, "DIMSHIFT_WORKSPACE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == "[]"
