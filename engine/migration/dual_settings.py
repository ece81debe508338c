"""How old and new store answer together, and the words for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from engine.errors import ParameterError
from engine.migration.fusion import DEFAULT_K

Mode = Literal["old only", "shadow", "merge", "new only"]
MODES: tuple[Mode, ...] = get_args(Mode)

MODE_SENTENCES: dict[Mode, str] = {
    "old only": "Answers come from the old store; the new one is not asked.",
    "shadow": "Answers come from the old store; the new one is asked too and compared.",
    "merge": "Both are asked and their rankings fused by weight.",
    "new only": "Answers come from the new store; the old one is not asked.",
}
_LONGEST_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class DualSettings:
    """Mode, the new store's `weight` in a merge (0..1; the old one has the rest), fusion constant and time-out.

    Raises
    ------
    ParameterError
        When a value is outside its range.
    """

    mode: Mode = "shadow"
    weight: float = 0.5
    rrf_k: float = DEFAULT_K
    timeout_s: float = 1.0

    def __post_init__(self) -> None:
        """Check every value: settings also come from stored documents and shells."""
        if self.mode not in MODES:
            raise ParameterError(f"the mode of dual search is one of {', '.join(MODES)}", found=self.mode)
        for name, value, most in (
            ("the weight of the new store", self.weight, 1.0),
            ("the k of rank fusion", self.rrf_k, 10_000.0),
        ):
            if not (math.isfinite(value) and 0 <= value <= most):
                raise ParameterError(f"{name} must be between 0 and {most:,.0f}", found=value)
        if not (math.isfinite(self.timeout_s) and 0 < self.timeout_s <= _LONGEST_TIMEOUT_S):
            raise ParameterError(
                f"the time-out must be above 0 and at most {_LONGEST_TIMEOUT_S:.0f} s", found=self.timeout_s
            )
