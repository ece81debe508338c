"""When an item of the checklist is done, stale, not met or open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ParameterError
from engine.present.runbook import CHECK_KEYS, CHECKS, Check, Evidence, Tick
from engine.present.runbook.checks import check_key, judge_check

NOW = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)
NOTHING = Evidence(finding="nothing", sentence="nothing is known")


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def tick(days: float = 1, about: str = "ramp") -> Tick:
    return Tick(by="bob", at=ago(days), note="done in staging", about=about, version=1)


def judged(evidence: Evidence = NOTHING, ticked: Tick | None = None, *, about: str = "ramp", days: int = 30) -> Check:
    return judge_check(CHECKS[0], evidence, ticked, about=about, now=NOW, days_until_stale=days)


def test_every_item_has_a_key_of_its_own() -> None:
    """The items are those of the rollback checklist, each once, and an unknown one is refused by name."""
    assert tuple(spec.key for spec in CHECKS) == CHECK_KEYS
    assert len(set(CHECK_KEYS)) == len(CHECK_KEYS)
    assert check_key("on-call") == "on-call"
    with pytest.raises(ParameterError, match="an item of the checklist is one of backup, .*; found lunch"):
        check_key("lunch")


def test_fresh_evidence_or_a_fresh_tick_makes_an_item_done() -> None:
    """Evidence says so for the system, a tick for its person; without either the item is open."""
    held = Evidence(finding="holds", sentence="60 rows", at=ago(2), by="anna")
    assert (judged(held).state, judged(held).said_by, judged(held).age_days) == ("done", "anna", 2)
    ticked = judged(NOTHING, tick())
    assert (ticked.state, ticked.said_by, ticked.reason) == ("done", "bob", "done in staging")
    assert (judged().state, judged().said_by, judged().said_at) == ("open", "", None)


@pytest.mark.parametrize("days", [29.9, 30.0, 30.1, 400])
def test_what_is_older_than_the_days_is_stale(days: float) -> None:
    """Evidence and ticks count until the last moment of the day set, and not a moment longer."""
    held = Evidence(finding="holds", sentence="60 rows", at=ago(days), by="anna")
    expected = "done" if days <= 30 else "stale"
    assert judged(held).state == judged(NOTHING, tick(days)).state == expected
    assert judged(held, tick(1)).state == "done"  # a fresh tick speaks for old evidence


def test_a_tick_for_another_rollout_is_stale() -> None:
    """A tick counts for the rollout it was given for; one given before there was any counts for the first."""
    assert judged(NOTHING, tick(about="earlier")).state == "stale"
    assert "Ticked for rollout earlier." in judged(NOTHING, tick(about="earlier")).reason
    assert judged(NOTHING, tick(about="")).state == "done"


def test_a_contradiction_wins_over_an_earlier_tick_only() -> None:
    """What the system found to fail is not met, whoever ticked it before; a later tick knew of it and counts."""
    fails = Evidence(finding="fails", sentence="the source is empty", at=ago(1), by="anna")
    assert (judged(fails).state, judged(fails, tick(2)).state) == ("not met", "not met")
    assert judged(fails, tick(0.5)).state == "done"
    assert judged(fails, tick(0.5, about="earlier")).state == "not met"


def test_outdated_evidence_is_stale_however_young() -> None:
    """Evidence of settings that have changed since is stale at once, unless a person ticked the item."""
    outdated = Evidence(finding="outdated", sentence="the thresholds changed", at=ago(0.1), by="anna")
    assert judged(outdated).state == "stale"
    assert judged(outdated, tick()).state == "done"


findings = st.sampled_from(["holds", "fails", "outdated", "nothing"])
ages = st.floats(min_value=-2, max_value=90)


@given(finding=findings, age=st.none() | ages, ticked=st.none() | st.builds(tick, ages, st.sampled_from(["ramp", "x"])))
def test_the_state_never_says_more_than_is_known(finding: str, age: float | None, ticked: Tick | None) -> None:
    """Done needs fresh holding evidence or a fresh tick of this rollout, open means neither; no age is negative."""
    at = None if age is None else ago(age)
    found = judged(Evidence(finding=finding, sentence="said", at=at), ticked)  # type: ignore[arg-type]  # drawn from the literals
    tick_counts = ticked is not None and ticked.about == "ramp" and (NOW - ticked.at).days < 31
    if found.state == "done":
        assert tick_counts or (finding == "holds" and (age is None or age <= 30))
    if found.state == "open":
        assert finding == "nothing"
        assert ticked is None
    if found.state == "not met":
        assert finding == "fails"
    assert found.age_days is None or found.age_days >= 0
