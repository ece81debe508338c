"""Rollouts as manifests of Argo Rollouts and Flagger."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ParameterError
from engine.rollout.argo import argo_manifests
from engine.rollout.flagger import flagger_manifests
from engine.rollout.manifests import documents
from engine.rollout.schedule import DEFAULT_SCHEDULE, Schedule
from engine.rollout.thresholds import Limit, Thresholds

OFF = Limit(alert=None, severity="warning", roll_back=None)
EXPORTS = (argo_manifests, flagger_manifests)


def loaded(export, schedule=DEFAULT_SCHEDULE, thresholds=None, **options):
    """Export, parse, and return the documents."""
    return list(yaml.safe_load_all(export(schedule, thresholds or Thresholds(), **{"name": "search-api", **options})))


def walk(value):
    """Yield every mapping within `value`."""
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from walk(part)
    elif isinstance(value, list):
        for part in value:
            yield from walk(part)


def test_argo_steps_follow_the_schedule_in_hours():
    """Each stage sets its weight and pauses for its length in hours; no duration has days, a unit that Argo lacks."""
    rollout, template = loaded(argo_manifests)
    canary = rollout["spec"]["strategy"]["canary"]
    weights = [step["setWeight"] for step in canary["steps"] if "setWeight" in step]
    pauses = [step["pause"]["duration"] for step in canary["steps"] if "pause" in step]
    assert weights == [5, 10, 25, 50, 75, 90, 100]
    assert pauses == ["72h", "96h", "168h", "168h", "168h", "168h"]
    five_days = loaded(argo_manifests, Schedule.parse("0:5, 5:100"))[0]["spec"]["strategy"]["canary"]["steps"]
    assert five_days[1] == {"pause": {"duration": "120h"}}
    durations = [
        part[key]
        for part in walk([rollout, template])
        for key in ("duration", "interval", "initialDelay")
        if key in part
    ]
    assert durations
    assert all(re.fullmatch(r"[1-9]\d*(s|m|h)", duration) for duration in durations)


def test_argo_documents_hold_only_documented_fields():
    """Kinds, names, references and fields are those of the v1alpha1 specification."""
    rollout, template = loaded(argo_manifests, namespace="search")
    assert [(one["apiVersion"], one["kind"]) for one in (rollout, template)] == [
        ("argoproj.io/v1alpha1", "Rollout"),
        ("argoproj.io/v1alpha1", "AnalysisTemplate"),
    ]
    assert {one["metadata"]["namespace"] for one in (rollout, template)} == {"search"}
    assert set(rollout["spec"]) == {"workloadRef", "strategy"}
    canary = rollout["spec"]["strategy"]["canary"]
    assert set(canary) == {"canaryService", "stableService", "analysis", "steps"}
    assert canary["analysis"] == {"templates": [{"templateName": template["metadata"]["name"]}]}
    known = {"name", "interval", "initialDelay", "successCondition", "failureCondition", "failureLimit",
             "inconclusiveLimit", "provider"}  # fmt: skip
    for metric in template["spec"]["metrics"]:
        assert set(metric) <= known
        assert set(metric["provider"]["prometheus"]) == {"address", "query"}


def test_argo_conditions_say_what_the_thresholds_say():
    """Within the alert a ratio succeeds, beyond the rollback it fails, between them it pauses; warnings run dry."""
    spec = loaded(argo_manifests)[1]["spec"]
    metrics = {metric["name"]: metric for metric in spec["metrics"]}
    found = {
        name: (metric["successCondition"].split("&& ")[-1], metric.get("failureCondition", "").split("&& ")[-1])
        for name, metric in metrics.items()
    }
    assert found == {
        "p99-latency": ("result[0] <= 1.5", "result[0] > 2"),
        "error-rate": ("result[0] <= 1.1", "result[0] > 1.1"),
        "ctr": ("result[0] >= 0.9", "result[0] < 0.9"),
        "ctr-warning": ("result[0] >= 0.95", ""),
    }
    assert spec["dryRun"] == [{"metricName": "ctr-warning"}]
    assert metrics["ctr"]["failureLimit"] == 0
    only_alert = Thresholds(p99=Limit(alert=0.5, severity="critical", roll_back=None), ctr=OFF, rollback_breaches=3)
    spec = loaded(argo_manifests, thresholds=only_alert)[1]["spec"]
    assert [metric["name"] for metric in spec["metrics"]] == ["p99-latency", "error-rate"]
    assert (spec["metrics"][0]["failureCondition"], spec["metrics"][1]["failureLimit"]) == ("false", 2)
    assert "dryRun" not in spec


def test_a_holdback_ends_in_a_pause_without_end():
    """Argo would give everybody the canary after its last step, so a holdback is kept by a pause without duration."""
    schedule = Schedule.parse("0:5, 3:100", holdback_percent=5.0)
    steps = loaded(argo_manifests, schedule)[0]["spec"]["strategy"]["canary"]["steps"]
    assert steps[-2:] == [{"setWeight": 95}, {"pause": {}}]


def test_argo_is_not_applied_without_knowing_what_is_left_out():
    """The file says that the number of pods is one unless it is set, and that a new Rollout skips its steps."""
    text = argo_manifests(DEFAULT_SCHEDULE, Thresholds(), name="search-api")
    assert "# Set spec.replicas to that of your Deployment: without it Argo Rollouts runs one pod." in text
    assert "a Rollout that is new goes to 100 % at once" in text


def test_flagger_fields_meet_its_resource_definition():
    """Intervals are whole minutes, weights whole percents, metrics name their templates, a gate holds the stages."""
    canary, *templates = loaded(flagger_manifests, port=8080)
    assert (canary["apiVersion"], canary["kind"]) == ("flagger.app/v1beta1", "Canary")
    spec = canary["spec"]
    assert set(spec) == {"targetRef", "service", "analysis"}
    assert spec["service"] == {"port": 8080}
    analysis = spec["analysis"]
    assert set(analysis) == {"interval", "threshold", "stepWeights", "metrics", "webhooks"}
    assert analysis["stepWeights"] == [5, 10, 25, 50, 75, 90, 100]
    intervals = [part["interval"] for part in walk(canary) if "interval" in part]
    assert all(re.fullmatch(r"[1-9]\d*(m|s)", interval) for interval in intervals)
    ranges = {metric["name"]: metric["thresholdRange"] for metric in analysis["metrics"]}
    assert ranges == {"p99-latency": {"max": 2.0}, "error-rate": {"max": 1.1}, "ctr": {"min": 0.9}}
    names = {template["metadata"]["name"] for template in templates}
    assert {metric["templateRef"]["name"] for metric in analysis["metrics"]} == names
    assert all(template["kind"] == "MetricTemplate" and "query" in template["spec"] for template in templates)
    assert [hook["type"] for hook in analysis["webhooks"]] == ["confirm-traffic-increase"]


@pytest.mark.parametrize("export", EXPORTS)
def test_queries_are_labelled_placeholders_and_never_divide_by_zero_errors(export):
    """Metric names begin with REPLACE, the file says so, and an error rate of zero in the control has a floor."""
    text = export(DEFAULT_SCHEDULE, Thresholds(), name="search-api")
    assert "begin with REPLACE are placeholders" in text
    queries = [part["query"] for part in walk(list(yaml.safe_load_all(text))) if "query" in part]
    assert len(queries) >= 3
    assert all("REPLACE_" in query for query in queries)
    errors = next(query for query in queries if "REPLACE_errors_total" in query)
    assert "clamp_min(" in errors
    assert ">= bool 5" in errors


@pytest.mark.parametrize("export", EXPORTS)
@pytest.mark.parametrize(
    "name",
    ["", "Search", "search_api", "-search", "search-", "a" * 64, "x\nkind: Pod", 'x"', "naïve", "a.b", "x: y", None],
)
def test_names_that_are_no_dns_labels_are_refused(export, name):
    """Nothing but a DNS label becomes a name, so no name can write YAML of its own."""
    with pytest.raises(ParameterError, match="DNS label"):
        export(DEFAULT_SCHEDULE, Thresholds(), name=name)
    with pytest.raises(ParameterError, match="DNS label"):
        export(DEFAULT_SCHEDULE, Thresholds(), name="search", namespace=name)


@pytest.mark.parametrize("export", EXPORTS)
@pytest.mark.parametrize(
    "schedule", [Schedule.parse("0:0.5, 1:100"), Schedule.parse("0:5, 1:100", holdback_percent=2.5)]
)
def test_shares_that_are_no_whole_percents_are_refused(export, schedule):
    """Half a percent cannot be set by either tool, and is refused instead of rounded."""
    with pytest.raises(ParameterError, match="whole percents"):
        export(schedule, Thresholds(), name="search-api")


@pytest.mark.parametrize("port", [0, 65_536, True, "80"])
def test_impossible_ports_are_refused(port):
    """A port is a whole number from 1 to 65,535."""
    with pytest.raises(ParameterError, match="port"):
        flagger_manifests(DEFAULT_SCHEDULE, Thresholds(), name="search-api", port=port)


@pytest.mark.parametrize("export", EXPORTS)
def test_names_of_stages_stay_in_comments(export):
    """A stage called like YAML changes no document."""
    schedule = Schedule.parse("0:5:kind: Pod, 1:100:--- # x")
    assert loaded(export, schedule) == loaded(export, Schedule.parse("0:5, 1:100"))


LINES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
LEAVES = (
    st.integers(-99, 99)
    | st.booleans()
    | LINES
    | st.sampled_from(["on", "1e3", "null", "a: b", "- x", "€ 📦", "{{x}}"])
)
VALUES = st.recursive(
    LEAVES,
    lambda parts: (
        st.lists(parts, max_size=3) | st.dictionaries(st.sampled_from(["a", "b c", "on", "x:y"]), parts, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["kind", "spec", "yes"]), VALUES, min_size=1, max_size=3))
def test_what_is_written_is_what_yaml_reads(content):
    """Any values come back from a YAML parser as they were, strings that look like syntax included."""
    text = documents([content, content], comments=["a comment: with: colons"])
    assert list(yaml.safe_load_all(text)) == [content, content]


def test_text_of_several_lines_is_a_block():
    """A query of several lines is written as a block and read back without a change."""
    content = {"query": "sum(a)\n/\n  sum(b)"}
    text = documents([content], comments=[])
    assert "|-" in text
    assert yaml.safe_load(text) == content
