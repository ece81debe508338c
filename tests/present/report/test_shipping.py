"""What a report draws of a rollout with more looks than a chart can show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from engine.present.report.shipping import drawn_looks
from engine.rollout.monitor_results import Reading
from engine.rollout.series import LookPoint

if TYPE_CHECKING:
    from engine.rollout.monitor_results import Status


def look(number: int, status: Status) -> LookPoint:
    """Return the look at the end of hour `number`."""
    nothing = dict.fromkeys(
        ("value", "baseline", "change", "low", "high", "value_low", "value_high", "alert_at", "roll_back_at")
    )
    reading = Reading(
        metric="ctr", window="stage", reference="control", status=status, detectable=None, sentence="", **nothing
    )
    at = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=number)
    return LookPoint(at=at, stage_index=0, percent=5.0, readings=(reading,))


@given(st.lists(st.booleans(), max_size=60), st.integers(2, 20))
def test_what_is_drawn_is_bounded_and_keeps_the_alerts(raised: list[bool], most: int) -> None:
    """At most so many, in order, with the last; every alert is drawn where there is room for all of them."""
    looks = [look(number, "critical" if is_raised else "ok") for number, is_raised in enumerate(raised)]
    drawn = drawn_looks(looks, most=most)
    assert len(drawn) == min(most, len(looks))
    assert [one.at for one in drawn] == sorted({one.at for one in drawn})
    assert all(one in looks for one in drawn)
    assert drawn[-1:] == tuple(looks[-1:])
    alarmed = [one for one in looks if one.readings[0].status == "critical"]
    if len(alarmed) < most:
        assert all(one in drawn for one in alarmed)
