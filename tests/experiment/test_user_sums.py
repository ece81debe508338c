"""One pass over the rows gives what a recomputation of every day gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import CancelledError
from engine.experiment import user_sums
from engine.experiment.events import Exposures
from engine.experiment.user_sums import analysed_segments, metrics_of, sum_by_user

FACTS = ("clicked", "converted", "error")


@st.composite
def tables(draw):
    """Draw a few rows of a few users, some of whom see both arms, on days with gaps."""
    n = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    user = rng.integers(0, draw(st.integers(1, 12)), n)
    crossed = rng.random(n) < draw(st.sampled_from([0.0, 0.05]))
    frame = pd.DataFrame({"user": user, "arm": (user % 2) ^ crossed, "day": rng.integers(0, 6, n)})
    for name in FACTS:
        frame[name] = rng.random(n) < 0.4
    frame["segment"] = rng.choice(["a", "b", "c"], n)
    return frame


def naive(rows, metrics=FACTS):
    """Sum over users what one arm's `rows` hold, as a list of columns."""
    by_user = rows.groupby("user")
    queries = by_user.size().to_numpy()
    columns = [len(queries), queries.sum(), (queries**2).sum()]
    for name in metrics:
        events = by_user[name].sum().to_numpy().astype(int)
        columns += [events.sum(), (events**2).sum(), (events * queries).sum()]
    return columns


def readable(frame):
    """Return the rows of users who saw one arm only."""
    return frame[frame.groupby("user")["arm"].transform("nunique") == 1]


@settings(max_examples=15, deadline=None)
@given(frame=tables())
def test_running_sums_equal_a_recomputation_of_every_day(events_of, frame):
    """Cumulative, daily and segment sums of both arms are those of a plain groupby, without users of both arms."""
    events = events_of(frame)
    segments = analysed_segments(events)
    found = sum_by_user(events, segments=segments)
    kept = readable(frame)
    for arm in range(2):
        own = kept[kept["arm"] == arm]
        for day in range(events.n_days):
            assert found.cumulative[day, arm].tolist() == naive(own[own["day"] <= day])
            assert found.daily[day, arm].tolist() == naive(own[own["day"] == day])
        for place, segment in enumerate(segments):
            assert found.segments[place, arm].tolist() == naive(own[own["segment"] == events.segments[segment]])
        assert found.seen_users[arm] == own["user"].nunique()
        assert found.most_queries[arm] == own.groupby("user").size().max() if len(own) else True
    assert int(found.both_arms.sum()) == frame["user"].nunique() - kept["user"].nunique()
    assert found.n_seen == frame["user"].nunique()


@settings(max_examples=8, deadline=None)
@given(frame=tables(), first=st.integers(0, 3), length=st.integers(0, 3))
def test_a_stage_is_summed_as_if_there_were_nothing_else(events_of, frame, first, length):
    """Days before and after a stage change neither its sums nor who counts as a user of both arms."""
    last = int(frame["day"].max())
    first, stop = min(first, last), min(first + length, last)
    found = sum_by_user(events_of(frame), first_day=first, last_day=stop)
    inside = frame[frame["day"].between(first, stop)]
    kept = readable(inside)
    assert [found.total[arm].tolist() for arm in range(2)] == [naive(kept[kept["arm"] == arm]) for arm in range(2)]
    assert int(found.both_arms.sum()) == inside["user"].nunique() - kept["user"].nunique()


def test_more_segments_than_fit_at_once_take_more_passes(events_of, monkeypatch):
    """With room for one segment at a time the sums are the same, and a row without a segment is in none."""
    rng = np.random.default_rng(0)
    user = rng.integers(0, 50, 500)
    frame = pd.DataFrame({"user": user, "arm": user % 2, "day": 0, "clicked": rng.random(500) < 0.3})
    frame["segment"] = rng.choice(["a", "b", "c"], 500, p=[0.2, 0.5, 0.3])
    events = events_of(frame)
    events = replace(events, segment=np.where(events.user == 0, -1, events.segment).astype(np.int16))
    segments = analysed_segments(events)
    assert [events.segments[segment] for segment in segments] == ["b", "c", "a"]
    at_once = sum_by_user(events, segments=segments).segments
    monkeypatch.setattr(user_sums, "_PAIR_BYTES", 1)
    assert np.array_equal(sum_by_user(events, segments=segments).segments, at_once)
    assert at_once[:, :, 1].sum() == np.count_nonzero(events.user != 0)


def test_exposures_count_as_users_and_not_as_queries(events_of):
    """A user who was only exposed counts for the split, and one who was exposed to the other arm is left out."""
    frame = pd.DataFrame({"user": ["a", "b", "c"], "arm": [0, 0, 1], "day": 0, "clicked": True})
    events = events_of(frame)
    exposures = Exposures(user=np.array([1], np.int32), arm=np.array([1], np.uint8), day=np.array([0], np.int16))
    found = sum_by_user(replace(events, exposures=exposures))
    assert found.seen_users.tolist() == [1, 1]
    assert found.both_arms.tolist() == [False, True, False]
    assert found.total[:, 1].tolist() == [1, 1]
    later = replace(exposures, day=np.array([9], np.int16))
    assert sum_by_user(replace(events, exposures=later)).both_arms.tolist() == [False, True, False]


def test_only_columns_that_are_there_become_metrics(events_of):
    """Events without clicks have no CTR; without any fact they have no metric at all."""
    frame = pd.DataFrame({"user": [0, 1], "arm": [0, 1], "day": 0, "error": [True, False], "no_results": False})
    assert metrics_of(events_of(frame)) == ("error_rate", "no_results")
    bare = events_of(frame[["user", "arm", "day"]])
    assert metrics_of(bare) == ()
    assert sum_by_user(bare).total.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_cancelling_stops_between_days(events_of):
    """A cancel is noticed before the next day is summed."""
    frame = pd.DataFrame({"user": [0, 1, 2], "arm": [0, 1, 0], "day": [0, 1, 2], "clicked": True})
    asked = iter([False, True])
    with pytest.raises(CancelledError):
        sum_by_user(events_of(frame), cancelled=lambda: next(asked))
