"""One arm in one window of time, checked when it is made."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ParameterError
from engine.rollout.observations import Observation, check_not_future

GOOD = {
    "start": "2025-03-01T00:00:00+00:00",
    "end": "2025-03-02T00:00:00+00:00",
    "arm": "treatment",
    "percent": 5.0,
    "n_users": 900,
    "n_queries": 1000,
    "n_clicks": 120,
    "n_errors": 1,
    "p99_ms": 120.0,
    "p99_low_ms": 110.0,
    "p99_high_ms": 131.0,
    "source": "edge logs",
}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"start": "2025-03-01T00:00:00"}, "time zone"),
        ({"end": "2025-03-02"}, "time zone"),
        ({"start": "yesterday"}, "ISO moment"),
        ({"start": "0001-01-01T00:00:00+14:00"}, "years 1970 to 2999"),
        ({"end": 12}, "ISO moment"),
        ({"end": "2025-03-01T00:00:00+00:00"}, "end after it starts"),
        ({"end": "2025-03-01T01:00:00+02:00"}, "end after it starts"),
        ({"arm": "canary"}, "control, treatment or baseline"),
        ({"percent": -0.1}, "0 to 100 %"),
        ({"percent": 100.1}, "0 to 100 %"),
        ({"percent": math.nan}, "finite"),
        ({"n_users": -1}, "whole number"),
        ({"n_users": 0}, "at least one user"),
        ({"n_queries": 10.5}, "whole number"),
        ({"n_queries": True}, "whole number"),
        ({"n_queries": 1 << 60}, "whole number"),
        ({"n_clicks": 1001}, "cannot exceed"),
        ({"n_clicks": -1}, "whole number"),
        ({"n_clicks": math.nan}, "whole number"),
        ({"n_errors": 1001}, "cannot exceed"),
        ({"p99_ms": math.nan}, "finite"),
        ({"p99_ms": math.inf}, "finite"),
        ({"p99_ms": 0.0, "p99_low_ms": None, "p99_high_ms": None}, "above 0"),
        ({"p99_low_ms": None}, "both its bounds"),
        ({"p99_ms": 140.0}, "within its own interval"),
        ({"p99_ms": None}, "within its own interval"),
        ({"source": "two\nlines"}, "one printable line"),
        ({"source": "x" * 300}, "one printable line"),
    ],
)
def test_what_breaks_a_rule_is_refused(changed, words):
    """Moments without a zone, NaN, negative or impossible counts and unknown arms are refused in one sentence."""
    with pytest.raises(ParameterError, match=words):
        Observation(**{**GOOD, **changed})


def test_the_future_is_refused():
    """A window that ends after now is refused, one that ends at this moment is not."""
    observation = Observation(**GOOD)
    check_not_future(observation, datetime(2025, 3, 2, tzinfo=UTC))
    with pytest.raises(ParameterError, match="future"):
        check_not_future(observation, datetime(2025, 3, 2, tzinfo=UTC) - timedelta(microseconds=1))


def test_the_key_is_the_same_in_every_time_zone():
    """One window written in two time zones is one observation; another arm or window is another."""
    berlin = {**GOOD, "start": "2025-03-01T01:00:00+01:00", "end": "2025-03-02T01:00:00+01:00"}
    assert Observation(**berlin).key == Observation(**GOOD).key
    assert Observation(**berlin).start == "2025-03-01T01:00:00+01:00"
    others = [{"arm": "control"}, {"end": "2025-03-02T00:00:01+00:00"}]
    assert len({Observation(**{**GOOD, **other}).key for other in [{}, *others]}) == 3


@given(
    st.fixed_dictionaries(
        {
            "n_queries": st.integers(0, 1 << 53),
            "percent": st.floats(0, 100),
            "p99_ms": st.none() | st.floats(1e-3, 1e9),
            "is_simulated": st.booleans(),
        }
    )
)
def test_an_observation_survives_json(values):
    """What `as_json` writes, `from_json` reads back exactly."""
    bare = {name: GOOD[name] for name in ("start", "end", "arm")}
    observation = Observation(**bare, **values, n_users=min(5, values["n_queries"]), n_clicks=None)
    assert Observation.from_json(observation.as_json()) == observation


@pytest.mark.parametrize("document", [{}, {"start": GOOD["start"]}, {**GOOD, "p98_ms": 3}])
def test_json_of_another_form_is_refused(document):
    """Missing and unknown fields are refused by name."""
    with pytest.raises(ParameterError, match="observation"):
        Observation.from_json(document)
