"""What can go wrong in an experiment, injected into simulated traffic to see whether the analysis notices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from engine.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

FaultKind = Literal["latency", "clicks", "errors", "lost users", "both arms", "silent bot", "clicking bot"]
"""What breaks, and what its amount is: ``latency`` is multiplied by it; ``clicks`` change by it, relative (-0.08 is 8 %
fewer); ``errors`` are added to the error rate; of ``lost users`` that share leaves no event; that share of all users
sees ``both arms``, at random from query to query; a bot sends that many queries a day as one user."""

FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)

FaultArm = Literal["treatment", "control", "both"]
FAULT_ARMS: tuple[FaultArm, ...] = get_args(FaultArm)

_WHOLE_EXPERIMENT: tuple[FaultKind, ...] = ("lost users", "both arms")
_BOTS: tuple[FaultKind, ...] = ("silent bot", "clicking bot")
_RANGES: dict[FaultKind, tuple[float, float, str]] = {
    "latency": (1e-3, 1e3, "a factor from 0.001 to 1,000"),
    "clicks": (-1.0, 10.0, "a relative change from -1 to 10"),
    "errors": (0.0, 1.0, "a rate from 0 to 1"),
    "lost users": (0.0, 1.0, "a share from 0 to 1"),
    "both arms": (0.0, 1.0, "a share from 0 to 1"),
    "silent bot": (1, 10_000_000, "1 to 10,000,000 queries a day"),
    "clicking bot": (1, 10_000_000, "1 to 10,000,000 queries a day"),
}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault of `amount` (see `FaultKind`) in `arm`, from `first_day` (counted from 0) to `last_day`, both included.

    `last_day` of None means to the end. Faults of the assignment last from the first day to the last, and users of both
    arms belong to no arm.

    Raises
    ------
    ParameterError
        When a part is out of range.
    """

    kind: FaultKind
    amount: float
    first_day: int = 0
    last_day: int | None = None
    arm: FaultArm = "treatment"

    def __post_init__(self) -> None:
        if self.kind not in FAULT_KINDS:
            raise ParameterError(f"a fault is one of {', '.join(FAULT_KINDS)}", found=self.kind)
        if self.arm not in FAULT_ARMS:
            raise ParameterError(f"the arm of a fault is one of {', '.join(FAULT_ARMS)}", found=self.arm)
        low, high, what = _RANGES[self.kind]
        if not low <= self.amount <= high:
            raise ParameterError(f"the amount of the fault “{self.kind}” is {what}", found=self.amount)
        if self.first_day < 0 or (self.last_day is not None and self.last_day < self.first_day):
            raise ParameterError(
                "a fault begins on day 0 or later and does not end before",
                found=self._days_text(),
            )
        if self.kind in _WHOLE_EXPERIMENT and (self.first_day > 0 or self.last_day is not None):
            raise ParameterError(
                f"the fault “{self.kind}” lasts the whole experiment",
                found=self._days_text(),
                hint="Leave its days out",
            )
        if self.kind in _BOTS and self.arm == "both":
            raise ParameterError("a bot is one user and in one arm", found=self.arm)

    @property
    def is_bot(self) -> bool:
        """Whether the fault is a user of its own."""
        return self.kind in _BOTS

    def arms(self) -> tuple[int, ...]:
        """Return the indices of the arms that the fault strikes."""
        return {"treatment": (1,), "control": (0,), "both": (0, 1)}[self.arm]

    def days(self, n_days: int) -> slice:
        """Return the days of `n_days` on which the fault lasts."""
        return slice(self.first_day, n_days if self.last_day is None else self.last_day + 1)

    def sentence(self) -> str:
        """Say what was injected.

        >>> Fault(kind="latency", amount=2, first_day=5).sentence()
        'Injected fault: latency × 2 in the treatment, from day 5 on.'
        """
        what = {
            "latency": f"latency × {self.amount:g}",
            "clicks": f"clicks {100 * self.amount:+g} %",
            "errors": f"{100 * self.amount:g} % more errors",
            "lost users": f"the events of {100 * self.amount:g} % of the users are lost",
            "both arms": f"{100 * self.amount:g} % of the users see both arms",
            "silent bot": f"a bot of {self.amount:,.0f} queries a day that never clicks",
            "clicking bot": f"a bot of {self.amount:,.0f} queries a day that clicks every time",
        }[self.kind]
        where = "" if self.kind == "both arms" else " in both arms" if self.arm == "both" else f" in the {self.arm}"
        if self.first_day == 0 and self.last_day is None:
            return f"Injected fault: {what}{where}."
        return f"Injected fault: {what}{where}, from {self._days_text()}."

    def _days_text(self) -> str:
        return f"day {self.first_day} {'on' if self.last_day is None else f'to day {self.last_day}'}"


@dataclass(frozen=True, eq=False, kw_only=True)
class DayEffects:
    """What the faults do on each day to each arm: factors of latency and clicks, and added errors; (days, 2) each."""

    latency: npt.NDArray[np.float64]
    clicks: npt.NDArray[np.float64]
    errors: npt.NDArray[np.float64]


def day_effects(faults: Sequence[Fault], n_days: int) -> DayEffects:
    """Return what `faults` do on each of `n_days`; faults of one kind add up (rates) or multiply (factors)."""
    effects = DayEffects(latency=np.ones((n_days, 2)), clicks=np.ones((n_days, 2)), errors=np.zeros((n_days, 2)))
    for fault in faults:
        for arm in fault.arms():
            days = (fault.days(n_days), arm)
            if fault.kind == "latency":
                effects.latency[days] *= fault.amount
            elif fault.kind == "clicks":
                effects.clicks[days] *= 1 + fault.amount
            elif fault.kind == "errors":
                effects.errors[days] += fault.amount
    return effects


def share_of(faults: Sequence[Fault], kind: FaultKind, arm: int) -> float:
    """Return the share of users of `arm` struck by at least one of the faults of `kind`."""
    return 1 - math.prod(1 - fault.amount for fault in faults if fault.kind == kind and arm in fault.arms())
