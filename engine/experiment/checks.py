"""The rules that every statistic of an experiment holds its parameters to, each broken with one sentence."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from engine.errors import ParameterError

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

Direction = Literal["higher is better", "lower is better"]
"""Which way a metric improves: clicks and conversions up, errors and latency down."""


def check_alpha(alpha: float) -> None:
    """Raise `ParameterError` unless the error rate `alpha` lies between 0 and 0.5, both excluded."""
    if not 0 < alpha < 0.5:
        hint = "An error rate of 5 % is 0.05"
        raise ParameterError("alpha must be above 0 and below 0.5", found=alpha, hint=hint)


def check_confidence(confidence: float) -> None:
    """Raise `ParameterError` unless `confidence` lies between 0.5 and 1, both excluded."""
    if not 0.5 < confidence < 1:
        hint = "A 95 % interval is 0.95"
        raise ParameterError("the confidence must be above 0.5 and below 1", found=confidence, hint=hint)


def check_margin(margin: float) -> None:
    """Raise `ParameterError` unless the relative `margin` lies between 0 and 1, both excluded."""
    if not 0 < margin < 1:
        hint = "A margin of 5 % is 0.05"
        raise ParameterError("the margin must be above 0 and below 1", found=margin, hint=hint)


def check_power(power: float) -> None:
    """Raise `ParameterError` unless `power` lies between 0 and 1, both excluded."""
    if not 0 < power < 1:
        raise ParameterError("the power must be above 0 and below 1", found=power, hint="80 % power is 0.8")


def check_users_per_day(users: float | None) -> None:
    """Raise `ParameterError` unless the stated traffic is above 0 and finite, or None: not stated."""
    if users is not None and not 0 < users < math.inf:
        raise ParameterError("the users a day must be above 0 and finite", found=users)


def check_direction(direction: str) -> None:
    """Raise `ParameterError` unless `direction` is one of `Direction`."""
    if direction not in get_args(Direction):
        choices = " or ".join(repr(choice) for choice in get_args(Direction))
        raise ParameterError(f"the direction of a metric must be {choices}", found=direction)


def check_counts(name: str, counts: Any, *, at_least: float = 0) -> Floats:
    """Return `counts` as float64 of their own shape; raise `ParameterError` unless all are finite and big enough.

    `name` begins the message: "the clicks of control".
    """
    values: Floats = np.asarray(counts, dtype=np.float64)
    # "Not at least" instead of "below", so that NaN is refused as well.
    wrong = ~(values >= at_least) | np.isinf(values)
    if wrong.any():
        rule = f"{name} must be {'at least ' + format(at_least, 'g') if at_least else '0 or more'} and finite"
        raise ParameterError(rule, found=values[wrong].flat[0])
    return values


def check_arm(name: str, successes: Any, n: Any) -> tuple[Floats, Floats]:
    """Return the successes and size of arm `name`, float64; raise `ParameterError` when it is empty or overfull."""
    sizes = check_counts(f"the size of {name}", n)
    if (sizes < 1).any():
        hint = "Wait until both arms have traffic"
        raise ParameterError(f"{name} must have at least one row; the arm is empty", found=0, hint=hint)
    hits = check_counts(f"the successes of {name}", successes)
    hits, sizes = np.broadcast_arrays(hits, sizes)
    if (hits > sizes).any():
        found = f"{hits[hits > sizes].flat[0]:,g} of {sizes[hits > sizes].flat[0]:,g}"
        raise ParameterError(f"{name} cannot have more successes than rows", found=found)
    return hits, sizes


def limit_of(margin: float, direction: Direction) -> float:
    """Return the ratio treatment / control at which the loss reaches the relative `margin`."""
    check_margin(margin)
    check_direction(direction)
    return 1 - margin if direction == "higher is better" else 1 + margin


def quantile_of(probability: float) -> float:
    """Return the standard normal quantile."""
    return NormalDist().inv_cdf(probability)


def normal_tail(z: Any) -> Floats:
    """Return the probability that a standard normal exceeds `z`, exact in the far tail, in the shape of `z`.

    SciPy has it compiled, but takes longer to import than everything that is asked of it here.
    """
    scaled = np.asarray(z, dtype=np.float64) / math.sqrt(2)
    tail: Floats = np.fromiter(map(math.erfc, scaled.flat), np.float64, scaled.size).reshape(scaled.shape) / 2
    return tail


def finite(value: Any) -> float | None:
    """Return `value` as a float, or None where it is NaN or infinite: where no number can honestly be given."""
    number = float(value)
    return number if np.isfinite(number) else None


def ratio(numerator: Any, denominator: Any) -> Floats:
    """Return the quotient, NaN where the denominator is 0."""
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    quotient: Floats = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
    return quotient
