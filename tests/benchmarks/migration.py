"""The migrator against the engines' own bulk paths on the same rows: python tests/benchmarks/migration.py migration."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

N_ROWS, DIM, DIMS = 200_000, 1024, 256
ROUNDS = 3
ONE_BY_ONE = 1000
MIB = 1 << 20


def _rate(work, n_rows: int) -> float:
    began = time.perf_counter()
    work()
    return n_rows / (time.perf_counter() - began)


def _fill(store) -> None:
    from engine.migration import Batch, TableSpec

    store.create(TableSpec(dim=DIM))
    rng = np.random.default_rng(0)
    for start in range(0, N_ROWS, 10_000):
        ids = tuple(range(start, start + 10_000))
        vectors = rng.standard_normal((10_000, DIM), dtype=np.float32)
        store.upsert(Batch(ids=ids, vectors=vectors, payloads=tuple(b'{"n":%d}' % one for one in ids)), is_new=True)


def _copy_out(connection, table: str) -> None:
    with connection.cursor().copy(f"COPY (SELECT * FROM {table}) TO STDOUT (FORMAT binary)") as copy:
        for _ in copy:
            pass


def _copy_in(connection, data: list[bytes], table: str) -> None:
    with connection.transaction(), connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
        for block in data:
            copy.write(block)


def _bulk_in_rate(connection, table: str) -> float:
    """Time COPY IN of the truncated rows, as the engine itself wrote them out."""
    with connection.cursor().copy(f"COPY (SELECT * FROM {table}) TO STDOUT (FORMAT binary)") as copy:
        data = [bytes(block) for block in copy]
    connection.execute(f"CREATE TABLE bulk (LIKE {table} INCLUDING ALL)")
    rate = _rate(lambda: _copy_in(connection, data, "bulk"), N_ROWS)
    connection.execute("DROP TABLE bulk")
    return rate


def _lance_rate(folder: Path, vectors: np.ndarray) -> float:
    import lancedb
    import pyarrow as pa

    rows = pa.table({
        "id": np.arange(N_ROWS),
        "vector": pa.FixedSizeListArray.from_arrays(vectors.ravel(), DIMS),
        "payload": [f'{{"n":{one}}}' for one in range(N_ROWS)],
    })  # fmt: skip
    database = lancedb.connect(folder)
    return _rate(lambda: database.create_table("bulk", rows, mode="overwrite"), N_ROWS)


def _row_at_a_time_rate(connection, table: str) -> float:
    """Time what a hand-written loop does: read a row, cut it, write it, commit."""
    connection.execute(f"CREATE TABLE looped (id bigint PRIMARY KEY, embedding vector({DIMS}), payload jsonb)")

    def loop() -> None:
        for one in range(ONE_BY_ONE):
            vector, payload = connection.execute(
                f"SELECT embedding::text, payload::text FROM {table} WHERE id = %s", (one,)
            ).fetchone()
            cut = np.array(json.loads(vector)[:DIMS], dtype=np.float32)
            cut /= np.linalg.norm(cut)
            shown = "[" + ",".join(map(str, cut)) + "]"
            connection.execute("INSERT INTO looped VALUES (%s, %s, %s)", (one, shown, payload))

    rate = _rate(loop, ONE_BY_ONE)
    connection.execute("DROP TABLE looped")
    return rate


def migration() -> dict:
    """Copy 200,000 × 1,024 → 256 from pgvector to pgvector and to LanceDB, each beside the engines' own bulk paths."""
    import psycopg

    from engine.migration import MigrationSettings, Migrator, open_store
    from engine.migration.stores.local_postgres import start_local_postgres
    from engine.workspace import Workspace

    results: dict = {"rows": N_ROWS, "dim": DIM, "dims": DIMS}
    with tempfile.TemporaryDirectory(prefix="dimshift-pg-") as data, start_local_postgres(Path(data)) as server:
        source = open_store(server.url("docs"))
        _fill(source)
        connection = psycopg.connect(
            host=str(server.socket_folder), user="postgres", dbname="postgres", autocommit=True
        )
        rounds: dict[str, list[float]] = {}
        for number in range(ROUNDS):
            folder = Path(tempfile.mkdtemp(prefix="dimshift-bench-"))
            targets = {"pgvector": server.url(f"docs_{number}"), "lancedb": f"lancedb://{folder}/lance#docs"}
            for name, url in targets.items():
                target = open_store(url)
                settings = MigrationSettings(dims=DIMS, index=None)
                with Workspace.open(folder / f"workspace-{name}") as workspace:
                    report = Migrator(source, target, settings, workspace=workspace, actor="benchmark").run()
                assert report.validation.verdict == "equal"
                rounds.setdefault(name, []).append(report.rows_per_s)
                target.close()
            rounds.setdefault("copy_out", []).append(_rate(lambda: _copy_out(connection, "docs"), N_ROWS))
            rounds.setdefault("copy_in", []).append(_bulk_in_rate(connection, f"docs_{number}"))
            cut = np.random.default_rng(1).standard_normal((N_ROWS, DIMS), dtype=np.float32)
            rounds.setdefault("lance_write", []).append(_lance_rate(folder / "bulk", cut))
            rounds.setdefault("row_at_a_time", []).append(_row_at_a_time_rate(connection, "docs"))
            connection.execute(f"DROP TABLE docs_{number}")
        connection.close()
        source.close()
    for name, rates in rounds.items():
        results[f"{name}_rows_per_s"] = statistics.median(rates)
    for name, bulk in (("pgvector", "copy_in"), ("lancedb", "lance_write")):
        shares = [
            got / min(out, write)
            for got, out, write in zip(rounds[name], rounds["copy_out"], rounds[bulk], strict=True)
        ]
        results[f"{name}_share_of_bulk"] = statistics.median(shares)
        loops = [got / loop for got, loop in zip(rounds[name], rounds["row_at_a_time"], strict=True)]
        results[f"{name}_over_row_at_a_time"] = statistics.median(loops)
    return results


def migration_memory() -> dict:
    """Measure the largest resident memory of a process that does nothing but migrate 200,000 rows."""
    from engine.migration import MigrationSettings, Migrator, open_store
    from engine.migration.stores.local_postgres import start_local_postgres
    from engine.workspace import Workspace

    with tempfile.TemporaryDirectory(prefix="dimshift-pg-") as data, start_local_postgres(Path(data)) as server:
        source, target = open_store(server.url("docs")), open_store(server.url("docs_256"))
        _fill(source)
        peak = 0

        def watch(_share: float, _message: str) -> None:
            nonlocal peak
            peak = max(peak, psutil.Process().memory_info().rss)

        with Workspace.open(Path(data) / "workspace") as workspace:
            Migrator(
                source, target, MigrationSettings(dims=DIMS, index=None), workspace=workspace, actor="benchmark"
            ).run(progress=watch)
        source.close()
        target.close()
    return {"peak_resident_mib": peak / MIB}


if __name__ == "__main__":
    print(json.dumps({"migration": migration, "migration_memory": migration_memory}[sys.argv[1]]()))  # noqa: T201
