"""Who gets what, and what an evaluation says about why."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from engine.experiment.assignment import assign, assign_variants
from engine.flags import Evaluation, Flag, FlagSnapshot, KillState, Share, Split
from engine.flags.flagd_format import FileParts

KILLED = KillState(at=datetime(2026, 11, 22, tzinfo=UTC), actor="anna", reason="", version=1)


def _snapshot(*flags: Flag, killed: KillState | None = None, parts: FileParts | None = None) -> FlagSnapshot:
    return FlagSnapshot(flags, parts or FileParts(), killed=killed, audit_seq=1)


def _got(flag: Flag, user_id: str | None = None, **given: Any) -> Evaluation:
    return _snapshot(flag).evaluate(flag.key, user_id, **given)


@pytest.mark.parametrize("percent", [0, 0.001, 5, 37.5, 99.999, 100])
def test_a_percentage_is_the_experiment_s_assignment(flag: Flag, user_ids: list[str], percent: float) -> None:
    """One user at a time, in exactly the users are in that `assign` puts in, and the reason is the split."""
    snapshot = _snapshot(flag.with_percent(percent))
    found = [snapshot.evaluate("ranker", user_id) for user_id in user_ids[:3000]]
    assert [one.value for one in found] == assign("ranker", user_ids[:3000], percent).tolist()
    assert {one.reason for one in found} == {"SPLIT"}
    assert all(one.variant == ("on" if one.value else "off") for one in found)


@pytest.mark.parametrize("form", ["joined", "pair"])
def test_several_weights_are_the_experiment_s_variants(dim_flag: Flag, user_ids: list[str], form: Any) -> None:
    """Three weights, one of them nothing, give what `assign_variants` gives; flagd's pair leaves an empty id out."""
    shares = (Share(variant="quarter", weight=7), Share(variant="full", weight=0), Share(variant="half", weight=4))
    snapshot = _snapshot(replace(dim_flag, split=Split(shares=shares, form=form)))
    found = [snapshot.evaluate("dims", user_id).variant for user_id in user_ids[:3000]]
    names = np.array(["quarter", "full", "half", "half"])  # -1 is the default
    assert found == names[assign_variants("dims", user_ids[:3000], [7, 0, 4], form=form)].tolist()
    assert snapshot.evaluate("dims", "").reason == ("DEFAULT" if form == "pair" else "SPLIT")


def test_users_once_in_stay_in(flag: Flag, user_ids: list[str]) -> None:
    """As the percentage grows nobody leaves, and the last in are the first out."""
    steps = [_snapshot(flag.with_percent(percent)) for percent in (0, 5, 10, 25, 50, 75, 90, 100)]
    inside = [{one for one in user_ids[:2000] if step.evaluate("ranker", one).value} for step in steps]
    assert all(earlier <= later for earlier, later in pairwise(inside))
    assert (len(inside[0]), len(inside[-1])) == (0, 2000)


def test_another_hash_key_moves_users(flag: Flag, user_ids: list[str]) -> None:
    """Users are bucketed by the hash key where there is one, and by the flag's own key otherwise."""
    snapshot = _snapshot(flag.with_percent(50, hash_key="other"))
    found = [snapshot.evaluate("ranker", user_id).value for user_id in user_ids[:500]]
    assert found == assign("other", user_ids[:500], 50).tolist()
    assert found != assign("ranker", user_ids[:500], 50).tolist()


def test_flags_without_rules_are_static(flag: Flag) -> None:
    """Without a percentage everybody gets the default, also without a user."""
    assert _got(flag) == Evaluation(flag_key="ranker", value=False, variant="off", reason="STATIC", version=0)
    assert _got(flag, "anna") == _got(flag)


def test_callers_get_their_own_default_where_a_flag_has_none(flag: Flag) -> None:
    """A disabled flag, one without a default, and an unknown one hand the caller's value back and say why."""
    disabled = _got(replace(flag, is_enabled=False, version=4), "anna", default=True)
    assert (disabled.value, disabled.variant, disabled.reason, disabled.version) == (True, None, "DISABLED", 4)
    open_ended = _got(replace(flag, default_variant=None), default=True)
    assert (open_ended.value, open_ended.variant, open_ended.reason) == (True, None, "DEFAULT")
    unknown = _snapshot(flag).evaluate("rnker", "anna", default=7)
    assert (unknown.value, unknown.reason, unknown.error_code) == (7, "ERROR", "FLAG_NOT_FOUND")
    assert _got(replace(flag, is_enabled=False)).value is None


@pytest.mark.parametrize(
    ("user_id", "code"),
    [(None, "TARGETING_KEY_MISSING"), ("\ud800", "INVALID_CONTEXT"), (7, "INVALID_CONTEXT"), (b"x", "INVALID_CONTEXT")],
)
def test_a_percentage_needs_a_user_that_can_be_hashed(flag: Flag, user_id: Any, code: str) -> None:
    """Without an id, or with one that is no text, the answer is an error with the caller's default."""
    found = _got(flag.with_percent(50), user_id, default=True)
    assert (found.value, found.variant, found.reason, found.error_code) == (True, None, "ERROR", code)
    assert found.error_message


def test_killed_flags_are_safe_whatever_they_say(flag: Flag, dim_flag: Flag) -> None:
    """Percentages, rules, disabled flags: everybody gets the safe variant of the flag's own type."""
    flags = [
        replace(flag, key="a").with_percent(100),
        replace(flag, key="b", is_enabled=False, safe_variant="on"),
        replace(flag, key="c", rules={"if": [True, "on", "off"]}),
        replace(dim_flag, default_variant=None),
        Flag(key="o", kind="object", variants={"x": {"n": [1]}, "y": {}}, default_variant="y", safe_variant="x"),
    ]
    snapshot = _snapshot(*flags, killed=KILLED)
    for user_id in (None, "", "anna", "\ud800"):
        found = [snapshot.evaluate(one.key, user_id) for one in flags]
        assert [one.value for one in found] == [False, True, False, 3072, {"n": [1]}]
        assert all(one.is_killed and one.reason == "STATIC" for one in found)
    assert snapshot.evaluate("nope").error_code == "FLAG_NOT_FOUND"


def test_an_object_belongs_to_the_caller() -> None:
    """What a caller does to the object it got changes nobody else's."""
    one = Flag(key="o", kind="object", variants={"x": {"n": [1]}}, default_variant="x", safe_variant="x")
    snapshot = _snapshot(one)
    mine: Any = snapshot.evaluate("o").value
    mine["n"].append(2)
    assert snapshot.evaluate("o").value == {"n": [1]}


def test_rules_beyond_percentages_are_flagd_s(flag: Flag) -> None:
    """Imported rules are evaluated as flagd does, with attributes, shared evaluators and the default for null."""
    rules = {"if": [{"$ref": "beta"}, {"fractional": [{"var": "email"}, ["on", 1], ["off", 1]]}, None]}
    parts = FileParts(evaluators={"beta": {"ends_with": [{"var": "email"}, "@beta.org"]}})
    snapshot = _snapshot(replace(flag, rules=rules), parts=parts)
    found = [snapshot.evaluate("ranker", "u", attributes={"email": f"{n}@beta.org"}) for n in range(200)]
    assert {one.reason for one in found} == {"TARGETING_MATCH"}
    assert 60 < Counter(one.value for one in found)[True] < 140
    outside = snapshot.evaluate("ranker", "u", attributes={"email": "x@example.org"})
    assert (outside.variant, outside.reason) == ("off", "DEFAULT")


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ({"if": [True, "unknown", "off"]}, "GENERAL"),
        ({"$ref": "missing"}, "PARSE_ERROR"),
        ({"substr": [{"var": "targetingKey"}, "x", {}]}, "GENERAL"),
    ],
)
def test_rules_without_an_answer_are_an_error(flag: Flag, rules: dict[str, Any], code: str) -> None:
    """Rules that name no variant, or fail, give an error code and the caller's default, never a guess."""
    found = _got(replace(flag, rules=rules), "anna", default=True)
    assert (found.value, found.reason, found.error_code) == (True, "ERROR", code)


def test_without_flagd_s_evaluator_rules_are_an_error(flag: Flag, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the evaluator is not installed the answer says so; percentages need no evaluator."""
    monkeypatch.setitem(__import__("sys").modules, "openfeature.contrib.tools.flagd.core", None)
    found = _got(replace(flag, rules={"if": [True, "on", "off"]}), "anna")
    assert found.error_code == "GENERAL"
    assert "install openfeature-flagd-core" in str(found.error_message)
    assert _got(flag.with_percent(100), "anna").value is True
