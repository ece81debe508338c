"""Wait for stores that are away, and go on where the reading stopped."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from engine.errors import CancelledError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from engine.migration.ids import Id
    from engine.migration.settings import MigrationSettings
    from engine.migration.stores.protocol import Batch, VectorStore
    from engine.progress import Cancelled

T = TypeVar("T")
_LONGEST_WAIT_S = 5.0
_BLINK_S = 0.2


class Patience:
    """Calls stores again after a wait that doubles, for as long as the settings allow.

    `on_wait` is told what is waited for. Only `StoreUnavailableError` is waited out; every other error says that the
    same call will fail again.
    """

    def __init__(
        self,
        settings: MigrationSettings,
        *,
        cancelled: Cancelled,
        on_wait: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings, self._cancelled, self._on_wait = settings, cancelled, on_wait
        self._clock, self._sleep = clock, sleep
        self.n_waits = 0

    def call(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, called again while its store is away; it must do no harm when called twice."""
        began, wait = self._clock(), self._settings.first_wait_s
        while True:
            try:
                return work()
            except StoreUnavailableError as error:
                self._wait_or_raise(error, began, wait)
                wait = min(2 * wait, _LONGEST_WAIT_S)

    def fetch(
        self, store: VectorStore, ids: Sequence[Id], *, dim: int | None = None, with_payload: bool = True
    ) -> Batch:
        """Return the rows with `ids` as `VectorStore.fetch` does."""
        return self.call(lambda: store.fetch(ids, dim=dim, with_payload=with_payload))

    def present(self, store: VectorStore, ids: Sequence[Id]) -> set[Id]:
        """Return which of `ids` the store holds."""
        return set(self.fetch(store, ids, with_payload=False).ids)

    def scan(
        self,
        store: VectorStore,
        *,
        after: str | None,
        batch_size: int,
        dim: int | None,
        with_payload: bool = True,
        changed_since: datetime | None = None,
    ) -> Iterator[Batch]:
        """Yield the batches of `VectorStore.scan`, going on behind the last one when the store was away."""
        cursor, began, wait = after, None, self._settings.first_wait_s
        while True:
            try:
                for batch in store.scan(
                    after=cursor, batch_size=batch_size, dim=dim, with_payload=with_payload, changed_since=changed_since
                ):
                    yield batch
                    cursor, began, wait = batch.cursor, None, self._settings.first_wait_s
            except StoreUnavailableError as error:
                began = self._clock() if began is None else began
                self._wait_or_raise(error, began, wait)
                wait = min(2 * wait, _LONGEST_WAIT_S)
            else:
                return

    def ids(self, store: VectorStore, *, batch_size: int) -> Iterator[tuple[Id, ...]]:
        """Yield the chunks of `VectorStore.ids`, going on behind the last id when the store was away."""
        last: Id | None = None
        began, wait = None, self._settings.first_wait_s
        while True:
            try:
                for chunk in store.ids(after=last, batch_size=batch_size):
                    yield chunk
                    last, began, wait = chunk[-1], None, self._settings.first_wait_s
            except StoreUnavailableError as error:
                began = self._clock() if began is None else began
                self._wait_or_raise(error, began, wait)
                wait = min(2 * wait, _LONGEST_WAIT_S)
            else:
                return

    def pause(self, seconds: float) -> None:
        """Sleep for `seconds`, waking at a cancellation."""
        until = self._clock() + seconds
        while (left := until - self._clock()) > 0:
            if self._cancelled():
                raise CancelledError
            self._sleep(min(left, _BLINK_S))

    def _wait_or_raise(self, error: StoreUnavailableError, began: float, wait: float) -> None:
        left = began + self._settings.wait_for_store_s - self._clock()
        if left <= 0:
            raise error
        self.n_waits += 1
        self._on_wait(f"Waiting: {error.rule}")
        self.pause(min(wait, left))
