"""Evaluation events under the names of OpenTelemetry's conventions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.flags import evaluation_event

if TYPE_CHECKING:
    from engine.flags import Flag, FlagStore


def test_an_event_names_flag_variant_reason_and_user(store: FlagStore, flag: Flag) -> None:
    """A split has exactly these attributes, the value left out because the variant names it."""
    store.set(flag.with_percent(100), expected_version=0, actor="anna")
    event = evaluation_event(store.evaluate("ranker", "anna"), user_id="anna", flag_set=store.flag_set)
    assert event == {
        "event.name": "feature_flag.evaluation",
        "feature_flag.key": "ranker",
        "feature_flag.provider.name": "dimshift",
        "feature_flag.result.reason": "split",
        "feature_flag.result.variant": "on",
        "feature_flag.version": "1",
        "feature_flag.context.id": "anna",
        "feature_flag.set.id": store.flag_set,
    }


def test_an_event_of_an_error_names_its_type(store: FlagStore, flag: Flag) -> None:
    """An error has its type and sentence and the value that the caller fell back on; nothing is said of nobody."""
    event = evaluation_event(store.evaluate("nope", "anna", default=False))
    assert event["error.type"] == "flag_not_found"
    assert event["feature_flag.error.message"] == "there is no flag nope"
    assert event["feature_flag.result.value"] is False
    assert not {"feature_flag.context.id", "feature_flag.set.id", "feature_flag.version"} & event.keys()
    store.set(replace(flag, is_enabled=False), expected_version=0, actor="anna")
    assert evaluation_event(store.evaluate("ranker"))["feature_flag.result.reason"] == "disabled"
