"""Take over what happened in the source while rows were copied, until a pass over both stores finds nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.errors import MigrationError
from engine.migration.comparing import Comparison, Difference
from engine.migration.ids import Id
from engine.migration.results import Pass

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from engine.migration.job import JobRecord, MigrationJob
    from engine.migration.patience import Patience
    from engine.migration.planning import Settled
    from engine.migration.stores.protocol import StoreInfo, VectorStore
    from engine.migration.transform import HeldRow
    from engine.migration.writing import Writer
    from engine.progress import Cancelled, Progress

# A row may bear the moment at which its transaction began and be seen only after that transaction ended.
_MARGIN = timedelta(minutes=5)
_FETCHED = 2048
_MOST_DELETED = 0.5
_FEW = 1000


@dataclass(kw_only=True)
class _Counts:
    changed: int = 0
    missing: int = 0
    deleted: int = 0


class CatchUp:
    """Passes over source and target; each takes over changed, new and deleted rows, and settles the quarantine."""

    def __init__(
        self,
        source: VectorStore,
        target: VectorStore,
        settled: Settled,
        *,
        info: StoreInfo,
        record: JobRecord,
        writer: Writer,
        patience: Patience,
    ) -> None:
        self._source, self._target, self._settled = source, target, settled
        self._info, self._record, self._writer, self._patience = info, record, writer, patience

    def run_pass(
        self, job: MigrationJob, *, changed_since: datetime | None, progress: Progress, cancelled: Cancelled
    ) -> Pass:
        """Compare once and take over what is found; rows changed since `changed_since` where the source can tell.

        Without it the values of all rows are compared. Raises MigrationError, before anything is deleted, when the
        source has lost more than half of what was copied: it was emptied or swapped, and not just used.
        """
        began = self._patience.call(self._source.now)
        round_ = self._record.n_rounds(job) + 1
        counts, failed = _Counts(), dict[Id, "HeldRow"]()
        self._check_not_emptied()
        if changed_since is not None:
            self._take_changed(changed_since - _MARGIN, counts, failed)
        comparison = Comparison(
            self._source,
            self._target,
            self._settled.transform,
            patience=self._patience,
            value_share=1.0 if changed_since is None else 0.0,
            with_payload=self._info.has_payload,
        )
        for found in comparison.differences(n_rows=self._info.n_rows, progress=progress, cancelled=cancelled):
            self._take(found, counts, failed)
        self._settle_quarantine(job, {**comparison.immovable, **failed}, round_=round_)
        return Pass(
            began=began.isoformat(),
            ended=self._patience.call(self._source.now).isoformat(),
            n_changed=counts.changed,
            n_missing=counts.missing,
            n_deleted=counts.deleted,
            by="comparing all rows" if changed_since is None else "updated-at column",
        )

    def try_again(self, job: MigrationJob) -> int:
        """Try the rows in quarantine once more; return how many are in the target now."""
        held = {row.id: row for row in self._record.quarantine(job)}
        failed = self._write_rows(list(held))
        self._settle_quarantine(job, failed, round_=self._record.n_rounds(job) + 1)
        return len(held) - len({row.id for row in self._record.quarantine(job)})

    def _check_not_emptied(self) -> None:
        here, there = self._patience.call(self._source.count), self._patience.call(self._target.count)
        if (there > _FEW and here < _MOST_DELETED * there) or (there and not here):
            raise MigrationError(
                "the source must keep its rows while they move",
                found=f"{here:,} rows, and {there:,} copied from it",
                hint="Nothing was deleted from the target; restore the source and resume",
            )

    def _take_changed(self, since: datetime, counts: _Counts, failed: dict[Id, HeldRow]) -> None:
        batches = self._patience.scan(
            self._source,
            after=None,
            batch_size=self._settled.batch_size,
            dim=self._settled.transform.dims,
            changed_since=since,
        )
        pair = Comparison(
            self._source,
            self._target,
            self._settled.transform,
            patience=self._patience,
            with_payload=self._info.has_payload,
        )
        for batch in batches:
            # The margin, and rows that were copied after they changed, bring many that are as they should be.
            differing = pair.among(list(batch.ids))
            self._take(tuple(differing), counts, failed)
            failed |= pair.immovable

    def _take(self, found: tuple[Difference, ...], counts: _Counts, failed: dict[Id, HeldRow]) -> None:
        gone = [one.id for one in found if one.what == "unexpected"]
        if gone:
            counts.deleted += self._patience.call(lambda: self._target.delete(gone))
        wanted = list(dict.fromkeys(one.id for one in found if one.what != "unexpected"))
        refused = self._write_rows(wanted)
        failed |= refused
        missing = {one.id for one in found if one.what == "missing"} - set(refused)
        counts.missing += len(missing)
        counts.changed += len(set(wanted) - missing - set(refused))

    def _write_rows(self, ids: Iterable[Id]) -> dict[Id, HeldRow]:
        """Copy the rows with these ids; return those that cannot move. Ids that the source no longer has are none."""
        wanted, failed = list(ids), dict[Id, "HeldRow"]()
        for start in range(0, len(wanted), _FETCHED):
            piece = wanted[start : start + _FETCHED]
            batch = self._patience.fetch(
                self._source, piece, dim=self._settled.transform.dims, with_payload=self._info.has_payload
            )
            moved = self._settled.transform(batch)
            outcome = self._writer.write(moved.batch)
            failed |= {row.id: row for row in (*moved.held, *outcome.held)}
        return failed

    def _settle_quarantine(self, job: MigrationJob, failed: dict[Id, HeldRow], *, round_: int) -> None:
        held = {row.id: row for row in self._record.quarantine(job)}
        self._record.hold(job, [row for one, row in failed.items() if held.get(one) != row], round_=round_)
        maybe = [one for one in held if one not in failed]
        free: list[HeldRow] = []
        for start in range(0, len(maybe), _FETCHED):
            piece = maybe[start : start + _FETCHED]
            there = self._patience.present(self._target, piece)
            here = self._patience.present(self._source, piece)
            free += [held[one] for one in piece if one in there or one not in here]
        self._record.release(job, free, round_=round_)
