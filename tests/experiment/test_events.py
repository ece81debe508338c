"""Events are consistent, and users of both arms are found in them."""

import numpy as np
import pyarrow as pa
import pytest

from engine.errors import ParameterError
from engine.experiment.analysis import analyze
from engine.experiment.events import Events, Exposures


def make(user, arm, day=None, **changes):
    """Build events of the users 'u0', 'u1', ..."""
    user = np.array(user, np.int32)
    fields = {
        "experiment_id": "e",
        "arms": ("control", "treatment"),
        "shares": (0.5, 0.5),
        "user_ids": pa.array([f"u{row}" for row in range(int(user.max(initial=-1)) + 1)]),
        "user": user,
        "arm": np.array(arm, np.uint8),
        "day": np.array([0] * len(user) if day is None else day, np.int16),
        "first_day": "2026-02-27",
    }
    return Events(**{**fields, **changes})


def test_days_are_found_by_their_first_rows():
    """Rows of a day lie between two starts, a day without rows has two equal ones, and days are dates."""
    events = make([0, 1, 0, 2], [0, 1, 0, 1], [0, 0, 2, 2])
    assert events.day_starts().tolist() == [0, 2, 2, 4]
    assert events.n_days == 3
    assert events.date_of(2) == "2026-03-01"
    assert make([], []).day_starts().tolist() == [0]


def test_users_of_both_arms_are_found_and_named():
    """A user with rows in both arms, or with a row in one and an exposure in the other, is multi-exposed."""
    exposures = Exposures(user=np.array([2], np.int32), arm=np.array([0], np.uint8), day=np.array([0], np.int16))
    events = make([0, 0, 1, 2], [0, 1, 1, 1], exposures=exposures)
    found = analyze(events)
    assert found.n_multi_exposed == 2
    assert found.gates[1].value == pytest.approx(2 / 3)
    assert "Users of both arms are, for example, “u0” and “u2”." in found.warnings
    assert "both arms" not in " ".join(analyze(make([0, 1], [0, 1])).warnings)


@pytest.mark.parametrize(
    "changes",
    [
        {"arms": ("control",)},
        {"arms": ("control", "control")},
        {"arms": ("a", "b", "c")},
        {"shares": (0.5, 0.4)},
        {"shares": (1.5, -0.5)},
        {"clicked": np.zeros(3, np.bool_)},
    ],
)
def test_events_that_do_not_fit_together_are_refused(changes):
    """Arms that are not two, shares that do not sum to 1, and columns of another length are refused."""
    with pytest.raises(ParameterError):
        make([0, 1], [0, 1], **changes)
