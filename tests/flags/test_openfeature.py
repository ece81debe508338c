"""The OpenFeature provider through the SDK's own client: values, reasons, error codes, defaults, events."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("openfeature")

from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagEvaluationDetails, FlagType, Reason
from openfeature.hook import HookContext
from openfeature.telemetry import create_evaluation_event

from engine.flags import Flag, FlagStore, evaluation_event
from engine.flags.openfeature import DimshiftProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openfeature.client import OpenFeatureClient

ANNA = EvaluationContext("anna", {"email": "anna@example.org"})


@pytest.fixture
def client(store: FlagStore) -> Iterator[OpenFeatureClient]:
    """Return the SDK's client on the store's flags."""
    api.set_provider_and_wait(DimshiftProvider(store))
    yield api.get_client()
    api.clear_providers()


def _add(store: FlagStore, *flags: Flag) -> None:
    for flag in flags:
        store.set(flag, expected_version=0, actor="anna")


def test_every_kind_resolves_to_its_type(store: FlagStore, client: OpenFeatureClient, dim_flag: Flag) -> None:
    """Booleans, integers, floats, strings and objects come as what they are, and a whole number also as a float."""
    words = Flag(key="word", kind="string", variants={"a": "ä"}, default_variant="a", safe_variant="a")
    numbers = Flag(key="ratio", kind="float", variants={"a": 0.5, "b": 2}, default_variant="b", safe_variant="a")
    things = Flag(key="thing", kind="object", variants={"a": {"k": [1]}}, default_variant="a", safe_variant="a")
    _add(store, words, numbers, things, dim_flag)
    assert client.get_boolean_value("use_reduced_dims", True, ANNA) is False
    assert client.get_integer_value("dims", 1, ANNA) == 1536
    assert client.get_string_value("word", "", ANNA) == "ä"
    assert client.get_object_value("thing", {}, ANNA) == {"k": [1]}
    for key, expected in (("ratio", 2.0), ("dims", 1536.0)):
        value = client.get_float_value(key, 0.0, ANNA)
        assert (value, type(value)) == (expected, float)
    with ThreadPoolExecutor(1) as apart:  # browser tests leave a running loop in the main thread
        asked = client.get_boolean_value_async("use_reduced_dims", True, ANNA)
        assert apart.submit(asyncio.run, asked).result() is False


def test_reasons_say_why(store: FlagStore, client: OpenFeatureClient, flag: Flag) -> None:
    """Static, split, rule, default, disabled: each its own reason, with the variant where there is one."""
    rules = {"if": [{"ends_with": [{"var": "email"}, "@example.org"]}, "on", None]}
    _add(
        store,
        replace(flag, key="split").with_percent(100),
        replace(flag, key="rule", rules=rules),
        replace(flag, key="disabled", is_enabled=False),
        replace(flag, key="open", default_variant=None),
        flag,
    )
    other = EvaluationContext("bob", {"email": "bob@example.com"})
    for key, context, expected in (
        ("ranker", ANNA, (False, "off", Reason.STATIC)),
        ("split", ANNA, (True, "on", Reason.SPLIT)),
        ("rule", ANNA, (True, "on", Reason.TARGETING_MATCH)),
        ("rule", other, (False, "off", Reason.DEFAULT)),
        ("disabled", ANNA, (True, None, Reason.DISABLED)),
        ("open", ANNA, (True, None, Reason.DEFAULT)),
    ):
        details = client.get_boolean_details(key, True, context)
        assert (details.value, details.variant, details.reason) == expected
        assert details.error_code is None


def test_errors_return_the_caller_s_default(store: FlagStore, client: OpenFeatureClient, flag: Flag) -> None:
    """An unknown flag, another type, a missing or broken user id: the default, a code and a sentence."""
    broken = replace(flag, key="broken", rules={"if": [True, "unknown"]})
    _add(store, replace(flag, key="split").with_percent(50), broken)
    for key, context, code in (
        ("nope", ANNA, ErrorCode.FLAG_NOT_FOUND),
        ("reduced_dim_size", ANNA, ErrorCode.TYPE_MISMATCH),
        ("split", None, ErrorCode.TARGETING_KEY_MISSING),
        ("split", EvaluationContext("\ud800"), ErrorCode.INVALID_CONTEXT),
        ("broken", ANNA, ErrorCode.GENERAL),
    ):
        details = client.get_boolean_details(key, True, context)
        assert (details.value, details.variant, details.reason, details.error_code) == (True, None, Reason.ERROR, code)
        assert details.error_message
    wrong: list[Any] = [
        client.get_integer_details("use_reduced_dims", 5, ANNA),
        client.get_string_details("use_reduced_dims", "x", ANNA),
        client.get_object_details("use_reduced_dims", {}, ANNA),
        client.get_float_details("use_reduced_dims", 0.5, ANNA),
    ]
    assert {details.error_code for details in wrong} == {ErrorCode.TYPE_MISMATCH}
    assert [details.value for details in wrong] == [5, "x", {}, 0.5]


def test_a_kill_reaches_the_provider(store: FlagStore, client: OpenFeatureClient) -> None:
    """Killed, every flag has its safe value and metadata that say so; the integer one is a number, not false."""
    flag = store.flag("reduced_dim_size")
    store.set(flag.with_percent(100, variant="768"), expected_version=1, actor="anna")
    assert client.get_integer_value("reduced_dim_size", 1, ANNA) == 768
    store.kill(actor="carl", typed="kill")
    details = client.get_integer_details("reduced_dim_size", 1, ANNA)
    assert (details.value, details.variant, details.reason) == (3072, "full", Reason.STATIC)
    assert details.flag_metadata == {"flagSetId": store.flag_set, "version": "2", "isKilled": True}


def test_events_say_what_the_sdk_s_own_say(store: FlagStore, client: OpenFeatureClient) -> None:
    """Under today's names of the conventions, the attributes are those that the SDK builds under the older names."""
    renamed = {
        "feature_flag.result.variant": "feature_flag.variant",
        "feature_flag.result.reason": "feature_flag.evaluation.reason",
        "feature_flag.provider.name": "feature_flag.provider_name",
        "feature_flag.error.message": "feature_flag.evaluation.error.message",
    }
    for key in ("use_reduced_dims", "nope"):
        details: FlagEvaluationDetails[Any] = client.get_boolean_details(key, True, ANNA)
        context = HookContext(
            flag_key=key,
            flag_type=FlagType.BOOLEAN,
            default_value=True,
            evaluation_context=ANNA,
            provider_metadata=client.provider.get_metadata(),
        )
        theirs = {str(name): value for name, value in create_evaluation_event(context, details).attributes.items()}
        ours = evaluation_event(store.evaluate(key, "anna"), user_id="anna", flag_set=store.flag_set)
        assert ours.pop("event.name") == "feature_flag.evaluation"
        assert {renamed.get(name, name): value for name, value in ours.items()} == theirs
