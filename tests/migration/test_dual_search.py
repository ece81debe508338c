"""Dual search: who answers in each mode, and what a store that fails, hangs or drowns does to a request."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.errors import ParameterError, StoreError
from engine.migration.dual_search import DualSearch, agreement
from engine.migration.dual_settings import MODES, DualSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUERY = np.ones(4, dtype=np.float32)
OLD_IDS, NEW_IDS = [101, 102, 103, 104, 105], [103, 106, 101, 107, 108]


def _old(_query: Any, k: int) -> list[int]:
    return OLD_IDS[:k]


def _new(_query: Any, k: int) -> list[int]:
    return NEW_IDS[:k]


def _broken(_query: Any, _k: int) -> list[int]:
    raise ConnectionError("postgresql://me:secret@db is gone")


@pytest.fixture
def hanging() -> Iterator[Callable[[Any, int], list[int]]]:
    """Return a searcher that answers only after the test."""
    released = threading.Event()

    def wait(_query: Any, k: int) -> list[int]:
        released.wait(30)
        return NEW_IDS[:k]

    yield wait
    released.set()


def _dual(old: Any, new: Any, mode: Any, *, weight: float = 0.5, timeout_s: float = 5.0, **options: Any) -> DualSearch:
    settings = DualSettings(mode=mode, weight=weight, timeout_s=timeout_s)
    return DualSearch(old, new, settings=lambda: settings, **options)


@pytest.mark.parametrize(
    ("mode", "ids", "source"),
    [
        ("old only", OLD_IDS, "old"),
        ("shadow", OLD_IDS, "old"),
        ("merge", [101, 103, 102, 106, 104], "both"),
        ("new only", NEW_IDS, "new"),
    ],
)
def test_each_mode_answers_from_its_store(mode: Any, ids: list[int], source: str) -> None:
    """Old only and shadow answer from the old store, new only from the new one, merge from both by rank fusion."""
    with _dual(_old, _new, mode) as dual:
        answer = dual.search(QUERY, 5)
        assert (list(answer.ids), answer.source, answer.degraded) == (ids, source, False)


@pytest.mark.parametrize(("weight", "ids"), [(0.0, OLD_IDS), (1.0, NEW_IDS)])
def test_the_ends_of_the_weight_are_one_store_alone(weight: float, ids: list[int]) -> None:
    """A merge of weight 0 is the old ranking, of weight 1 the new one."""
    with _dual(_old, _new, "merge", weight=weight) as dual:
        assert list(dual.search(QUERY, 5).ids) == ids


@pytest.mark.parametrize("mode", MODES)
def test_a_store_that_fails_never_fails_a_request(mode: Any) -> None:
    """Whichever store breaks, the other answers; the request is counted as degraded where that one was intended."""
    for old, new, other in ((_broken, _new, NEW_IDS), (_old, _broken, OLD_IDS)):
        with _dual(old, new, mode) as dual:
            answer = dual.search(QUERY, 5, wait_for_both=True)
            intended = {"old only": old, "shadow": old, "new only": new}.get(mode, _broken)
            assert list(answer.ids) == other
            assert answer.degraded == (intended is _broken)
            assert dual.statistics().n_degraded == int(answer.degraded)


@pytest.mark.parametrize("mode", ["merge", "new only"])
def test_a_store_that_hangs_costs_the_time_out_and_no_more(mode: Any, hanging: Any) -> None:
    """A store that never answers is given up after the time-out, counted, and the old one answers."""
    with _dual(_old, hanging, mode, timeout_s=0.05) as dual:
        answer = dual.search(QUERY, 5)
        assert list(answer.ids) == OLD_IDS
        assert answer.degraded
        assert answer.new is not None
        assert answer.new.outcome == "timed out"
        assert dual.statistics().new.n_timed_out == 1


def test_a_shadow_that_hangs_is_not_waited_for(hanging: Any) -> None:
    """In shadow mode the answer is the old store's whatever the new one does, and it is not degraded."""
    with _dual(_old, hanging, "shadow") as dual:
        answer = dual.search(QUERY, 5)
        assert (list(answer.ids), answer.new, answer.degraded) == (OLD_IDS, None, False)


def test_a_store_that_drowns_is_found_busy(hanging: Any) -> None:
    """Questions that a hanging store holds are bounded: the next one finds it busy at once."""
    with _dual(_old, hanging, "merge", timeout_s=0.02, max_in_flight=2) as dual:
        for _ in range(4):
            assert list(dual.search(QUERY, 5).ids) == OLD_IDS
        counted = dual.statistics().new
        assert (counted.n_asked, counted.n_timed_out, counted.n_busy) == (4, 2, 2)


def test_both_failing_is_one_sentence_without_secrets() -> None:
    """When neither store answers the error names both reasons and nothing of what the drivers said."""
    with _dual(_broken, _broken, "merge") as dual:
        with pytest.raises(StoreError, match="one of the two stores must answer; found old: ConnectionError; new: Con"):
            dual.search(QUERY, 5)
        counted = dual.statistics()
        assert (counted.n_requests, counted.n_refused) == (1, 1)
        assert "secret" not in str(counted)


def test_a_change_of_settings_applies_to_the_next_request() -> None:
    """Settings are asked at every request."""
    current = [DualSettings(mode="old only"), DualSettings(mode="new only")]
    with DualSearch(_old, _new, settings=lambda: current[0]) as dual:
        assert list(dual.search(QUERY, 5).ids) == OLD_IDS
        current.pop(0)
        assert list(dual.search(QUERY, 5).ids) == NEW_IDS


@pytest.mark.parametrize("mode", MODES)
def test_the_flag_keeps_the_old_store_whatever_the_mode(mode: Any) -> None:
    """A user for whom the flag says no is answered by the old store in every mode."""
    with _dual(_old, _new, mode, serves_new=lambda user: user == "in") as dual:
        assert list(dual.search(QUERY, 5, user_id="out").ids) == OLD_IDS
        expected = {"merge": 106, "new only": 106}.get(mode)
        assert (106 in dual.search(QUERY, 5, user_id="in").ids) == (expected is not None)


def test_shadow_compares_without_being_waited_for() -> None:
    """A shadow answer is compared when it comes: overlap and rank shift are those of the two rankings."""
    with _dual(_old, _new, "shadow") as dual:
        for _ in range(3):
            dual.search(QUERY, 5)
        deadline = time.monotonic() + 10
        while dual.statistics().n_compared < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        seen = dual.statistics()
    assert seen.n_compared == 3
    assert seen.overlap is not None
    assert seen.rank_shift is not None
    assert (seen.overlap.mean, seen.rank_shift.mean) == (pytest.approx(0.4), 2.0)
    assert (seen.old.n_asked, seen.new.n_asked, seen.n_requests) == (3, 3, 3)


def test_agreement_counts_shared_results_and_their_distance() -> None:
    """Two of five shared, each two ranks apart; short rankings are compared over what they have."""
    assert agreement(OLD_IDS, NEW_IDS, 5) == (0.4, 2.0)
    assert agreement(OLD_IDS, OLD_IDS, 5) == (1.0, 0.0)
    assert agreement([1, 2], [2, 1], 10) == (1.0, 1.0)
    assert agreement([1], [2], 10) == (0.0, None)
    assert agreement([], [], 10) == (1.0, None)


def test_many_threads_are_all_counted() -> None:
    """Every request of eight threads is answered and counted once."""
    with _dual(_old, _new, "merge", max_in_flight=64) as dual:
        threads = [threading.Thread(target=lambda: [dual.search(QUERY, 5) for _ in range(25)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counted = dual.statistics()
    assert (counted.n_requests, counted.n_compared, counted.old.n_asked) == (200, 200, 200)
    assert counted.old.n_busy == counted.new.n_busy == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "both"},
        {"weight": -0.1},
        {"weight": 1.1},
        {"weight": float("nan")},
        {"rrf_k": -1.0},
        {"timeout_s": 0.0},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    """A mode that is not there, and numbers outside their ranges, are one sentence each."""
    with pytest.raises(ParameterError):
        DualSettings(**wrong)


def test_a_k_below_one_is_refused() -> None:
    """Asking for no result is an error, not an empty answer."""
    with _dual(_old, _new, "merge") as dual, pytest.raises(ParameterError, match="k must be at least 1"):
        dual.search(QUERY, 0)
