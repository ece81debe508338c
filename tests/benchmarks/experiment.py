"""Speed of experiments, one measurement a call, printed as JSON: python tests/benchmarks/experiment.py NAME."""

from __future__ import annotations

import json
import resource
import statistics
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
    """Time reading and analysing a Parquet log of 10,000,000 rows."""
    from engine.experiment.analysis import analyze
    from engine.experiment.event_files import write_events
    from engine.experiment.logs import read_log
    from engine.experiment.settings import AnalysisSettings
    from engine.experiment.traffic import simulate
    from engine.experiment.traffic_settings import TrafficSettings

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "log.parquet"
        for n_users, rows in ((1000, 1000), (1_000_000, 1_000_000)):
            settings = TrafficSettings(
                control=_arm(), treatment=_arm(), n_users=n_users, queries_per_day=rows, n_days=10
            )
            with file.open("wb") as opened:
                write_events(simulate(settings), opened, form="parquet")
            seconds = [_seconds(lambda: analyze(read_log(file), AnalysisSettings())) for _ in range(ROUNDS)]
    return {"seconds": statistics.median(seconds)}


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
    chosen = {"assign": assign, "traffic": traffic, "log": log, "preflight": preflight}
    print(json.dumps(chosen[sys.argv[1]]()))  # noqa: T201
