"""How the options of `dimshift ab` are read into settings."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import InputError, ParameterError
from engine.experiment.event_files import EVENT_FORMATS
from engine.experiment.log_columns import LogUnits
from engine.experiment.settings import METRICS, AnalysisSettings, Margin, Metric, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.experiment.event_files import EventFormat
    from engine.experiment.faults import Fault
    from engine.experiment.log_columns import LogColumns
    from engine.experiment.planning import PowerPlan
    from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings

_SIMULATED_DAYS = 7


def metric_of(text: str) -> Metric:
    """Return the metric called `text`. Raises ParameterError."""
    for metric in METRICS:
        if metric == text:
            return metric
    raise ParameterError(f"a metric is one of {', '.join(METRICS)}", found=text)


def margins(
    ctr: float | None, conversion: float | None, errors: float | None, latency: float | None
) -> dict[str, float]:
    """Return the relative margins that were given, by name of the setting."""
    given = {"ctr": ctr, "conversion": conversion, "error_rate": errors, "latency": latency}
    return {name: value for name, value in given.items() if value is not None}


def settings_of(
    given: Mapping[str, float],
    levels: Mapping[str, float | None],
    *,
    judge: str | None,
    stages: tuple[Stage, ...],
) -> AnalysisSettings:
    """Return the settings of an analysis, `levels` by name; margins that are not `given` keep their defaults.

    Raises ParameterError.
    """
    defaults = AnalysisSettings()
    # A margin that somebody states is meant as stated: the absolute part of the default is not added to it.
    chosen: dict[str, Any] = {**levels, **{name: Margin(relative=value) for name, value in given.items()}}
    judged = defaults.judged if judge is None else tuple(part.strip() for part in judge.split(","))
    return replace(defaults, judged=judged, stages=stages, **chosen)


def share_of(percent: float) -> float:
    """Return a percentage as the share of users in the treatment. Raises ParameterError where an arm has none."""
    if not 0 < percent < 100:
        raise ParameterError(
            "the percentage of users in the treatment must be above 0 and below 100",
            found=percent,
            hint="Half of them is 50",
        )
    return percent / 100


def totals_of(text: str | None, option: str) -> tuple[int, int]:
    """Return events and queries of ``1200/10000``. Raises ParameterError."""
    events, _, queries = (text or "").partition("/")
    try:
        return int(events), int(queries)
    except ValueError:
        raise ParameterError(
            f"without a log {option} takes totals, events/queries", found=text or "nothing", hint="As 1200/10000"
        ) from None


def check_totals_alone(columns: LogColumns, **options: str | None) -> None:
    """Raise ParameterError for the first option that only a log could answer, of its columns or of `options`."""
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
    given += [f"{column} as {role}" for role, column in columns.named().items()]
    if given:
        raise ParameterError(
            "totals have no users, days or columns", found=given[0], hint="Name the log to read, or leave that out"
        )


def units_of(latency_unit: str | None) -> LogUnits:
    """Return the units of a log. Raises ParameterError."""
    unit: Any = latency_unit
    return LogUnits(latency=unit)


def event_form(file: Path | None) -> EventFormat:
    """Return the format that the name of an events file asks for, before any work is done. Raises InputError."""
    if file is None:
        return EVENT_FORMATS[0]
    for form in EVENT_FORMATS:
        if file.suffix.lower() == f".{form}":
            if file.is_dir() or not file.absolute().parent.is_dir():
                raise InputError("--events must name a file in a folder that is there", found=file.name)
            return form
    raise InputError("--events ends in .parquet or .csv", found=file.name)


def traffic_of(
    preset_name: str | None,
    control: str | None,
    treatment: str | None,
    faults: list[str] | None,
    *,
    ramp: tuple[Stage, ...],
    dim: int | None,
    seed: int,
    sizes: Mapping[str, float | None],
) -> TrafficSettings:
    """Return what to simulate: a preset or plain defaults, with everything that was given in its place.

    Raises
    ------
    ParameterError
        When a part cannot be read or is out of range.
    """
    from engine.experiment.presets import preset
    from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings

    plain = ArmNumbers(ctr=0.12, conversion=0.06, error_rate=0.001)
    base = TrafficSettings(control=plain, treatment=plain) if preset_name is None else preset(preset_name).settings
    first = _arm_of(control, base.control, "--control")
    # Without numbers of its own the treatment is what the control was made, unless a preset says how they differ.
    second = _arm_of(treatment, base.treatment if preset_name is not None else first, "--treatment")
    chosen: dict[str, Any] = {name: value for name, value in sizes.items() if value is not None}
    added = tuple(_fault_of(text) for text in faults or ())
    return replace(
        base,
        control=first,
        treatment=second,
        faults=(*base.faults, *added),
        ramp=ramp or base.ramp,
        treatment_dim=dim if dim is not None else base.treatment_dim,
        seed=seed or base.seed,  # the seed of a preset is part of it, unless another one is asked for
        **chosen,
    )


def planned_traffic(plan: PowerPlan, *, seed: int) -> TrafficSettings:
    """Return a week of traffic of the planned size: every user with the planned number of queries, on average."""
    from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings

    settings = plan.settings
    change = settings.true_change if settings.effect is None else settings.effect
    queries = math.ceil(plan.n_users * settings.queries_per_user / _SIMULATED_DAYS)
    return TrafficSettings(
        control=ArmNumbers(ctr=settings.baseline),
        treatment=ArmNumbers(ctr=settings.baseline * (1 + change)),
        percent=100 * settings.treatment_share,
        n_users=plan.n_users,
        queries_per_day=queries,
        n_days=_SIMULATED_DAYS,
        seed=seed,
    )


def simulated_settings(plan: PowerPlan) -> AnalysisSettings:
    """Return how simulated experiments of a plan are read. Raises ParameterError for another metric than CTR."""
    asked = plan.settings
    if asked.metric != "ctr":
        raise ParameterError("simulations are of the CTR", found=asked.metric, hint="Leave --simulations out")
    defaults = AnalysisSettings()
    margin = defaults.ctr if asked.margin is None else Margin(relative=asked.margin)
    return replace(defaults, alpha=asked.alpha, confidence=1 - asked.alpha, ctr=margin)


def _arm_of(text: str | None, base: ArmNumbers, option: str) -> ArmNumbers:
    """Return `base` with the numbers in `text`; with another CTR alone the same share of the clicks converts."""
    if text is None:
        return base
    changed: dict[str, Any] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        if name.strip() not in base.__dataclass_fields__:
            known = ", ".join(base.__dataclass_fields__)
            raise ParameterError(f"{option} takes NAME=VALUE of {known}", found=part)
        try:
            changed[name.strip()] = float(value)
        except ValueError:
            raise ParameterError(f"{option} takes numbers", found=part, hint="As ctr=0.12,p99_ms=120") from None
    if "ctr" in changed and "conversion" not in changed and base.ctr:
        changed["conversion"] = base.conversion * changed["ctr"] / base.ctr
    return replace(base, **changed)


def _fault_of(text: str) -> Fault:
    from engine.experiment.faults import Fault

    parts = text.split(":")
    wrong = ParameterError(
        "--fault takes KIND:AMOUNT[:DAYS[:ARM]]", found=text, hint="As latency:2:5 or errors:0.02:5-6"
    )
    if not 2 <= len(parts) <= 4:
        raise wrong
    kind, amount, day, arm = (*parts, *("0", "treatment")[len(parts) - 2 :])
    first, _, last = day.partition("-")
    try:
        named: Any = {"kind": kind, "amount": float(amount), "first_day": int(first), "arm": arm}
        named["last_day"] = int(last) if last else None
    except ValueError:
        raise wrong from None
    return Fault(**named)
