"""Reading a test more than once: what daily looks cost, and intervals and bounds that stay valid.

A confidence sequence holds at every look at once, at the price of width. Group-sequential bounds spend the error over
looks that were planned. Peeking at a fixed test does neither; `peeking_false_positive_rate` says what that costs.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.errors import ParameterError
from engine.experiment.checks import check_alpha, check_counts, normal_tail, quantile_of, ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

TUNED_FOR = 5_000
"""Users of both arms together at which the confidence sequence is narrowest, relative to a fixed interval."""

MAX_LOOKS = 366
"""A daily look for a year."""

_PANEL_NODES = 32

Family = Literal["power", "obrien-fleming", "pocock"]


def rho(alpha: float = 0.05, n_star: float = TUNED_FOR) -> float:
    """Return the tuning of the confidence sequence that makes it tightest at `n_star` users.

    ρ = √((-2·ln α + ln(1 - 2·ln α)) / N*): Waudby-Smith et al. 2021, "Time-uniform central limit theory and asymptotic
    confidence sequences", appendix on tuning; N* = 5000 is GrowthBook's default.

    >>> round(rho(0.05, 5000), 7)
    0.0398401

    Raises
    ------
    ParameterError
        When `alpha` is not between 0 and 0.5, or `n_star` is not at least 1.
    """
    check_alpha(alpha)
    check_counts("the number of users that the sequence is tuned for", n_star, at_least=1)
    spent = -2 * math.log(alpha)
    return math.sqrt((spent + math.log(spent + 1)) / n_star)


def sequential_half_width(se: Any, n: Any, *, alpha: float = 0.05, n_star: float = TUNED_FOR) -> Floats:
    """Return the half-width of the interval that holds at every look at once, for standard errors `se` at `n` users.

    `se` is of the estimate now, `n` the independent units behind it (users of both arms together); arrays broadcast, so
    a cumulative series is one call. With σ = se·√n the half-width is σ·√(2·(nρ² + 1) / (n²ρ²) · ln(√(nρ² + 1) / α));
    Waudby-Smith et al. 2021, theorem 2.2, as GrowthBook applies it to lifts. It rests on a central limit theorem: not
    for a first few dozen users. Inf at no user.

    Raises
    ------
    ParameterError
        When `alpha` is not between 0 and 0.5, or `n` is negative or not finite.
    """
    users = check_counts("the number of users", n)
    tuned = users * rho(alpha, n_star) ** 2
    factor = np.sqrt(2 * ratio(tuned + 1, tuned) * np.log(np.sqrt(tuned + 1) / alpha))
    half_width: Floats = np.asarray(se, dtype=np.float64) * np.where(users > 0, factor, np.inf)
    return half_width


def peeking_false_positive_rate(looks: int, *, alpha: float = 0.05) -> float:
    """Return how often a fixed two-sided test of level `alpha` is significant at one or more of `looks` equal looks.

    By recursive integration: Armitage, McPherson & Rowe 1969, "Repeated significance tests on accumulating data",
    J. R. Stat. Soc. A 132.

    >>> round(peeking_false_positive_rate(35), 3)
    0.292

    Raises
    ------
    ParameterError
        When `looks` is not from 1 to 366, or `alpha` is not between 0 and 0.5.
    """
    check_alpha(alpha)
    _check_looks(looks)
    return _peeking(int(looks), float(alpha))


def crossing_probabilities(bounds: Sequence[float], information: Sequence[float]) -> Floats:
    """Return for each look the chance, under no difference, that |z| first leaves its bound there.

    `information` grows with the looks, in any unit: users so far. `bounds` are those of |z|.

    Raises
    ------
    ParameterError
        When there are not as many bounds as looks, a bound is not positive, or the information does not grow.
    """
    edges, times = np.asarray(bounds, dtype=np.float64), np.asarray(information, dtype=np.float64)
    _check_looks(len(times))
    if edges.shape != times.shape or not (edges > 0).all():
        found = f"{len(edges)} bounds for {len(times)} looks"
        raise ParameterError("every look needs one bound above 0", found=found)
    if not (np.diff(times, prepend=0) > 0).all() or not np.isfinite(times).all():
        raise ParameterError("the information must grow from look to look", found=times.tolist())
    walk = _Walk()
    return np.array([walk.step(bound, time) for bound, time in zip(edges, times, strict=True)])


def group_sequential_bounds(
    looks: int, *, alpha: float = 0.05, family: Family = "power", exponent: float = 2.0
) -> tuple[float, ...]:
    """Return the two-sided bounds of |z| at `looks` equally spaced looks that together spend exactly `alpha`.

    Lan & DeMets 1983, "Discrete sequential boundaries for clinical trials", Biometrika 70: at share t of the
    information the error spent is α·t^exponent ("power"), 2 - 2·Φ(z(α/2) / √t) ("obrien-fleming") or
    α·ln(1 + (e - 1)·t) ("pocock").

    >>> [round(bound, 4) for bound in group_sequential_bounds(5)]
    [3.0902, 2.7141, 2.4728, 2.2799, 2.114]

    Raises
    ------
    ParameterError
        When `looks` is not from 1 to 366, `alpha` is not between 0 and 0.5, `exponent` is not positive, or `family`
        is unknown.
    """
    from scipy.optimize import brentq

    check_alpha(alpha)
    _check_looks(looks)
    shares = np.arange(1, looks + 1) / looks
    spending = np.diff([_spent(share, alpha, family, exponent) for share in shares], prepend=0)
    walk, bounds = _Walk(), []
    for share, spend in zip(shares, spending, strict=True):
        # Beyond 38 the normal tail underflows: nothing is left to spend there.
        bound = brentq(lambda edge, at=share, to=spend: walk.exit(edge, at) - to, 1e-9, 38, xtol=1e-12)
        walk.step(bound, share)
        bounds.append(float(bound))
    return tuple(bounds)


class _Walk:
    """The density of a Brownian path that has stayed within its bounds so far, on Gauss-Legendre nodes."""

    def __init__(self) -> None:
        self._time = 0.0
        self._nodes = np.zeros(1)
        self._mass = np.ones(1)  # density × quadrature weight at each node

    def exit(self, bound: float, time: float) -> float:
        """Return the chance to stay inside up to the look before and be outside ±bound·√time at this one."""
        edge, spread = bound * math.sqrt(time), math.sqrt(time - self._time)
        outside = normal_tail((edge + self._nodes) / spread) + normal_tail((edge - self._nodes) / spread)
        return float(self._mass @ outside)

    def step(self, bound: float, time: float) -> float:
        """Move on to the look at `time` with ±bound for z; return the chance to have left just there."""
        left = self.exit(bound, time)
        edge, spread = bound * math.sqrt(time), math.sqrt(time - self._time)
        # The density is smooth on the scale of one step: 4 nodes a standard deviation of it leave an error below 1e-9.
        nodes, weights = _quadrature(math.ceil(1 + 4 * 2 * edge / spread / _PANEL_NODES))
        nodes, weights = nodes * edge, weights * edge
        density = np.exp(-0.5 * ((nodes[:, None] - self._nodes) / spread) ** 2) / (spread * math.sqrt(2 * math.pi))
        self._mass = weights * (density @ self._mass)
        self._nodes, self._time = nodes, time
        return left


@lru_cache(maxsize=128)
def _peeking(looks: int, alpha: float) -> float:
    bound = quantile_of(1 - alpha / 2)
    return min(1.0, float(crossing_probabilities([bound] * looks, range(1, looks + 1)).sum()))


@lru_cache(maxsize=256)
def _quadrature(n_panels: int) -> tuple[Floats, Floats]:
    """Return nodes and weights on -1..1 of Gauss-Legendre quadrature in panels of equal width."""
    nodes, weights = np.polynomial.legendre.leggauss(_PANEL_NODES)
    centres = (2 * np.arange(n_panels) + 1) / n_panels - 1
    return (centres[:, None] + nodes / n_panels).ravel(), np.tile(weights / n_panels, n_panels)


def _spent(share: float, alpha: float, family: str, exponent: float) -> float:
    if family == "power":
        if not 0 < exponent < math.inf:
            raise ParameterError("the exponent of the power family must be above 0", found=exponent)
        return alpha * float(share**exponent)
    if family == "obrien-fleming":
        return 2 * float(normal_tail(quantile_of(1 - alpha / 2) / math.sqrt(share)))
    if family == "pocock":
        return alpha * math.log1p((math.e - 1) * share)
    raise ParameterError("the spending family must be 'power', 'obrien-fleming' or 'pocock'", found=family)


def _check_looks(looks: int) -> None:
    if not 1 <= looks <= MAX_LOOKS or looks != int(looks):
        raise ParameterError(f"the number of looks must be a whole one from 1 to {MAX_LOOKS:,}", found=looks)
