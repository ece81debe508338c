"""Compare two stores row by row in one streaming merge: what misses, what is too much, what differs."""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.migration.ids import Id, order_key
from engine.migration.stores.payloads import same_payload
from engine.progress import stop_if

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from engine.migration.patience import Patience
    from engine.migration.stores.protocol import Batch, VectorStore
    from engine.migration.transform import HeldRow, Transform
    from engine.progress import Cancelled, Progress

What = Literal["missing", "unexpected", "vector", "payload"]
_IDS = 8192
_FETCHED = 2048


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One row that differs: it is missing in the target, unexpected there, or has another vector or payload.

    `largest` is the largest absolute difference of a component, where the vectors differ.
    """

    id: Id
    what: What
    largest: float | None = None


@dataclass(kw_only=True)
class Tally:
    """What a comparison has counted until now; complete when its iterator has ended."""

    n_source: int = 0
    n_target: int = 0
    n_repeated: int = 0
    n_values: int = 0
    n_payloads: int = 0
    largest_difference: float = 0.0
    n_found: dict[What, int] = field(default_factory=dict)


class Comparison:
    """One pass over the ids of both stores in canonical order, and over the values of a share of the common rows.

    Rows that the transform cannot move, and those whose ids are in `held`, are expected to be absent; the former are
    collected in `immovable`. Memory holds a chunk of ids and one of rows. A difference is looked at twice, so that a
    row which the source changed between two reads is no difference.
    """

    def __init__(
        self,
        source: VectorStore,
        target: VectorStore,
        transform: Transform,
        *,
        patience: Patience,
        held: Collection[Id] = (),
        value_share: float = 1.0,
        with_payload: bool = True,
        seed: int = 0,
    ) -> None:
        self._source, self._target, self._transform = source, target, transform
        self._patience = patience
        self._held = set(held)
        self._value_share, self._with_payload = value_share, with_payload
        self._rng = random.Random(seed)  # noqa: S311  # draws a sample, guards nothing
        self.tally = Tally()
        self.immovable: dict[Id, HeldRow] = {}

    def differences(self, *, n_rows: int, progress: Progress, cancelled: Cancelled) -> Iterator[tuple[Difference, ...]]:
        """Yield the differences chunk by chunk; `n_rows` is what the progress is measured by."""
        chunks = self._patience.ids(self._source, batch_size=_IDS)
        for ours, theirs in self._aligned(chunks, self._patience.ids(self._target, batch_size=_IDS)):
            stop_if(cancelled)
            found = (*self._absent(ours, theirs), *self._differing(ours, theirs))
            for one in found:
                self.tally.n_found[one.what] = self.tally.n_found.get(one.what, 0) + 1
            done = min(1.0, self.tally.n_source / max(n_rows, 1))
            progress(done, f"Comparing: {self.tally.n_source:,} rows")
            if found:
                yield found

    def among(self, ids: list[Id]) -> list[Difference]:
        """Return the differences among the rows with these ids: missing, unexpected, another vector or payload."""
        found: list[Difference] = []
        for piece in _pieces(ids):
            there = self._patience.present(self._target, piece)
            found += self._absent(piece, [one for one in piece if one in there])
            found += self._differing(piece, [one for one in piece if one in there])
        return found

    def _aligned(
        self, ours: Iterable[tuple[Id, ...]], theirs: Iterator[tuple[Id, ...]]
    ) -> Iterator[tuple[list[Id], list[Id]]]:
        """Yield chunks of the source's ids with the target's ids of the same range, without repetitions."""
        waiting: list[Id] = []
        last_ours: list[Id] = []
        last_theirs: list[Id] = []
        for chunk in ours:
            mine = self._without_repeats(chunk, last_ours)
            self.tally.n_source += len(mine)
            if not mine:
                continue
            end, part = order_key(mine[-1]), []
            while True:
                cut = bisect_right(waiting, end, key=order_key)
                part += waiting[:cut]
                waiting = waiting[cut:]
                following = None if waiting else next(theirs, None)
                if following is None:
                    break
                waiting = self._without_repeats(following, last_theirs)
                self.tally.n_target += len(waiting)
            yield mine, part
        if waiting:
            yield [], waiting
        for chunk in theirs:
            rest = self._without_repeats(chunk, last_theirs)
            self.tally.n_target += len(rest)
            yield [], rest

    def _without_repeats(self, chunk: tuple[Id, ...], last: list[Id]) -> list[Id]:
        kept = list(dict.fromkeys(chunk))
        if last and kept and kept[0] == last[0]:
            kept.pop(0)
        self.tally.n_repeated += len(chunk) - len(kept)
        if chunk:
            last[:] = [chunk[-1]]
        return kept

    def _absent(self, ours: list[Id], theirs: list[Id]) -> Iterator[Difference]:
        in_ours, in_theirs = set(ours), set(theirs)
        missing = [one for one in ours if one not in in_theirs and one not in self._held]
        unexpected = [one for one in theirs if one not in in_ours]
        for ids in _pieces(missing):
            # Fetched again from both: the row may have gone from the source, or come to the target, since its id was.
            still = self._patience.fetch(self._source, ids, dim=self._transform.dims)
            there = self._patience.present(self._target, ids)
            moved = self._transform(still)
            self.immovable.update({row.id: row for row in moved.held})
            yield from (Difference(id=one, what="missing") for one in moved.batch.ids if one not in there)
        for ids in _pieces(unexpected):
            here = self._patience.present(self._source, ids)
            still_there = self._patience.fetch(self._target, ids, with_payload=False).ids
            yield from (Difference(id=one, what="unexpected") for one in still_there if one not in here)

    def _differing(self, ours: list[Id], theirs: list[Id]) -> Iterator[Difference]:
        in_theirs = set(theirs)
        common = [one for one in ours if one in in_theirs]
        if self._value_share < 1:
            common = [one for one in common if self._rng.random() < self._value_share]
        for ids in _pieces(common):
            found = self._compared(ids)
            if found:
                yield from self._compared([one.id for one in found], is_again=True)

    def _compared(self, ids: list[Id], *, is_again: bool = False) -> list[Difference]:
        mine = self._patience.fetch(self._source, ids, dim=self._transform.dims, with_payload=self._with_payload)
        theirs = self._patience.fetch(self._target, ids, with_payload=self._with_payload)
        moved = self._transform(mine)
        self.immovable.update({row.id: row for row in moved.held})
        expected = moved.batch
        there = {one: row for row, one in enumerate(theirs.ids)}
        rows = [row for row, one in enumerate(expected.ids) if one in there]
        expected = expected.take(rows)
        got = theirs.take([there[one] for one in expected.ids])
        # A row that can no longer move has an old vector in the target.
        gone = [Difference(id=row.id, what="unexpected") for row in moved.held if row.id in there]
        if not len(expected):
            return gone
        if got.dim != expected.dim:
            return [*gone, *(Difference(id=one, what="vector") for one in expected.ids)]
        apart = np.abs(expected.vectors.astype(np.float64) - got.vectors).max(axis=1, initial=0.0)
        is_off = ~(apart <= self._transform.bound(expected.vectors))  # NaN is off as well
        found = [
            Difference(id=expected.ids[row], what="vector", largest=float(apart[row])) for row in np.flatnonzero(is_off)
        ]
        others = self._other_payloads(expected, got)
        if not is_again:
            self.tally.n_values += len(expected)
            self.tally.n_payloads += len(expected) if self._with_payload else 0
            self.tally.largest_difference = max(self.tally.largest_difference, float(np.nanmax(apart, initial=0.0)))
        return [*gone, *found, *others]

    def _other_payloads(self, expected: Batch, got: Batch) -> list[Difference]:
        if not self._with_payload or expected.payloads is None:
            return []
        theirs = got.payloads or (None,) * len(got)
        return [
            Difference(id=one, what="payload")
            for one, mine, other in zip(expected.ids, expected.payloads, theirs, strict=True)
            if not same_payload(mine, other)
        ]


def _pieces(ids: list[Id]) -> Iterator[list[Id]]:
    for start in range(0, len(ids), _FETCHED):
        yield ids[start : start + _FETCHED]
