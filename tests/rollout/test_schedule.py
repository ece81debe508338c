"""Schedules: what they say, how they are written, and what is refused."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ParameterError
from engine.rollout.schedule import DEFAULT_SCHEDULE, Schedule, Stage

_NAMES = st.text(st.characters(codec="utf-8", exclude_characters=",", exclude_categories=["C", "Z"]), max_size=20)


@st.composite
def schedules(draw):
    """Draw any valid schedule: rising whole hours from 0, rising thousandths of a percent."""
    n = draw(st.integers(1, 8))
    hours = sorted(draw(st.sets(st.integers(1, 24 * 3650), min_size=n - 1, max_size=n - 1)))
    thousandths = sorted(draw(st.sets(st.integers(1, 100_000), min_size=n, max_size=n)))
    most_held = 100_000 - (thousandths[-2] + 1 if n > 1 else 1)
    held = draw(st.integers(0, max(0, most_held)))
    stages = tuple(
        Stage(day=hour / 24, percent=share / 1000, name=draw(_NAMES))
        for hour, share in zip([0, *hours], thousandths, strict=True)
    )
    return Schedule(stages=stages, holdback_percent=held / 1000)


def test_the_default_is_the_schedule_of_the_design():
    """The default ramps over 5, 10, 25, 50, 75, 90 and 100 % on days 0, 3, 7, 14, 21, 28 and 35."""
    assert str(DEFAULT_SCHEDULE) == "0:5, 3:10, 7:25, 14:50, 21:75, 28:90, 35:100"
    assert [DEFAULT_SCHEDULE.length_days(index) for index in range(7)] == [3, 4, 7, 7, 7, 7, 0]
    assert DEFAULT_SCHEDULE.last_day == 35


@given(schedule=schedules())
def test_a_schedule_survives_being_written_and_read(schedule):
    """Text and JSON give back the very schedule, and every weight is a whole number that rises to at most 100,000."""
    assert Schedule.parse(str(schedule), holdback_percent=schedule.holdback_percent) == schedule
    assert Schedule.from_json(json.loads(json.dumps(schedule.as_json()))) == schedule
    weights = [schedule.weight(index) for index in range(len(schedule.stages))]
    assert weights == sorted(set(weights))
    assert 0 < weights[0] <= weights[-1] <= 100_000 - round(1000 * schedule.holdback_percent)


@given(text=st.text(alphabet="0123456789.,:%h -eEnaif", max_size=30))
def test_any_text_is_a_schedule_or_refused_in_one_sentence(text):
    """Parsing never fails with anything but a ParameterError."""
    schedule = None
    with suppress(ParameterError):
        schedule = Schedule.parse(text)
    assert schedule is None or schedule.stages[0].day == 0


def test_a_holdback_takes_the_last_users_off_the_last_stage_only():
    """With 5 % held back, 90 % stays 90 % and 100 % becomes a weight of 95,000."""
    schedule = Schedule.parse("0:5,1:90,2:100", holdback_percent=5)
    assert [schedule.weight(index) for index in range(3)] == [5000, 90_000, 95_000]
    assert schedule.share_percent(2) == 95


def test_days_may_be_hours_and_stages_may_have_names():
    """``12h`` is half a day, a percent sign is allowed, and the label falls back to the percentage."""
    schedule = Schedule.parse("0:5:canary, 12h:10%, 1.5:20")
    assert [stage.day for stage in schedule.stages] == [0, 0.5, 1.5]
    assert [stage.label for stage in schedule.stages] == ["canary", "10 %", "20 %"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "at least one stage; found nothing"),
        ("0:5,3:4", "percentages of the stages must rise; found 4 % after 5 %"),
        ("0:5,3:5", "percentages of the stages must rise; found 5 % twice"),
        ("0:5,3:101", "above 0 and at most 100, in steps of 0.001; found 101 %"),
        ("0:0,3:10", "above 0 and at most 100, in steps of 0.001; found 0 %"),
        ("0:5.00005", "in steps of 0.001"),
        ("0:-5", "above 0 and at most 100"),
        ("0:5,7:10,3:25", "days of the stages must rise; found day 3 after day 7"),
        ("0:5,3:10,3:25", "days of the stages must rise; found day 3 twice"),
        ("0:5,-3:10", "the day of a stage is 0 to 3650 in whole hours; found -3"),
        ("0:5,0.3333:10", "in whole hours"),
        ("0:5,4000:10", "0 to 3650"),
        ("1:5,3:10", "the first stage begins on day 0; found day 1"),
        ("0:nan", "percentage of a stage must be a finite number; found nan"),
        ("nan:5", "day of a stage must be a finite number; found nan"),
        ("0:5,inf:10", "day of a stage must be a finite number; found inf"),
        ("0:five", "a stage is a day and a percentage; found 0:five"),
        ("0:5,", "a stage is a day and a percentage; found nothing"),
    ],
)
def test_a_broken_schedule_is_refused_with_the_rule_and_what_was_found(text, sentence):
    """Each kind of mistake has its own sentence."""
    with pytest.raises(ParameterError, match=sentence.replace(".", r"\.")):
        Schedule.parse(text)


@pytest.mark.parametrize("held", [-1, 100, float("nan"), True, 0.0001])
def test_a_broken_holdback_is_refused(held):
    """A holdback outside 0 to 100 %, not finite or too fine names the holdback."""
    with pytest.raises(ParameterError, match="the holdback"):
        Schedule.parse("0:5,3:100", holdback_percent=held)


def test_a_stage_that_would_add_nobody_is_refused():
    """With 10 % held back, 90 % is the end: a later 100 % stage has nobody to add."""
    with pytest.raises(ParameterError, match="would add nobody; found 90 % with a holdback of 10 %"):
        Schedule.parse("0:5,3:90,7:100", holdback_percent=10)


@pytest.mark.parametrize(
    ("text", "held", "advised"),
    [
        ("0:5,3:90,7:100", 0, "a holdback, of 5 % for instance, keeps a control"),
        ("0:5,3:97,7:100", 0, "a holdback, of 2 % for instance, keeps a control"),
        ("0:99.95,3:100", 0, "; a holdback keeps a control"),
        ("0:100", 0, "a holdback, of 5 % for instance, keeps a control"),
        ("0:5,3:90,7:100", 1, ""),
        ("0:5,3:90", 0, ""),
    ],
)
def test_a_holdback_is_recommended_where_nobody_would_stay_in_control(text, held, advised):
    """Only a schedule that ends with everybody in the treatment is told to keep some out, as many as its stages let."""
    advice = Schedule.parse(text, holdback_percent=held).advice
    assert advised in advice
    assert bool(advice) == bool(advised)


@pytest.mark.parametrize(
    "document", [{}, {"stages": 3}, {"stages": [3]}, {"stages": [{"day": 0}]}, {"stages": [{"day": "0", "percent": 5}]}]
)
def test_json_that_is_no_schedule_is_refused(document):
    """JSON without stages, days or percentages, or with texts for numbers, is a ParameterError."""
    with pytest.raises(ParameterError):
        Schedule.from_json(document)


@pytest.mark.parametrize("name", ["a,b", "two\nlines", " padded", "\ud800", "x" * 81])
def test_a_name_that_cannot_be_written_on_one_line_is_refused(name):
    """Names with commas, control characters, spaces around or half characters are refused."""
    with pytest.raises(ParameterError, match="the name of a stage"):
        Schedule(stages=(Stage(day=0, percent=5, name=name),))
