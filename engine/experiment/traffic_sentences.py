"""Say what a simulation assumed, in the order in which a reader would doubt it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.experiment.wording import precise

if TYPE_CHECKING:
    from engine.experiment.clicks import ClickModel
    from engine.experiment.traffic_settings import TrafficSettings
    from engine.tradeoff import SweepResult
    from engine.tradeoff.latency.results import LatencyResult


def assumptions(
    settings: TrafficSettings, sweep: SweepResult | None, clicks: ClickModel, latency: LatencyResult | None
) -> tuple[str, ...]:
    """Return what the simulated events rest on, a sentence each."""
    sentences = ["Simulated traffic: no real user stands behind these rows."]
    sentences += _plain(settings) if sweep is None else _on_lists(settings, sweep, clicks)
    sentences.append(_latency(settings, latency))
    if settings.click_spread > 0 or settings.latency_spread > 0:
        sentences.append(
            f"Users differ: their inclination to click varies by {precise(settings.click_spread)} between them, and "
            f"{precise(settings.latency_spread)} of the variance of latency lies between them."
        )
    if settings.traffic_percent < 100:
        sentences.append(
            f"{settings.traffic_percent:g} % of the {settings.n_users:,} users take part; the others leave no rows."
        )
    return (*sentences, *(fault.sentence() for fault in settings.faults))


def _plain(settings: TrafficSettings) -> list[str]:
    control, treatment = settings.control, settings.treatment
    return [
        (
            "The arms have the numbers that were stated, control against treatment: "
            f"CTR {precise(control.ctr)} and {precise(treatment.ctr)}, "
            f"conversion {precise(control.conversion)} and {precise(treatment.conversion)}, "
            f"errors {precise(control.error_rate)} and {precise(treatment.error_rate)}."
        )
    ]


def _on_lists(settings: TrafficSettings, sweep: SweepResult, clicks: ClickModel) -> list[str]:
    depth = min(settings.n_results, sweep.ids.shape[2])
    full = sweep.dims[-1] if settings.control_dim is None else settings.control_dim
    sentences = [
        (
            f"Each query of {sweep.dataset.name} shows its own {depth} results, ranked with {full:,} dimensions in the "
            f"control and with {settings.treatment_dim:,} in the treatment."
        )
    ]
    if clicks.source == "judgements":
        sentences.append("Clicks follow the relevance judgements, less the further down a document stands.")
    else:
        sentences.append(
            "There are no relevance judgements, so a document is as relevant as its rank at the full dimension says: "
            "no other list can then earn more clicks than that of the full dimension, whatever people really want."
        )
    sentences.append(
        f"The control's CTR was set to {precise(settings.control.ctr)}; that of the treatment, "
        f"{precise(clicks.expected_ctr[1])} expected, follows from its lists. A click converts alike in both arms."
    )
    return sentences


def _latency(settings: TrafficSettings, latency: LatencyResult | None) -> str:
    control, treatment = settings.control, settings.treatment
    if latency is None:
        return (
            f"Latency is lognormal, with p50 {control.p50_ms:g} ms and p99 {control.p99_ms:g} ms in the control, "
            f"{treatment.p50_ms:g} ms and {treatment.p99_ms:g} ms in the treatment."
        )
    return (
        f"Latency is drawn from what was measured on the path “{settings.latency_path}” with "
        f"{latency.n_rows:,} documents, scaled so that the control's p99 is {control.p99_ms:g} ms."
    )
