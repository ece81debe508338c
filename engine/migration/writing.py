"""Write batches so that one row that cannot be written costs that row and no other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import StoreError, StoreUnavailableError
from engine.migration.transform import HeldRow

if TYPE_CHECKING:
    from engine.migration.patience import Patience
    from engine.migration.settings import MigrationSettings
    from engine.migration.stores.protocol import Batch, VectorStore, Written


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How many rows of a batch are in the target now, and which are not, with the reason."""

    n_written: int
    held: tuple[HeldRow, ...]


class Writer:
    """Writes to the target; tries a batch that fails again, then its halves, down to single rows."""

    def __init__(self, target: VectorStore, settings: MigrationSettings, patience: Patience) -> None:
        self._target, self._settings, self._patience = target, settings, patience
        self._last_failure: StoreError | None = None

    def write(self, batch: Batch, *, is_new: bool = False) -> Outcome:
        """Write `batch` and return what became of its rows; `is_new` vouches that none can be there yet.

        Raises StoreUnavailableError when the target stays away, and StoreError when not one row of a batch of several
        can be written: then the target is at fault, and not the rows.
        """
        if not len(batch):
            return Outcome(n_written=0, held=())
        self._last_failure = None
        outcome = self._in_halves(batch, is_new=is_new)
        if outcome.n_written == 0 and len(outcome.held) == len(batch) > 1 and self._last_failure is not None:
            raise self._last_failure
        return outcome

    def _in_halves(self, batch: Batch, *, is_new: bool) -> Outcome:
        try:
            written = self._patiently(batch, is_new=is_new)
        except StoreUnavailableError:
            raise
        except StoreError as error:
            self._last_failure = error
            if len(batch) == 1:
                reason = f"the target refused it {self._settings.attempts} times: {error.rule}"
                return Outcome(n_written=0, held=(HeldRow(id=batch.ids[0], reason=reason),))
            middle = len(batch) // 2
            # A batch may have been written in part before it failed.
            halves = [
                self._in_halves(batch.take(range(start, stop)), is_new=False)
                for start, stop in ((0, middle), (middle, len(batch)))
            ]
            return Outcome(
                n_written=sum(half.n_written for half in halves),
                held=tuple(row for half in halves for row in half.held),
            )
        held = tuple(HeldRow(id=row.id, reason=row.reason) for row in written.rejected)
        return Outcome(n_written=written.n_written, held=held)

    def _patiently(self, batch: Batch, *, is_new: bool) -> Written:
        fresh, wait = is_new, self._settings.first_wait_s

        def upsert() -> Written:
            # Only the very first try may vouch: one that failed, or broke off, may have written some rows.
            nonlocal fresh
            vouched, fresh = fresh, False
            return self._target.upsert(batch, is_new=vouched)

        for _ in range(self._settings.attempts - 1):
            try:
                return self._patience.call(upsert)
            except StoreUnavailableError:
                raise
            except StoreError:
                self._patience.pause(wait)
                wait *= 2
        return self._patience.call(upsert)
