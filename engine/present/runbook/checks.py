"""The items of the rollback checklist: what counts as done, what has gone stale, and who says so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, get_args

from engine.errors import ParameterError

if TYPE_CHECKING:
    from datetime import datetime

CheckKey = Literal["backup", "kill-switch", "scripts", "alerts", "preflight", "runbook", "on-call"]
CHECK_KEYS: tuple[CheckKey, ...] = get_args(CheckKey)

CheckState = Literal["done", "stale", "not met", "open"]

Finding = Literal["holds", "fails", "outdated", "nothing"]
Measure = Literal["count", "rehearse", "preflight"]

DAYS_UNTIL_STALE = 30
"""How old evidence and ticks may be, unless the workspace says otherwise."""


@dataclass(frozen=True, kw_only=True)
class CheckSpec:
    """An item of the checklist: its title, what it takes, and what the system can measure for it (None: nothing)."""

    key: CheckKey
    title: str
    takes: str
    measure: Measure | None = None


CHECKS = (
    CheckSpec(
        key="backup",
        title="Backup exists",
        takes="The full vectors are still in the source store, or in a backup that somebody has restored once.",
        measure="count",
    ),
    CheckSpec(
        key="kill-switch",
        title="Kill switch rehearsed",
        takes="A kill and a restore, and the time until a flag client in another process was safe.",
        measure="rehearse",
    ),
    CheckSpec(
        key="scripts",
        title="Rollback scripts rehearsed in staging",
        takes="Somebody has gone through every step below in staging.",
    ),
    CheckSpec(
        key="alerts",
        title="Alerts configured",
        takes="The rollout has a threshold for p99 latency, error rate and CTR, and one of them rolls it back.",
    ),
    CheckSpec(
        key="preflight",
        title="Pre-flight done",
        takes="Simulated rollouts with the very schedule and thresholds that this one has.",
        measure="preflight",
    ),
    CheckSpec(
        key="runbook",
        title="Runbook written",
        takes="The steps name the rollout, its flag and safe variant, and who is on call.",
    ),
    CheckSpec(
        key="on-call",
        title="On-call briefed",
        takes="Whoever is on call knows this page, the kill switch and the steps.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Tick:
    """What a person ticked: who, when, and a note; `about` is the rollout it was ticked for, empty for none yet."""

    by: str
    at: datetime
    note: str
    about: str
    version: int


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the system found by itself.

    It ``holds``, ``fails``, is ``outdated`` because what it was found for has changed since, or there is ``nothing``.
    `at` is the moment it is of, `by` who had it measured (empty: read from the workspace just now).
    """

    finding: Finding
    sentence: str
    at: datetime | None = None
    by: str = ""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One item of the checklist as it stands.

    ``done`` by fresh evidence or a fresh tick; ``stale`` when the newest of them is too old or of something else;
    ``not met`` when the system found the opposite and nobody has ticked it since; else ``open``. `said_by` and
    `said_at` name whoever decides the state, `age_days` how long ago that was; `is_by_tick` tells that it is the tick.
    """

    spec: CheckSpec
    state: CheckState
    reason: str
    said_by: str
    said_at: datetime | None
    age_days: float | None
    is_by_tick: bool
    evidence: Evidence
    tick: Tick | None

    @property
    def key(self) -> CheckKey:
        """The key of the item."""
        return self.spec.key


def check_key(text: str) -> CheckKey:
    """Return the key of an item that `text` names. Raises ParameterError."""
    found = next((key for key in CHECK_KEYS if key == text), None)
    if found is None:
        raise ParameterError(f"an item of the checklist is one of {', '.join(CHECK_KEYS)}", found=text or "nothing")
    return found


def judge_check(
    spec: CheckSpec, evidence: Evidence, tick: Tick | None, *, about: str, now: datetime, days_until_stale: int
) -> Check:
    """Decide the state of one item at `now`, for the rollout `about` (empty: there is none)."""
    tick_is_fresh = tick is not None and not _why_stale(tick, about=about, now=now, days=days_until_stale)
    if evidence.finding == "fails" and (tick is None or not tick_is_fresh or not _is_later(tick, evidence)):
        return _check(spec, "not met", evidence.sentence, evidence, tick, now=now)
    evidence_is_old = _days(evidence.at, now) > days_until_stale
    if evidence.finding == "holds" and not evidence_is_old:
        return _check(spec, "done", evidence.sentence, evidence, tick, now=now)
    if tick is not None and tick_is_fresh:
        return _check(spec, "done", tick.note, evidence, tick, now=now, by_tick=True)
    if evidence.finding == "outdated":
        return _check(spec, "stale", evidence.sentence, evidence, tick, now=now)
    if evidence.finding == "holds":
        older = f"Older than {days_until_stale:,} days. {evidence.sentence}"
        return _check(spec, "stale", older, evidence, tick, now=now)
    if tick is not None:
        why = _why_stale(tick, about=about, now=now, days=days_until_stale)
        return _check(spec, "stale", f"{why} {tick.note}", evidence, tick, now=now, by_tick=True)
    return _check(spec, "open", evidence.sentence or spec.takes, evidence, tick, now=now)


def _check(
    spec: CheckSpec,
    state: CheckState,
    reason: str,
    evidence: Evidence,
    tick: Tick | None,
    *,
    now: datetime,
    by_tick: bool = False,
) -> Check:
    said_at = tick.at if by_tick and tick is not None else evidence.at
    said_by = tick.by if by_tick and tick is not None else evidence.by
    return Check(
        spec=spec,
        state=state,
        reason=reason,
        said_by=said_by if state != "open" else "",
        said_at=said_at if state != "open" else None,
        age_days=None if said_at is None or state == "open" else _days(said_at, now),
        is_by_tick=by_tick,
        evidence=evidence,
        tick=tick,
    )


def _why_stale(tick: Tick, *, about: str, now: datetime, days: int) -> str:
    if tick.about and tick.about != about:
        return f"Ticked for rollout {tick.about}."
    return f"Ticked more than {days:,} days ago." if _days(tick.at, now) > days else ""


def _is_later(tick: Tick, evidence: Evidence) -> bool:
    return evidence.at is None or tick.at > evidence.at


def _days(at: datetime | None, now: datetime) -> float:
    """Return the age in days; 0 for what was read just now, and for a moment that a clock set back made to come."""
    return 0.0 if at is None else max(0.0, (now - at) / timedelta(days=1))
