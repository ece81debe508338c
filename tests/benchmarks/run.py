"""Run every benchmark and write results.json and the README's table: python tests/benchmarks/run.py [NAME ...]."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
README = HERE.parents[1] / "README.md"
SCRIPTS = {
    **dict.fromkeys(("sweep", "memory", "mapped", "bootstrap", "start"), "measure"),
    "quantized": "quantized",
    **dict.fromkeys(("assign", "traffic", "log", "preflight"), "experiment"),
    **dict.fromkeys(("flag_evaluations", "kill"), "flags"),
    **dict.fromkeys(("migration", "migration_memory"), "migration"),
    "larger_than_memory": "larger_than_memory",
    **dict.fromkeys(("demonstration", "landing_page", "report"), "demo"),
    "cluster": "cluster",
    "soak": "soak",
    "kill_banner": "two_apps",
}
_PLACE = r"(<!-- {0} -->\n).*?(<!-- /{0} -->)"
_READ_BYTES_A_SECOND = 1e9  # by a worker, which is assumed


def table(results: dict) -> str:
    """Return the README's table of `results`."""
    sweep, machine = results["sweep"], results["machine"]
    rows = [
        ("All 8 dims, 100,000 × 1,536, 1,000 queries, k = 100, over one matrix product of that shape",
         f"{sweep['sweep_over_product']:.2f} ×", "1.5 ×"),
        ("A loop of FAISS `IndexFlatIP` over truncated copies, over that sweep",
         f"{sweep['faiss_over_sweep']:.1f} ×", "3 × or more"),
        ("The sweep's memory above its input arrays", f"{results['memory']['above_inputs_mib']:.0f} MiB", "512 MiB"),
        ("Resident memory, memory-mapped 1,000,000 × 256, 200 queries",
         f"{results['mapped']['peak_resident_mib']:.0f} MiB", "1,024 MiB"),
        ("Bootstrap, 10,000 resamples × 1,000 queries × 8 dims",
         f"{results['bootstrap']['seconds']:.2f} s", "2 s"),
        ("`dimshift` to the first answer of the app", f"{results['start']['app_answers_s']:.1f} s", "4 s"),
        ("A stored sweep, opened with its intervals", f"{results['start']['stored_sweep_s']:.2f} s", "1 s"),
        ("`import engine`", f"{results['start']['import_engine_s']:.2f} s", "0.3 s"),
    ]  # fmt: skip
    quantized = results["quantized"]
    for case, name in (("single_1", "one query, one thread"), (f"batch_{quantized['threads']}", "128 queries at once")):
        ratios = [f"{quantized[f'{case}_threads_float32_over_{dtype}']:.1f} ×" for dtype in ("int8", "binary")]
        what = f"The float32 exact scan of 100,000 × 768 over int8 and over binary codes, {name}"
        rows.append((what, " and ".join(ratios), "1 × or more"))
    rows += [*_experiment_rows(results), *_flag_rows(results), *_migration_rows(results)]
    rows += [*_scale_rows(results), *_company_rows(results), *_present_rows(results)]
    lines = ["| What | Measured | Limit we set |", "|---|---|---|"]
    lines += [f"| {what} | {measured} | {limit} |" for what, measured, limit in rows]
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:.0f} GiB, {machine['blas']}"
    times = f"matrix product {sweep['matrix_product_s']:.2f} s, sweep {sweep['sweep_s']:.2f} s"
    versions = f"Python {machine['python']}, NumPy {machine['numpy']}"
    note = f"{where}; {versions}. Medians of five rounds: {times}, FAISS loop {sweep['faiss_loop_s']:.2f} s."
    return "\n".join([*lines, "", note])


def _experiment_rows(results: dict) -> list[tuple[str, str, str]]:
    traffic = results["traffic"]
    return [
        ("Assign 1,000,000 text user ids", f"{results['assign']['seconds']:.2f} s", "0.6 s"),
        ("Simulate and analyse 35 days of 1,000,000 queries", f"{traffic['seconds']:.1f} s", "10 s"),
        ("Its largest resident memory", f"{traffic['peak_resident_mib']:,.0f} MiB", "2,048 MiB"),
        ("Read and analyse a Parquet log of 10,000,000 rows", f"{results['log']['seconds']:.1f} s", "15 s"),
        ("Pre-flight, 1,000 simulated rollouts a scenario", f"{results['preflight']['seconds']:.2f} s", "5 s"),
    ]  # fmt: skip


def _flag_rows(results: dict) -> list[tuple[str, str, str]]:
    kill = results["kill"]
    return [
        ("Flag evaluations a second, one thread, from memory",
         f"{results['flag_evaluations']['a_second']:,.0f}", "100,000"),
        (f"A kill reaches a real flagd client in another process, the slowest of {kill['kills']}",
         f"{kill['slowest_s']:.2f} s", "1 s"),
    ]  # fmt: skip


def _migration_rows(results: dict) -> list[tuple[str, str, str]]:
    moved = results["migration"]
    shape = f"{moved['rows']:,} × {moved['dim']:,} → {moved['dims']}"
    rows = []
    for name, store in (("pgvector", "pgvector"), ("lancedb", "LanceDB")):
        share, loop = 100 * moved[f"{name}_share_of_bulk"], moved[f"{name}_over_row_at_a_time"]
        rows += [
            (f"Migrate {shape}, pgvector to {store}, over the slower of the engines' own bulk paths",
             f"{share:.0f} %", "70 % or more"),
            ("The same over a row-at-a-time loop", f"{loop:.0f} ×", "20 × or more"),
        ]  # fmt: skip
    memory = results["migration_memory"]["peak_resident_mib"]
    return [*rows, ("Resident memory of that migration", f"{memory:,.0f} MiB", "600 MiB")]


def _scale_rows(results: dict) -> list[tuple[str, str, str]]:
    large = results["larger_than_memory"]
    shape = f"{large['rows']:,} × {large['dim']:,}, {large['corpus_gib']:.0f} GiB"
    peak = max(large[verb]["peak_anonymous_mib"] for verb in ("sweep", "latency", "diagnose", "migrate"))
    return [
        (f"Sweep, latency, diagnosis and migration of a memory-mapped {shape}: largest memory of its own",
         f"{peak:,.0f} MiB", f"{large['limit_gib']:.0f} GiB, enforced"),
    ]  # fmt: skip


def cluster_table(results: dict) -> str:
    """Return the README's table of the sweep on a cluster: what was measured, and what the cost model makes of more."""
    cluster = results["cluster"]
    lines = [
        "| Sweep, k = 100 | Processor time of the workers | Memory a worker | Sent between machines |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {_sweep(one)} | **measured {one['worker_s']:.1f} s**, model {one['predicted_worker_s']:.1f} s "
        f"| **measured {one['peak_worker_mib']:.0f} MiB**, model at most {one['predicted_worker_mib']:.0f} MiB "
        f"| at most {one['predicted_moved_bytes'] / 1e6:.0f} MB |"
        for one in cluster["checks"]
    ]
    for one in cluster["extrapolated"]:
        spent = one["worker_s"]
        lines.append(
            f"| {_sweep(one, size=_bytes(one['corpus_bytes']))}, {one['workers']} workers of {one['threads']} threads "
            f"| *extrapolated* {f'{spent / 3600:.0f} h' if spent > 7200 else f'{spent / 60:.0f} min'}: "
            f"{one['seconds']:.0f} s by the clock, and "
            f"{one['corpus_bytes'] / one['workers'] / _READ_BYTES_A_SECOND:.0f} s to read "
            f"| *at most* {one['worker_bytes'] / (1 << 30):.1f} GiB | *at most* {_bytes(one['moved_bytes'])} |"
        )
    within = f"The model was within {100 * (cluster['model_off_by'] - 1):.0f} % of the three measured sizes."
    return "\n".join([*lines, "", within])


def _sweep(one: dict, *, size: str = "") -> str:
    shape = f"{one['documents']:,} × {one['dim']:,}" + (f" ({size})" if size else "")
    return f"{shape}, {one['queries']:,} queries, {one['n_dims']} dims"


def _bytes(n: float) -> str:
    unit, scale = ("TB", 1e12) if n >= 1e12 else ("GB", 1e9)
    return f"{n / scale:.1f} {unit}" if n < 10 * scale else f"{n / scale:.0f} {unit}"


def _company_rows(results: dict) -> list[tuple[str, str, str]]:
    soak, kill = results["soak"], results["kill_banner"]
    who = f"{soak['n_sessions']} browser sessions for {soak['seconds'] / 60:.0f} minutes, {soak['n_sweeps']} sweeps"
    grown = soak["memory_mib_after"] - soak["memory_mib_before"]
    return [
        (f"{who}: a page drawn again, 95th percentile", f"{soak['p95_rerun_s']:.2f} s", "1 s"),
        ("Errors and rows of another session in them", f"{len(soak['errors'])} and {len(soak['cross_talk'])}", "none"),
        ("The app's memory after them over before", f"{grown:.0f} MiB", "200 MiB"),
        (f"A kill in one app to the banner in another one on the same PostgreSQL, the slowest of {kill['kills']}",
         f"{kill['slowest_s']:.2f} s", "1 s"),
    ]  # fmt: skip


def _present_rows(results: dict) -> list[tuple[str, str, str]]:
    page = results["landing_page"]
    return [
        ("`dimshift demo`, everything measured", f"{results['demonstration']['seconds']:.0f} s", "60 s"),
        ("The landing page on it, in a new tab and drawn again",
         f"{page['new_tab_s']:.2f} and {page['again_s']:.2f} s", "1 s"),
        ("Its report as one HTML file", f"{results['report']['seconds']:.1f} s", "10 s"),
        ("The size of that file", f"{results['report']['mib']:.1f} MiB", "8 MiB"),
    ]  # fmt: skip


def machine() -> dict:
    """Describe the machine as a stored run does, without what tells one host from another."""
    from engine.workspace.environment import environment

    facts = environment()
    blas = facts.blas[0]
    return {
        "cpu": facts.cpu,
        "cores": facts.cores,
        "memory_gib": (facts.memory_bytes or 0) / (1 << 30),
        "blas": f"{blas.name} {blas.version}",
        "python": facts.python,
        "numpy": facts.packages["numpy"],
    }


def main() -> None:
    """Measure what was named, or everything, and write it down."""
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name in sys.argv[1:] or SCRIPTS:
        script = HERE / f"{SCRIPTS[name]}.py"
        output = subprocess.check_output([sys.executable, str(script), name], text=True)
        results[name] = json.loads(output)
        print(name, output.strip())  # noqa: T201 -- tells the person at the terminal
    results["machine"] = machine()
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    text = README.read_text()
    for place, shown in (("benchmarks", table(results)), ("cluster", cluster_table(results))):
        pattern = re.compile(_PLACE.format(place), re.DOTALL)
        text = pattern.sub(lambda match, shown=shown: f"{match[1]}{shown}\n{match[2]}", text)
    README.write_text(text)


if __name__ == "__main__":
    main()
