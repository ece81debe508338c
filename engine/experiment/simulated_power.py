"""How often simulated experiments end well, beside what the formulas of power say."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.experiment.evidence import evidence_of, read
from engine.experiment.power import non_inferiority_power, power_at
from engine.experiment.proportions import wilson
from engine.experiment.ratios import design_effect
from engine.experiment.results import Estimate
from engine.experiment.settings import AnalysisSettings, is_loss_up
from engine.experiment.stages import by_stage, moments_of
from engine.experiment.traffic import simulate
from engine.experiment.user_sums import QUERIES, metrics_of, sum_by_user
from engine.experiment.wording import percent
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.seeds import check_seed

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.embeddings.embedding_set import Judgements
    from engine.experiment.checks import Direction
    from engine.experiment.settings import Metric
    from engine.experiment.traffic_settings import TrafficSettings
    from engine.progress import Cancelled, Progress
    from engine.tradeoff import SweepResult

    Floats = npt.NDArray[np.float64]

MOST_SIMULATIONS = 10_000


@dataclass(frozen=True, kw_only=True)
class SimulatedPower:
    """How often simulated experiments on one traffic shape end well, beside what the formulas say.

    `safe` is the share in which the loss of the margin was ruled out, `significant` in which a change was found, each
    with its 95 % Monte Carlo interval. `formula_safe` and `formula_significant` use the mean `design_effect` found;
    the two `plain` ones take every query for a user of its own. `rate`, `change` and `n_control` are means.
    `sentences` are about the margin, `change_sentences` about finding a change.
    """

    metric: Metric
    n_simulations: int
    safe: Estimate
    formula_safe: float
    plain_safe: float
    significant: Estimate
    formula_significant: float
    plain_significant: float
    rate: float
    change: float
    n_control: float
    allocation: float
    design_effect: float
    sentences: tuple[str, ...]
    change_sentences: tuple[str, ...]


def simulated_power(
    traffic: TrafficSettings,
    settings: AnalysisSettings | None = None,
    *,
    metric: Metric = "ctr",
    n_simulations: int = 200,
    seed: int = 0,
    sweep: SweepResult | None = None,
    judgements: Judgements | None = None,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> SimulatedPower:
    """Simulate `traffic` again and again, with other users, assignments and chances, and count how it ends.

    Every experiment is read by user, as `analyze` does, and only `metric` is looked at. The gates are left out: they
    fail by chance in one experiment of a thousand.

    Raises
    ------
    ParameterError
        When `n_simulations` is out of range, or the traffic has no such metric.
    CancelledError
        When `cancelled` says so.
    """
    chosen = settings or AnalysisSettings()
    check_seed(seed)
    if not 2 <= n_simulations <= MOST_SIMULATIONS:
        raise ParameterError(f"the number of simulations must be from 2 to {MOST_SIMULATIONS:,}", found=n_simulations)
    outcomes = []
    seeds = np.random.SeedSequence(seed).generate_state(n_simulations)
    for number, own_seed in enumerate(seeds.tolist()):
        stop_if(cancelled)
        progress(number / n_simulations, f"simulating experiment {number + 1:,} of {n_simulations:,}")
        again = replace(traffic, key=f"{traffic.key}/{number}", seed=own_seed)
        outcomes.append(_outcome(again, chosen, metric, sweep=sweep, judgements=judgements))
    return _summed(np.array(outcomes), metric, chosen)


def _outcome(
    traffic: TrafficSettings,
    settings: AnalysisSettings,
    metric: Metric,
    *,
    sweep: SweepResult | None,
    judgements: Judgements | None,
) -> tuple[float, ...]:
    """Return whether it was safe and significant, then rates, queries of both arms and the design effect."""
    events = simulate(traffic, sweep=sweep, judgements=judgements)
    if metric not in metrics_of(events):
        raise ParameterError("the traffic must hold the metric that is asked for", found=metric)
    sums = by_stage([sum_by_user(events)])
    place = metrics_of(events).index(metric)
    evidence = evidence_of(metric, sums, place)
    reading = read(evidence, settings)
    arms = [moments_of(sums[0, arm], place) for arm in range(2)]
    effect = float(design_effect(arms[0] + arms[1]))
    return (
        float(reading.safe_p is not None and reading.safe_p <= settings.alpha),
        float(reading.change_p is not None and reading.change_p < 1 - settings.confidence),
        float(evidence.ratios.control.value),
        float(evidence.ratios.treatment.value),
        float(sums[0, 0, QUERIES]),
        float(sums[0, 1, QUERIES]),
        effect if math.isfinite(effect) else 1.0,
    )


def _summed(outcomes: Floats, metric: Metric, settings: AnalysisSettings) -> SimulatedPower:
    n = len(outcomes)
    safe, significant, rate, treated, n_control, n_treatment, effect = outcomes.mean(axis=0).tolist()
    if not 0 < rate < 1:
        raise ParameterError("power needs a metric that is neither always nor never there", found=percent(rate))
    allowed = settings.margin(metric)
    change, margin = treated / rate - 1, max(allowed.relative, allowed.absolute / rate)
    allocation = n_treatment / n_control
    direction: Direction = "lower is better" if is_loss_up(metric) else "higher is better"

    def ruled_out(one: float) -> float:
        return float(
            non_inferiority_power(
                n_control,
                rate,
                margin,
                relative_change=change,
                direction=direction,
                contrast="ratio",
                alpha=settings.alpha,
                allocation=allocation,
                design_effect=one,
            )
        )

    def found(one: float) -> float:
        alpha = 1 - settings.confidence
        return float(power_at(n_control, rate, change, alpha=alpha, allocation=allocation, design_effect=one))

    shares = [_share(value, n) for value in (safe, significant)]
    lost = f"A {'rise' if is_loss_up(metric) else 'loss'} of {percent(margin)} was ruled out"
    return SimulatedPower(
        metric=metric,
        n_simulations=n,
        safe=shares[0],
        formula_safe=ruled_out(effect),
        plain_safe=ruled_out(1.0),
        significant=shares[1],
        formula_significant=found(effect),
        plain_significant=found(1.0),
        rate=rate,
        change=change,
        n_control=n_control,
        allocation=allocation,
        design_effect=effect,
        sentences=_told(lost, shares[0], (ruled_out(effect), ruled_out(1.0)), n=n, effect=effect),
        change_sentences=_told("A change was found", shares[1], (found(effect), found(1.0)), n=n, effect=effect),
    )


def _share(value: float, n: int) -> Estimate:
    bounds = wilson(round(value * n), n)
    return Estimate(value=value, low=bounds.low, high=bounds.high)


def _told(what: str, share: Estimate, formulas: tuple[float, float], *, n: int, effect: float) -> tuple[str, ...]:
    bounds = f"between {percent(share.low or 0)} and {percent(share.high or 0)} allowing for {n:,} simulations"
    formula, plain = (percent(one) for one in formulas)
    return (
        f"{what} in {percent(share.value or 0)} of the simulated experiments, {bounds}.",
        f"The formula says {formula} with the design effect found, {effect:.2f}; {plain} without it.",
    )
