"""What a monitor alerts on, and how sure it must be."""

from __future__ import annotations

import json
import math

import pytest

from engine.errors import ParameterError
from engine.rollout.thresholds import METRICS, N_WINDOWS, Limit, Thresholds
from engine.workspace.codec import decode, encode


def test_the_defaults_are_those_that_users_start_from():
    """p99 +50 % and errors +10 % are critical, CTR -5 % a warning; +100 %, +10 % and -10 % roll back."""
    thresholds = Thresholds()
    limits = {metric: thresholds.limit(metric) for metric in METRICS}
    found = {metric: (limit.alert, limit.severity, limit.roll_back) for metric, limit in limits.items()}
    assert found == {"p99": (0.5, "critical", 1.0), "error_rate": (0.1, "critical", 0.1), "ctr": (0.05, "warning", 0.1)}


def test_levels_share_the_promise_between_all_comparisons():
    """Levels of all looks, metrics and windows add up to what the confidence leaves."""
    thresholds = Thresholds(confidence=0.9, rollback_confidence=0.98, looks=10)
    n = 10 * len(METRICS) * N_WINDOWS
    assert thresholds.alert_alpha * n == pytest.approx(0.1)
    assert thresholds.rollback_alpha * n == pytest.approx(0.02)


def test_thresholds_survive_json_and_a_stored_run():
    """JSON text and the codec of runs give the same thresholds back; what JSON leaves out stays at its default."""
    thresholds = Thresholds(
        ctr=Limit(alert=None, severity="warning", roll_back=0.2), looks=7, pauses_when_missing=False
    )
    assert Thresholds.from_json(json.loads(json.dumps(thresholds.as_json()))) == thresholds
    assert decode(*encode(thresholds), Thresholds, [Limit]) == thresholds
    partial = Thresholds.from_json({"ctr": {"alert": 0.02}, "breaches": 3})
    assert partial == Thresholds(ctr=Limit(alert=0.02, severity="warning", roll_back=0.1), breaches=3)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"ctr": {"alert": 0.2}}, "cannot lie below the alert"),
        ({"ctr": {"roll_back": 1.0}}, "less than 100 %"),
        ({"p99": {"alert": 0}}, "above 0"),
        ({"p99": {"alert": math.nan}}, "above 0"),
        ({"p99": {"severity": "mild"}}, "warning or critical"),
        ({"p99": {"is_gate": 1}}, "true or false"),
        ({"p99": 0.5}, "JSON object"),
        ({"p98": {}}, "known"),
        ({"confidence": 1.0}, "below 1"),
        ({"confidence": True}, "above 0.5"),
        ({"looks": 0}, "whole number"),
        ({"looks": 3.5}, "whole number"),
        ({"breaches": 0}, "whole number"),
        ({"min_queries": -1}, "whole number"),
        ({"cool_down_hours": -1}, "at least 0"),
        ({"missing_after_hours": 0}, "at least 0.01"),
        ({"user_correlation": 1.5}, "at most 1"),
        ({"pauses_when_missing": "no"}, "true or false"),
    ],
)
def test_what_makes_no_sense_is_refused(document, words):
    """Thresholds out of range, of another type or unknown by name are refused in one sentence."""
    with pytest.raises(ParameterError, match=words):
        Thresholds.from_json(document)
