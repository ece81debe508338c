"""Team-draft interleaving: both ranked lists on one result page, and which of them the clicks prefer.

It is a sensitive first look, since every user compares both lists at once. What it cannot say: how many clicks a list
would get on its own (no CTR, no conversion rate), what it costs in latency or errors, and what it does over a session
or to users who return. A preference is no replacement for the A/B test of the metric that is to be protected.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import ParameterError
from engine.experiment.checks import check_confidence, check_counts
from engine.experiment.proportions import wilson
from engine.experiment.ratios import UserMoments, ratio_of

if TYPE_CHECKING:
    import numpy.typing as npt

NOBODY = -1
"""Fills the places of a page that neither list can fill, in ids and in teams."""

TEAM_A, TEAM_B = 0, 1

_PAGE_ENTRIES = 1 << 22
"""List entries of a chunk of queries: its masks stay at a few MB."""


@dataclass(frozen=True, eq=False, kw_only=True)
class InterleavedPages:
    """Result pages (queries, k): `ids` int64 and the `team` int8 (0 = a, 1 = b) that each place counts for."""

    ids: npt.NDArray[np.int64]
    team: npt.NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class Preference:
    """How often list a was preferred to list b, among the pages that preferred one.

    `share` is that of a without ties, with its interval and the two-sided `p_value` of "neither is preferred". `delta`
    counts a tie for half: (wins_a + ties / 2) / all - 1/2 (Chapelle et al. 2012). All are None where no page preferred
    a list. `n_users` is None where pages were counted as independent.
    """

    wins_a: int
    wins_b: int
    ties: int
    share: float | None
    low: float | None
    high: float | None
    p_value: float | None
    delta: float | None
    n_users: int | None
    confidence: float


def team_draft(a_ids: Any, b_ids: Any, *, k: int, rng: np.random.Generator) -> InterleavedPages:
    """Interleave two ranked lists a query, a_ids and b_ids (queries, length) or (length,) for a single one.

    In each round a coin decides which team picks first; each then puts its best document that is not on the page yet.
    A list that has run out leaves its places to the other. Ids below 0 stand for "no document". Radlinski, Kurup &
    Joachims 2008, "How does clickthrough data reflect retrieval quality?" (CIKM).

    Raises
    ------
    ParameterError
        When `k` is below 1, or the lists are not of equally many queries.
    """
    a, b = (np.atleast_2d(np.asarray(ids, dtype=np.int64)) for ids in (a_ids, b_ids))
    if k < 1:
        raise ParameterError("a result page needs at least one place", found=k)
    if len(a) != len(b) or a.ndim != 2 or b.ndim != 2:
        raise ParameterError("both lists need the same queries", found=f"{a.shape} and {b.shape}")
    ids = np.full((len(a), k), NOBODY, dtype=np.int64)
    team = np.full((len(a), k), NOBODY, dtype=np.int8)
    rows = max(1, _PAGE_ENTRIES // max(1, a.shape[1] + b.shape[1]))
    for start in range(0, len(a), rows):
        part = slice(start, start + rows)
        _draft(a[part], b[part], ids[part], team[part], rng)
    return InterleavedPages(ids=ids, team=team)


def preference(wins_a: int, wins_b: int, ties: int = 0, *, confidence: float = 0.95) -> Preference:
    """Return the preference of independent pages: exact sign test and Wilson interval of the share of wins.

    A page is won by the team with more clicks on it. Where users have several pages use `preference_by_user`.

    Raises
    ------
    ParameterError
        When a count is negative or not finite, or `confidence` is not between 0.5 and 1.
    """
    from scipy.special import bdtr

    check_confidence(confidence)
    a, b, even = _wins(wins_a, wins_b, ties)
    if not a + b:
        return _undecided(even, None, confidence)
    bounds = wilson(a, a + b, confidence=confidence)
    return Preference(
        wins_a=a,
        wins_b=b,
        ties=even,
        share=a / (a + b),
        low=bounds.low,
        high=bounds.high,
        p_value=min(1.0, 2 * float(bdtr(min(a, b), a + b, 0.5))),
        delta=(a - b) / (a + b + even) / 2,
        n_users=None,
        confidence=confidence,
    )


def preference_by_user(
    wins_a: npt.NDArray[Any],
    wins_b: npt.NDArray[Any],
    ties: npt.NDArray[Any] | None = None,
    *,
    confidence: float = 0.95,
) -> Preference:
    """Return the preference from each user's wins and ties (users,), whose pages are not independent.

    The share of wins is a ratio over users with the delta method of `engine.experiment.ratios.ratio_of`; its interval
    is Wilson's at the number of independent wins that would have that standard error, so it also holds near 0 and 1.
    The test of "no preference" takes each user's balance wins_a - wins_b, whose mean is then 0: z = sum / √(sum of
    squares), the paired test of many users.

    Raises
    ------
    ParameterError
        When a count is negative or not finite, the arrays differ in length, or `confidence` is not between 0.5 and 1.
    """
    check_confidence(confidence)
    a, b = check_counts("the wins of a user", wins_a), check_counts("the wins of a user", wins_b)
    even = np.zeros(a.shape) if ties is None else check_counts("the ties of a user", ties)
    if not a.shape == b.shape == even.shape or a.ndim != 1:
        raise ParameterError("every user needs one count of wins of each list", found=f"{a.shape} and {b.shape}")
    n_users = int(np.count_nonzero(a + b + even))
    total = float((a + b).sum())
    if not total:
        return _undecided(int(even.sum()), n_users, confidence)
    share = float(a.sum()) / total
    se = float(ratio_of(UserMoments.of(a, a + b)).se)
    balance = a - b
    squares = float(balance @ balance)
    z = float(balance.sum()) / math.sqrt(squares) if squares else 0.0
    # Without spread between users each of them is one observation.
    worth = share * (1 - share) / se**2 if se > 0 else float(np.count_nonzero(a + b))
    worth = min(total, max(1.0, worth))
    bounds = wilson(share * worth, worth, confidence=confidence)
    return Preference(
        wins_a=int(a.sum()),
        wins_b=int(b.sum()),
        ties=int(even.sum()),
        share=share,
        low=bounds.low,
        high=bounds.high,
        p_value=math.erfc(abs(z) / math.sqrt(2)),
        delta=float(a.sum() - b.sum()) / (total + float(even.sum())) / 2,
        n_users=n_users,
        confidence=confidence,
    )


def _draft(
    a: npt.NDArray[np.int64],
    b: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int64],
    team: npt.NDArray[np.int8],
    rng: np.random.Generator,
) -> None:
    """Fill `ids` and `team` (queries, k) from the lists (queries, length)."""
    lists = (a, b)
    taken = [a < 0, b < 0]
    query = np.arange(len(a))
    first = np.zeros(len(a), dtype=np.int8)
    for place in range(ids.shape[1]):
        is_new_round = place % 2 == 0
        if is_new_round:
            first = rng.integers(0, 2, size=len(a), dtype=np.int8)
        best = [_best_left(used) for used in taken]
        wanted = first if is_new_round else 1 - first
        has = [found >= 0 for found in best]
        picks_b = np.where(wanted == TEAM_B, has[1], ~has[0])
        position = np.where(picks_b, best[1], best[0])
        chosen = np.where(picks_b, _at(b, query, position), _at(a, query, position))
        is_filled = position >= 0
        ids[is_filled, place] = chosen[is_filled]
        team[is_filled, place] = picks_b[is_filled]
        shown = np.where(is_filled, chosen, NOBODY)[:, None]
        taken = [used | (listed == shown) for used, listed in zip(taken, lists, strict=True)]


def _best_left(taken: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the first position not taken of each row, -1 where all are."""
    if not taken.shape[1]:
        return np.full(len(taken), -1, dtype=np.int64)
    first = np.argmin(taken, axis=1)
    found: npt.NDArray[np.int64] = np.where(taken[np.arange(len(taken)), first], -1, first)
    return found


def _at(
    ids: npt.NDArray[np.int64], query: npt.NDArray[np.int64], position: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    if not ids.shape[1]:
        return np.full(len(query), NOBODY, dtype=np.int64)
    return ids[query, np.clip(position, 0, ids.shape[1] - 1)]


def _wins(wins_a: float, wins_b: float, ties: float) -> tuple[int, int, int]:
    counts = [int(check_counts("a count of pages", count)) for count in (wins_a, wins_b, ties)]
    return counts[0], counts[1], counts[2]


def _undecided(ties: int, n_users: int | None, confidence: float) -> Preference:
    return Preference(
        wins_a=0,
        wins_b=0,
        ties=ties,
        share=None,
        low=None,
        high=None,
        p_value=None,
        delta=None if not ties else 0.0,
        n_users=n_users,
        confidence=confidence,
    )
