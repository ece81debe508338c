"""The copy: batches in the source's order, read and transformed while the one before is written, each checkpointed."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from engine.errors import MigrationError
from engine.migration.job import Progressed
from engine.migration.writing import Writer
from engine.progress import stop_if

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.migration.job import JobRecord, MigrationJob
    from engine.migration.patience import Patience
    from engine.migration.planning import Settled
    from engine.migration.settings import MigrationSettings
    from engine.migration.stores.protocol import StoreInfo, VectorStore
    from engine.migration.transform import Transformed
    from engine.progress import Cancelled, Progress

_LEAST_HELD = 10


class Asked(Exception):  # noqa: N818  # no error: it carries a wish out of the copy
    """Somebody asked the running migration to ``pause`` or ``cancel``."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def copy_rows(
    source: VectorStore,
    target: VectorStore,
    settings: MigrationSettings,
    settled: Settled,
    *,
    info: StoreInfo,
    job: MigrationJob,
    record: JobRecord,
    patience: Patience,
    progress: Progress,
    cancelled: Cancelled,
) -> Progressed:
    """Copy every row behind the newest checkpoint and return the last one.

    A batch is written first and checkpointed, together with the rows set aside, once the target says that it is safe:
    a crash in between repeats that batch, which changes nothing. Two batches are in memory: one is read and transformed
    while the other is written.

    Raises
    ------
    Asked
        When somebody wants the job paused or cancelled.
    MigrationError
        When more than the set share of the source's rows had to be set aside.
    """
    writer = Writer(target, settings, patience)
    done = record.progressed(job.generation)
    before, began = done, time.perf_counter()
    most_held = settings.quarantine_share * info.n_rows
    if settings.quarantine_share:  # a share of a small table is less than a row
        most_held = max(most_held, min(_LEAST_HELD, info.n_rows - 1))
    is_first = True
    for moved, n_read, cursor in _read_ahead(source, settled, info=info, after=done.cursor, patience=patience):
        stop_if(cancelled)
        # Only the batch on its way at a crash can be there already; ids that repeat are never new.
        outcome = writer.write(moved.batch, is_new=info.ids_are_unique and not is_first)
        is_first = False
        held = (*moved.held, *outcome.held)
        elapsed = time.perf_counter() - began
        done = Progressed(
            cursor=cursor,
            n_read=done.n_read + n_read,
            n_written=done.n_written + outcome.n_written,
            n_held=done.n_held + len(held),
            seconds=before.seconds + elapsed,
        )
        with record.checkpoint(job, done, held) as asked:
            pass
        if asked is not None:
            raise Asked(asked)
        _check_share(done, most_held, held[-1].reason if held else "")
        rate = (done.n_read - before.n_read) / max(elapsed, 1e-9)
        left_s = max(info.n_rows - done.n_read, 0) / max(rate, 1e-9)
        progress(
            min(1.0, done.n_read / max(info.n_rows, 1)),
            f"Copying: {done.n_read:,} of {info.n_rows:,} rows, {rate:,.0f} rows/s, about {_shown(left_s)} left",
        )
        if settings.rows_per_s is not None:
            patience.pause((done.n_read - before.n_read) / settings.rows_per_s - (time.perf_counter() - began))
    return done


def _read_ahead(
    source: VectorStore, settled: Settled, *, info: StoreInfo, after: str | None, patience: Patience
) -> Iterator[tuple[Transformed, int, str | None]]:
    batches = patience.scan(
        source,
        after=after,
        batch_size=settled.batch_size,
        dim=settled.transform.dims,
        with_payload=info.has_payload,
    )

    def following() -> tuple[Transformed, int, str | None] | None:
        batch = next(batches, None)
        return None if batch is None else (settled.transform(batch), len(batch), batch.cursor)

    with ThreadPoolExecutor(1, thread_name_prefix="migration-read") as reader:
        ahead = reader.submit(following)
        while (ready := ahead.result()) is not None:
            ahead = reader.submit(following)
            yield ready


def _check_share(done: Progressed, most_held: float, last_reason: str) -> None:
    if done.n_held > most_held:
        raise MigrationError(
            f"at most {most_held:,.0f} rows may be set aside",
            found=f"{done.n_held:,} of {done.n_read:,}; the last because {last_reason}",
            hint="Mend the rows, or allow a larger share, and resume",
        )


def _shown(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
