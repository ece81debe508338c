"""The distribution that simulated latency is drawn from: measured, or lognormal through two percentiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.experiment.traffic_kernel import LATENCY_NODES, LATENCY_REACH, NORMALS_BITS

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.experiment.traffic_settings import ArmNumbers, TrafficSettings
    from engine.tradeoff.latency.results import LatencyResult

_Z_99 = 2.3263478740408408  # the standard normal's 99 % quantile


def latency_tables(
    settings: TrafficSettings, latency: LatencyResult | None, dims: tuple[int, int] | None
) -> npt.NDArray[np.float64]:
    """Return the latency in ms of both arms at standard normals from -4.5 to 4.5, (2, nodes).

    Without `latency`, each arm is lognormal through its stated p50 and p99. With it, the samples measured at `dims` are
    scaled by one factor, which makes the control's p99 the stated one; the treatment keeps its measured advantage.

    Raises
    ------
    ParameterError
        When the path and dims were not measured, or the dims are not known.
    """
    normals = np.linspace(-LATENCY_REACH, LATENCY_REACH, LATENCY_NODES)
    if latency is None:
        return np.stack([_lognormal(arm, normals) for arm in (settings.control, settings.treatment)])
    if dims is None:
        raise ParameterError("measured latency needs the dims of both arms", hint="Simulate on a sweep")
    from scipy.special import ndtr

    samples = [_samples(latency, settings.latency_path, dim) for dim in dims]
    factor = settings.control.p99_ms / max(float(np.quantile(samples[0], 0.99)), 1e-9)
    return np.stack([factor * np.quantile(measured, ndtr(normals)) for measured in samples])


def standard_normals() -> npt.NDArray[np.float32]:
    """Return as many equally likely standard normals as `NORMALS_BITS` bits tell apart."""
    from scipy.special import ndtri

    n = 1 << NORMALS_BITS
    normals: npt.NDArray[np.float32] = ndtri((np.arange(n) + 0.5) / n).astype(np.float32)
    return normals


def _lognormal(arm: ArmNumbers, normals: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    spread = np.log(arm.p99_ms / arm.p50_ms) / _Z_99
    table: npt.NDArray[np.float64] = arm.p50_ms * np.exp(spread * normals)
    return table


def _samples(latency: LatencyResult, path: str, dim: int) -> npt.NDArray[np.float64]:
    point = latency.point(path, dim)
    return np.asarray(latency.samples_ms[latency.points.index(point)], np.float64)
