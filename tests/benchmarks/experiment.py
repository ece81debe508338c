"""Speed of experiments, one measurement a call, printed as JSON: python tests/benchmarks/experiment.py NAME."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 3
MIB = 1 << 20


def _seconds(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _arm():
    from engine.experiment.traffic_settings import ArmNumbers

    return ArmNumbers(ctr=0.12, conversion=0.03, error_rate=0.001)


def assign() -> dict:
    """Time the assignment of 1,000,000 text ids."""
    from engine.experiment import assign as assigned

    ids = [f"user-{number:07d}" for number in range(1_000_000)]
    assigned("experiment", ids[:1000], 50.0)  # compiles
    return {"seconds": statistics.median(_seconds(lambda: assigned("experiment", ids, 50.0)) for _ in range(5))}


def traffic() -> dict:
    """Time the simulation and analysis of 35 days of 1,000,000 queries, and measure the largest resident memory."""
    from engine.experiment.analysis import analyze
    from engine.experiment.settings import AnalysisSettings
    from engine.experiment.traffic import simulate
    from engine.experiment.traffic_settings import TrafficSettings

    small = TrafficSettings(control=_arm(), treatment=_arm(), n_users=1000, queries_per_day=1000, n_days=3)
    analyze(simulate(small), AnalysisSettings())  # compiles
    settings = TrafficSettings(
        control=_arm(), treatment=_arm(), n_users=1_000_000, queries_per_day=1_000_000, n_days=35
    )
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        events = simulate(settings)
        simulated = time.perf_counter()
        analyze(events, AnalysisSettings())
        rounds.append((simulated - began, time.perf_counter() - simulated))
        del events
    simulate_s, analyze_s = (statistics.median(times) for times in zip(*rounds, strict=True))
    return {
        "simulate_s": simulate_s,
        "analyze_s": analyze_s,
        "seconds": statistics.median(sum(times) for times in rounds),
        "peak_resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB,
    }


def log() -> dict:
    """Time reading and analysing a Parquet log of 10,000,000 rows, each round in a process of its own."""
    from engine.experiment.event_files import write_events
    from engine.experiment.traffic import simulate
    from engine.experiment.traffic_settings import TrafficSettings

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "log.parquet"
        command = [sys.executable, __file__, "read", str(file)]

        def read_alone() -> None:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

        for rows in (1000, 1_000_000):  # the first compiles
            settings = TrafficSettings(control=_arm(), treatment=_arm(), n_users=rows, queries_per_day=rows, n_days=10)
            with file.open("wb") as opened:
                write_events(simulate(settings), opened, form="parquet")
            seconds = [_seconds(read_alone) for _ in range(ROUNDS)]
    return {"seconds": statistics.median(seconds)}


def read(file: str) -> dict:
    """Read and analyse a log, for `log`."""
    from engine.experiment.analysis import analyze
    from engine.experiment.logs import read_log

    return {"queries": analyze(read_log(Path(file))).n_queries}


def preflight() -> dict:
    """Time a pre-flight of 1,000 simulated rollouts a scenario."""
    from engine.rollout import DEFAULT_SCHEDULE, Thresholds
    from engine.rollout.preflight import preflight as fly
    from engine.rollout.traffic_days import Traffic

    fly(DEFAULT_SCHEDULE, Traffic(), Thresholds(), n_simulations=10, seed=1)
    return {
        "seconds": statistics.median(
            _seconds(lambda: fly(DEFAULT_SCHEDULE, Traffic(), Thresholds(), n_simulations=1000, seed=1))
            for _ in range(5)
        )
    }


if __name__ == "__main__":
    chosen = {"assign": assign, "traffic": traffic, "log": log, "read": read, "preflight": preflight}
    print(json.dumps(chosen[sys.argv[1]](*sys.argv[2:])))  # noqa: T201
