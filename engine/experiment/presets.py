"""Simulated experiments to start from, each with the verdict that a statistician expects of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import ParameterError
from engine.experiment.faults import Fault
from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings

if TYPE_CHECKING:
    from engine.tradeoff.results import Verdict

_CONTROL = ArmNumbers(ctr=0.12, conversion=0.06, error_rate=0.001, p50_ms=40.0, p99_ms=120.0)
_DAYS, _QUERIES, _USERS = 21, 500_000, 1_500_000


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Settings with a name, what they show in one sentence, and the overall verdict that they must lead to."""

    name: str
    summary: str
    settings: TrafficSettings
    expected: Verdict


def presets() -> tuple[Preset, ...]:
    """Return the presets: an A/A test, the example migration, and a migration that breaks."""
    reduced = ArmNumbers(ctr=0.1198, conversion=0.05994, error_rate=0.001, p50_ms=14.0, p99_ms=42.0)
    return (
        Preset(
            name="identical arms",
            summary="Both arms show the same: whatever differs is chance, and nothing may be called harmful.",
            settings=_settings("identical-arms", _CONTROL),
            expected="safe",
        ),
        Preset(
            name="768 of 3072",
            summary="The reduced arm answers three times faster and loses 0.2 % of its clicks, within every margin.",
            settings=_settings("768-of-3072", reduced),
            expected="safe",
        ),
        Preset(
            name="broken at day 5",
            summary="From day 5 on the reduced arm takes twice as long and loses 8 % of its clicks.",
            settings=_settings(
                "broken-at-day-5",
                _CONTROL,
                Fault(kind="latency", amount=2.0, first_day=5),
                Fault(kind="clicks", amount=-0.08, first_day=5),
            ),
            expected="harmful",
        ),
    )


def preset(name: str) -> Preset:
    """Return the preset called `name`; raises `ParameterError` where there is none."""
    for candidate in presets():
        if candidate.name == name:
            return candidate
    names = ", ".join(candidate.name for candidate in presets())
    raise ParameterError(f"a preset is one of {names}", found=name)


def _settings(key: str, treatment: ArmNumbers, *faults: Fault) -> TrafficSettings:
    return TrafficSettings(
        key=key,
        control=_CONTROL,
        treatment=treatment,
        n_users=_USERS,
        queries_per_day=_QUERIES,
        n_days=_DAYS,
        click_spread=0.2,
        faults=faults,
        seed=1,
    )
