"""Ask the old and the new store together while vectors move; one of them failing or slow never fails a request."""

from __future__ import annotations

import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from engine.errors import EngineError, ParameterError, StoreError
from engine.migration.dual_statistics import DualStatistics, Outcome, Recorder
from engine.migration.fusion import fuse

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    import numpy as np
    import numpy.typing as npt

    from engine.migration.dual_settings import DualSettings, Mode

    Searcher = Callable[[npt.NDArray[np.float32], int], Sequence[Hashable]]
    """Takes a full query vector (D,) and k; returns at most k ids, best first. Truncation is the searcher's own."""

OLD, NEW = 0, 1
SIDES = ("old", "new")


@dataclass(frozen=True, kw_only=True)
class SideAnswer:
    """What one store said: `ids` best first, or None with the reason when it did not answer in time."""

    ids: tuple[Hashable, ...] | None
    latency_ms: float | None
    outcome: Outcome
    why: str | None = None


@dataclass(frozen=True, kw_only=True)
class DualAnswer:
    """The answer to one request, and where it came from.

    `source` is ``old``, ``new`` or ``both``; `degraded` says that the intended store did not answer. A side is None
    when it was not asked, or (in shadow mode) had not answered yet. `overlap` and `rank_shift` compare the two where
    both answered; `rank_shift` is None when they share nothing.
    """

    ids: tuple[Hashable, ...]
    mode: Mode
    source: str
    degraded: bool
    old: SideAnswer | None
    new: SideAnswer | None
    overlap: float | None
    rank_shift: float | None


class DualSearch:
    """Old and new store behind one search, by `DualSettings` that may change between two requests.

    `settings` is asked at every request, so a change applies at once. `serves_new` tells for a user id whether the flag
    `enable_new_index` lets the new store answer: where it does not, the old one does, and `merge` becomes `shadow`.
    Safe to call from many threads; at most `max_in_flight` questions wait at one store, further ones find it busy.
    """

    def __init__(
        self,
        old: Searcher,
        new: Searcher,
        *,
        settings: Callable[[], DualSettings],
        serves_new: Callable[[str], bool] = lambda _user: True,
        max_in_flight: int = 8,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if max_in_flight < 1:
            raise ParameterError("at least one question at a time must be allowed", found=max_in_flight)
        self._searchers = (old, new)
        self._settings = settings
        self._serves_new = serves_new
        self._clock = clock
        # A pool a store: a store that hangs must not keep the other one's questions waiting.
        self._pools = tuple(ThreadPoolExecutor(max_in_flight, thread_name_prefix=f"search-{side}") for side in SIDES)
        self._free = tuple(threading.BoundedSemaphore(max_in_flight) for _ in SIDES)
        self._recorder = Recorder()

    def search(
        self, query: npt.NDArray[np.float32], k: int, *, user_id: str = "", wait_for_both: bool = False
    ) -> DualAnswer:
        """Return the best `k` ids for `query` (D,) as the mode says; a store that fails is stood in for by the other.

        In shadow mode the answer does not wait for the new store unless `wait_for_both`; it is compared when it comes.
        A request takes at most the time-out, or twice that when only the store that was not intended answers.

        Raises
        ------
        ParameterError
            When `k` is below 1.
        StoreError
            When neither store answers.
        """
        if k < 1:
            raise ParameterError("k must be at least 1", found=k)
        settings = self._settings()
        mode = self._mode(settings, user_id)
        deadline = self._clock() + settings.timeout_s
        asked = self._ask_intended(mode, query, k)
        if mode == "shadow" and not wait_for_both:
            self._compare_later(asked, k)
            answers = {OLD: self._answer(OLD, asked[OLD], deadline)}
        else:
            self._wait(asked, deadline)
            answers = {side: self._answer(side, future, deadline) for side, future in asked.items()}
        if all(answer.ids is None for answer in answers.values()):
            answers |= self._ask_the_other(answers, asked, query, k, settings.timeout_s)
        return self._combined(mode, answers, settings, k)

    def statistics(self) -> DualStatistics:
        """Return failures, latencies and agreement of all requests until now."""
        return self._recorder.statistics()

    def close(self) -> None:
        """Stop asking; questions on their way are not waited for."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _mode(self, settings: DualSettings, user_id: str) -> Mode:
        if settings.mode in {"old only", "shadow"} or self._serves_new(user_id):
            return settings.mode
        return "shadow" if settings.mode == "merge" else "old only"

    def _ask_intended(self, mode: Mode, query: npt.NDArray[np.float32], k: int) -> dict[int, Future[SideAnswer]]:
        sides = {"old only": (OLD,), "new only": (NEW,)}.get(mode, (OLD, NEW))
        return {side: self._ask(side, query, k) for side in sides}

    def _ask(self, side: int, query: npt.NDArray[np.float32], k: int) -> Future[SideAnswer]:
        self._recorder.asked(side)
        if not self._free[side].acquire(blocking=False):
            refused: Future[SideAnswer] = Future()
            refused.set_result(self._without(side, "busy", "too many questions wait at it"))
            return refused
        future = self._pools[side].submit(self._timed, side, query, k)
        future.add_done_callback(lambda _done: self._free[side].release())
        return future

    def _timed(self, side: int, query: npt.NDArray[np.float32], k: int) -> SideAnswer:
        started = self._clock()
        try:
            ids = tuple(self._searchers[side](query, k))[:k]
        except Exception as error:  # noqa: BLE001  # whatever a driver raises, the other store can still answer
            # The text of a driver's own error may hold the address and the password of the store.
            return self._without(side, "failed", error.rule if isinstance(error, EngineError) else type(error).__name__)
        latency_ms = 1000 * (self._clock() - started)
        self._recorder.took(side, latency_ms)
        return SideAnswer(ids=ids, latency_ms=latency_ms, outcome="answered")

    def _wait(self, asked: dict[int, Future[SideAnswer]], deadline: float) -> None:
        waiting = set(asked.values())
        while waiting and (left := deadline - self._clock()) > 0:
            _, waiting = wait(waiting, timeout=left, return_when=FIRST_COMPLETED)

    def _answer(self, side: int, future: Future[SideAnswer], deadline: float) -> SideAnswer:
        try:
            return future.result(timeout=max(0.0, deadline - self._clock()))
        except TimeoutError:
            return self._without(side, "timed out", "it did not answer in time")

    def _without(self, side: int, outcome: Outcome, why: str) -> SideAnswer:
        self._recorder.did_not_answer(side, outcome, why)
        return SideAnswer(ids=None, latency_ms=None, outcome=outcome, why=why)

    def _ask_the_other(
        self,
        answers: dict[int, SideAnswer],
        asked: dict[int, Future[SideAnswer]],
        query: npt.NDArray[np.float32],
        k: int,
        timeout_s: float,
    ) -> dict[int, SideAnswer]:
        others = {OLD, NEW} - set(answers)
        deadline = self._clock() + timeout_s
        return {
            side: self._answer(side, asked.get(side) or self._ask(side, query, k), deadline) for side in sorted(others)
        }

    def _compare_later(self, asked: dict[int, Future[SideAnswer]], k: int) -> None:
        both = dict(asked)
        left = threading.Semaphore(len(both) - 1)

        def compare(_done: Future[SideAnswer]) -> None:
            if not left.acquire(blocking=False):  # the last of the two
                self._compare({side: future.result() for side, future in both.items()}, k)

        for future in both.values():
            future.add_done_callback(compare)

    def _combined(self, mode: Mode, answers: dict[int, SideAnswer], settings: DualSettings, k: int) -> DualAnswer:
        rankings = [answers[side].ids if side in answers else None for side in (OLD, NEW)]
        if rankings == [None, None]:
            self._recorder.refused()
            reasons = "; ".join(f"{SIDES[side]}: {answer.why}" for side, answer in sorted(answers.items()))
            raise StoreError("one of the two stores must answer", found=reasons, hint="Look at both stores")
        overlap, shift = self._compare(answers, k) if mode != "shadow" or len(answers) > 1 else (None, None)
        wanted = {"old only": {OLD}, "shadow": {OLD}, "new only": {NEW}}.get(mode, {OLD, NEW})
        there = {side for side in wanted if rankings[side] is not None}
        sources = there or {side for side in (OLD, NEW) if rankings[side] is not None}
        weights = (1 - settings.weight, settings.weight) if sources == {OLD, NEW} else (1.0, 1.0)
        used = [(rankings[side] or ()) if side in sources else () for side in (OLD, NEW)]
        fused = fuse(used, weights=weights, k=settings.rrf_k)
        self._recorder.answered(degraded=there != wanted)
        return DualAnswer(
            ids=tuple(one.id for one in fused[:k]),
            mode=mode,
            source="both" if len(sources) > 1 else SIDES[next(iter(sources))],
            degraded=there != wanted,
            old=answers.get(OLD),
            new=answers.get(NEW),
            overlap=overlap,
            rank_shift=shift,
        )

    def _compare(self, answers: dict[int, SideAnswer], k: int) -> tuple[float | None, float | None]:
        old, new = answers.get(OLD), answers.get(NEW)
        if old is None or new is None or old.ids is None or new.ids is None:
            return None, None
        overlap, shift = agreement(old.ids, new.ids, k)
        self._recorder.compared(
            overlap=overlap,
            rank_shift=float("nan") if shift is None else shift,
            old_ms=old.latency_ms or 0.0,
            new_ms=new.latency_ms or 0.0,
        )
        return overlap, shift


def agreement(old: Sequence[Any], new: Sequence[Any], k: int) -> tuple[float, float | None]:
    """Return the share of the top `k` that two rankings share, and the mean distance in ranks of what they share.

    The share is over `k`, or over the longer ranking where both are shorter; the distance is None without a shared id.
    """
    places = {found: rank for rank, found in enumerate(old[:k])}
    shifts = [abs(places[found] - rank) for rank, found in enumerate(new[:k]) if found in places]
    longest = min(k, max(len(old), len(new)))
    overlap = len(shifts) / longest if longest else 1.0
    return overlap, (sum(shifts) / len(shifts) if shifts else None)
