"""Team-draft pages against the draft done by hand, and preferences against exact tests and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from engine.errors import ParameterError
from engine.experiment.interleaving import NOBODY, preference, preference_by_user, team_draft

ranked = st.lists(st.integers(0, 12), max_size=10, unique=True)


class Coins:
    """A source of coin tosses that were decided beforehand, one a round."""

    def __init__(self, *tosses):
        self._tosses = list(tosses)

    def integers(self, *_, size, dtype):
        """Return the next toss for every query."""
        return np.full(size, self._tosses.pop(0), dtype=dtype)


def draft_by_hand(a, b, k, tosses):
    """Draft one page with plain lists, one round after the other."""
    page, teams, lists = [], [], (list(a), list(b))
    for toss in tosses:
        for team in (toss, 1 - toss):
            left = [[doc for doc in listed if doc not in page] for listed in lists]
            chosen = team if left[team] else 1 - team
            if len(page) < k and left[chosen]:
                page.append(left[chosen][0])
                teams.append(chosen)
    return page, teams


@settings(max_examples=100, deadline=None)
@given(a=ranked, b=ranked, k=st.integers(1, 12), tosses=st.lists(st.integers(0, 1), min_size=6, max_size=6))
def test_pages_are_those_drafted_by_hand(a, b, k, tosses):
    """For any lists and coins the page and its teams are those of the plain draft, padded where both lists end."""
    found = team_draft(np.array(a, np.int64), np.array(b, np.int64), k=k, rng=Coins(*tosses))
    page, teams = draft_by_hand(a, b, k, tosses)
    padding = [NOBODY] * (k - len(page))
    assert found.ids[0].tolist() == page + padding
    assert found.team[0].tolist() == teams + padding


def test_many_queries_are_drafted_at_once():
    """Every page of 500 holds ten different documents of its own two lists, five of each team, and the seed decides."""
    rng = np.random.default_rng(1)
    a, b = (np.argsort(rng.random((500, 200)), axis=1)[:, :50] for _ in range(2))
    found = team_draft(a, b, k=10, rng=np.random.default_rng(7))
    assert all(len(set(page)) == 10 for page in found.ids)
    assert (found.team.sum(axis=1) == 5).all()
    for page, team, first, second in zip(found.ids, found.team, a, b, strict=True):
        assert set(page[team == 0]) <= set(first)
        assert set(page[team == 1]) <= set(second)
    again = team_draft(a, b, k=10, rng=np.random.default_rng(7))
    np.testing.assert_array_equal(found.ids, again.ids)


def test_either_team_starts_half_of_the_pages():
    """Over 4,000 pages the first place belongs to each team about as often."""
    a, b = np.tile(np.arange(5), (4_000, 1)), np.tile(np.arange(5, 10), (4_000, 1))
    first = team_draft(a, b, k=2, rng=np.random.default_rng(2)).team[:, 0]
    assert first.mean() == pytest.approx(0.5, abs=0.03)


def test_negative_ids_are_no_documents():
    """Padding of a short list is never shown; the other list fills the page."""
    found = team_draft([1, -1, -1], [2, 3, 4], k=4, rng=np.random.default_rng(3))
    assert sorted(found.ids[0]) == [1, 2, 3, 4]
    assert (found.team[0] == 1).sum() == 3


def test_same_lists_prefer_neither():
    """Two identical lists share a page alike, so random clicks prefer neither: the interval holds one half."""
    rng = np.random.default_rng(4)
    lists = np.tile(np.arange(10), (3_000, 1))
    pages = team_draft(lists, lists, k=10, rng=rng)
    clicks = rng.random(pages.ids.shape) < 0.3 / (1 + np.arange(10))
    balance = (clicks & (pages.team == 0)).sum(axis=1) - (clicks & (pages.team == 1)).sum(axis=1)
    found = preference((balance > 0).sum(), (balance < 0).sum(), (balance == 0).sum())
    assert found.low < 0.5 < found.high
    assert found.p_value > 0.01


def test_sign_test_and_shares():
    """60 wins against 40 and 100 ties: share .6, exact sign test, Wilson bounds, and ties counted for half in delta."""
    found = preference(60, 40, 100)
    assert found.share == 0.6
    assert found.p_value == pytest.approx(binomtest(60, 100).pvalue)
    assert (found.low, found.high) == pytest.approx((0.50200, 0.69060), abs=1e-5)
    assert found.delta == pytest.approx(0.05)


def test_nobody_preferred_anything():
    """Ties alone, or no page at all, have no share and no test."""
    ties, nothing = preference(0, 0, 12), preference(0, 0)
    assert (ties.share, ties.low, ties.p_value, ties.delta) == (None, None, None, 0)
    assert nothing.delta is None
    assert preference_by_user(np.zeros(3), np.zeros(3), np.ones(3)).share is None


def test_only_wins_have_an_interval_below_one():
    """Ten wins of ten are not certainty: the lower bound stays below 1, by page and by user."""
    assert preference(10, 0).low < 0.8
    by_user = preference_by_user(np.full(10, 3), np.zeros(10))
    assert by_user.low == pytest.approx(preference(10, 0).low)
    assert by_user.high == 1


def test_one_page_a_user_is_the_plain_preference():
    """With one decided page a user, the interval by user is the one by page."""
    a = np.repeat([1, 0], [60, 40])
    by_user, plain = preference_by_user(a, 1 - a), preference(60, 40)
    assert (by_user.low, by_user.high) == pytest.approx((plain.low, plain.high), abs=2e-3)
    assert by_user.n_users == 100


def test_users_with_a_taste_of_their_own_keep_the_level():
    """Where users always prefer one list, the test by user rejects 5 % of balanced panels, the one by page far more."""
    rng = np.random.default_rng(5)
    by_user, by_page, covered = [], [], []
    for _ in range(1_000):
        pages, likes_a = rng.integers(1, 12, size=100), rng.random(100) < 0.5
        a, b = np.where(likes_a, pages, 0), np.where(likes_a, 0, pages)
        found = preference_by_user(a, b)
        by_user.append(found.p_value < 0.05)
        covered.append(found.low <= 0.5 <= found.high)
        by_page.append(abs(a.sum() - b.sum()) / np.sqrt(pages.sum()) > 1.96)
    assert np.mean(by_user) == pytest.approx(0.05, abs=0.02)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)
    assert np.mean(by_page) > 0.3


def test_exchanged_lists_mirror_the_preference():
    """Exchanging a and b mirrors share and bounds around one half and keeps p."""
    a, b = np.array([3, 0, 1, 5, 2]), np.array([0, 1, 1, 5, 0])
    there, back = preference_by_user(a, b), preference_by_user(b, a)
    assert (there.share, there.low, there.high) == pytest.approx((1 - back.share, 1 - back.high, 1 - back.low))
    assert there.p_value == back.p_value


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: team_draft([1], [2], k=0, rng=np.random.default_rng(0)), "at least one place"),
        (lambda: team_draft([[1], [2]], [[1]], k=1, rng=np.random.default_rng(0)), "same queries"),
        (lambda: preference(-1, 2), "0 or more"),
        (lambda: preference(1, 2, float("nan")), "finite"),
        (lambda: preference(1, 2, confidence=1.5), "confidence"),
        (lambda: preference_by_user(np.ones(2), np.ones(3)), "one count of wins"),
        (lambda: preference_by_user(-np.ones(2), np.ones(2)), "0 or more"),
    ],
)
def test_refuses_what_is_no_comparison(call, message):
    """Empty pages, lists of different queries and impossible counts are refused."""
    with pytest.raises(ParameterError, match=message):
        call()
