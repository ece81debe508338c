"""Every threshold is checked where it is set."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.errors import ParameterError
from engine.experiment.settings import METRICS, AnalysisSettings, Margin, Stage, is_loss_up, metric_name, parse_stages


def test_defaults_are_those_that_users_start_from():
    """At most 5 % of CTR and 1 % of conversion may be lost; alpha 0.05, power 0.8, N* 5000, split threshold 0.001."""
    defaults = AnalysisSettings()
    assert (defaults.ctr.relative, defaults.conversion.relative) == (0.05, 0.01)
    assert (defaults.alpha, defaults.power, defaults.sequential_n, defaults.srm_threshold) == (0.05, 0.8, 5000, 0.001)
    assert [defaults.margin(metric).relative for metric in METRICS] == [0.05, 0.01, 0.10, 0.10]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ctr": Margin(relative=0)}, "the margin of the CTR must be above 0 and below 100 %; found 0"),
        ({"conversion": Margin(relative=-0.1)}, "margin of the conversion"),
        ({"error_rate": Margin(relative=float("nan"))}, "margin of the error rate"),
        ({"error_rate": Margin(relative=0.1, absolute=-1e-9)}, "absolute margin of the error rate"),
        ({"latency": Margin(relative=0)}, "the margin of the latency must be above 0 and finite; found 0"),
        ({"alpha": 0}, "alpha must be above 0 and below 0.5"),
        ({"alpha": 0.5}, "alpha must be above 0 and below 0.5"),
        ({"confidence": 1.0}, "confidence"),
        ({"power": 0}, "power"),
        ({"sequential_n": 0}, "whole number of users"),
        ({"sequential_n": 2.5}, "whole number of users"),
        ({"srm_threshold": 0.5}, "threshold of the split check"),
        ({"max_multi_exposure": 1}, "users of both arms"),
        ({"expected_speedup": 0}, "speed-up"),
        ({"users_per_day": 0}, "users a day"),
        ({"stages": (Stage(first_day=1, treatment_share=0.1),)}, "start on day 0 and ascend; found 1"),
        ({"stages": (Stage(first_day=0, treatment_share=1.1),)}, "from 0 to 1; found 1.1"),
        ({"judged": ()}, "one or more of ctr, conversion, error_rate, no_results, p99"),
        ({"judged": ("ctr", "p50")}, "one or more of"),
    ],
)
def test_a_setting_out_of_range_is_refused_with_rule_and_value(wrong, message):
    """Each wrong setting gives one sentence that names it."""
    with pytest.raises(ParameterError, match=message):
        replace(AnalysisSettings(), **wrong)


def test_a_latency_margin_may_exceed_100_percent():
    """Latency may be allowed to more than double, which no share of clicks can."""
    assert AnalysisSettings(latency=Margin(relative=1.5)).latency.relative == 1.5


def test_metrics_know_their_name_and_direction():
    """Errors, empty answers and latency are worse when higher, clicks and conversions when lower."""
    assert [is_loss_up(metric) for metric in (*METRICS, "p99")] == [False, False, True, True, True]
    assert [metric_name(metric) for metric in ("ctr", "no_results", "p99")] == ["CTR", "no-result rate", "p99 latency"]


def test_a_ramp_is_read_however_it_is_spaced():
    """Days and percentages are read with and without blanks and signs of percent; an empty text has no stages."""
    expected = (Stage(first_day=0, treatment_share=0.05), Stage(first_day=3, treatment_share=0.125))
    assert parse_stages("0:5,3:12.5") == parse_stages(" 0 : 5 % , 3: 12.5%,") == expected
    assert parse_stages("") == parse_stages(" , ") == ()


@pytest.mark.parametrize("text", ["0-5", "0:", ":5", "0:5; 3:10", "0:nan", "0:1e2", "-1:5", "0:5:6"])
def test_what_is_no_ramp_is_refused_with_the_part(text):
    """A part that is no day with a percentage is refused and named."""
    with pytest.raises(ParameterError, match="a ramp is written as day:percent, with commas between; found"):
        parse_stages(text)
