"""Choose the smallest dimension that is shown to be enough, and say why in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.tradeoff.results import Recommendation
from engine.tradeoff.verdicts import ALPHA, MIN_QUERIES, ROUNDING, unseen_share

if TYPE_CHECKING:
    from engine.tradeoff.results import Criterion, Interval, Point

_NOTABLE_RETENTION = 0.95


def recommend(
    points: tuple[Point, ...], criterion: Criterion, *, n_values: int, n_with_relevant: int = 0
) -> Recommendation:
    """Return the smallest dim below the full one that is safe, also after Holm's correction over the dims tried.

    Holm's procedure bounds the chance that *any* dim is wrongly called safe, whichever dims those are. So the smallest
    safe dim stands on its own evidence, even where a larger dim is not shown to be safe (a curve need not rise
    everywhere); the reason then names that dim, since it is worth a look. `n_values` queries have the judged quantity,
    `n_with_relevant` have an nDCG.
    """
    wording = _Wording(criterion=criterion, points=points, n_values=n_values, n_with_relevant=n_with_relevant)
    chosen = next((point for point in points[:-1] if _is_shown_safe(point)), None)
    if chosen is not None:
        return Recommendation(dim=chosen.dim, verdict="safe", reason=wording.why(chosen))
    all_harmful = len(points) > 1 and all(point.verdict == "harmful" for point in points[:-1])
    return Recommendation(dim=None, verdict="harmful" if all_harmful else "undecided", reason=wording.why_none())


def _is_shown_safe(point: Point) -> bool:
    return point.verdict == "safe" and point.holm_p <= ALPHA


@dataclass(frozen=True, kw_only=True)
class _Wording:
    """Sentences about the points of one summary."""

    criterion: Criterion
    points: tuple[Point, ...]
    n_values: int
    n_with_relevant: int

    def why(self, chosen: Point) -> str:
        place = self.points.index(chosen)
        kept = (
            f"{chosen.dim:,} of {self.points[-1].dim:,} dimensions {self._keep(chosen)}, "
            f"at or above the target of {self._target()}, over {self._queries()}"
        )
        smaller = "" if place == 0 else f"; {self._aside(self.points[place - 1])}"
        doubtful = [point for point in self.points[place + 1 : -1] if not _is_shown_safe(point)]
        larger = (
            "" if not doubtful else f" A larger one is not shown to be enough, though: {self._aside(doubtful[-1])}."
        )
        return f"{kept}{smaller}.{larger}{self._unseen(chosen)}"

    def why_none(self) -> str:
        full = self.points[-1].dim
        if len(self.points) == 1:
            return f"Only the full dimension, {full:,}, was swept: there is nothing smaller to recommend."
        if math.isnan(self._judged(self.points[-1]).mean):
            return f"Nothing can be compared: {self._unmeasured()}."
        if self.n_values < MIN_QUERIES:
            return (
                f"No dimension is called safe with fewer than {MIN_QUERIES} queries, and there are {self.n_values}. "
                f"{self._closest()}."
            )
        return f"No dimension below {full:,} is shown to reach the target. {self._closest()}.{self._quality_holds()}"

    def _unseen(self, chosen: Point) -> str:
        """Say what is left open where no query lost anything, if that could be a miss of the target."""
        interval, share = self._judged(chosen), unseen_share(self.n_values)
        is_kept_by_all = interval.low >= 1 - ROUNDING and interval.high <= 1 + ROUNDING
        if not is_kept_by_all or share <= 1 - self.criterion.target:
            return ""
        return (
            f" None of the {self._queries()} differs, so the interval has no width; up to {_percent(share)} of all "
            "queries may still (97.5 % bound): sweep more of them to be sure."
        )

    def _closest(self) -> str:
        best = max(self.points[:-1], key=lambda point: (self._judged(point).mean, -point.dim))
        interval = self._interval(best)
        target = f"the target of {self._target()}"
        start = f"The closest, {best.dim:,}, has {self._quantity()} {interval} over {self._queries()}"
        if self.criterion.quantity == "ndcg":
            start = f"The closest, {best.dim:,}, keeps {interval} of {self._quantity()} over {self._queries()}"
        if best.verdict == "harmful":
            return f"{start}, below {target}"
        if best.verdict == "undecided":
            return f"{start}, undecided against {target}{self._remedy(best)}"
        return (
            f"{start}, which reaches {target} on its own, but not after Holm's correction over the "
            f"{len(self.points) - 1} dims tried (p = {best.holm_p:.3f}, above {ALPHA:.3f}): "
            "more queries, or fewer dims, would tell"
        )

    def _remedy(self, point: Point) -> str:
        if point.further_queries is None:
            return ""
        return f": about {_queries(point.further_queries, 'further ')} would settle it"

    def _quality_holds(self) -> str:
        """Say that nDCG holds where neighbour recall does not, only where this sweep shows it."""
        if self.criterion.quantity != "recall" or self.n_with_relevant < MIN_QUERIES:
            return ""
        k = self.criterion.k
        holding = [p for p in self.points[:-1] if k in p.retention and p.retention[k].low >= _NOTABLE_RETENTION]
        if not holding:
            return ""
        smallest = holding[0]
        kept = smallest.retention[k]
        low, high = _percent(kept.low).removesuffix(" %"), _percent(kept.high)
        interval = f"95 % interval {low}–{high}, {_queries(self.n_with_relevant)}"
        return (
            f" Against the relevance judgements less is lost: {smallest.dim:,} dimensions keep "
            f"{_percent(kept.mean)} of the full dimension's nDCG@{k} ({interval})."
        )

    def _unmeasured(self) -> str:
        if self.criterion.quantity == "recall":
            return "no query has neighbours to find again, since it or they are zero vectors"
        if self.n_values == 0:
            return "no query has a relevant document"
        return f"nDCG@{self.criterion.k} is 0 at the full dimension, for all {self._queries()}"

    def _keep(self, point: Point) -> str:
        if self.criterion.quantity == "recall":
            return f"keep {self._quantity()} at {self._interval(point)}"
        return f"keep {self._interval(point)} of {self._quantity()}"

    def _aside(self, point: Point) -> str:
        figure = self._figure(self._judged(point).mean)
        if point.verdict == "harmful":
            return f"{point.dim:,} do not ({figure})"
        if point.verdict == "undecided":
            return f"{point.dim:,} are undecided ({figure}{self._remedy(point)})"
        return f"{point.dim:,} reach it ({figure}), but not after Holm's correction over the dims tried"

    def _judged(self, point: Point) -> Interval:
        return (point.recall if self.criterion.quantity == "recall" else point.retention)[self.criterion.k]

    def _quantity(self) -> str:
        k = self.criterion.k
        return f"recall@{k}" if self.criterion.quantity == "recall" else f"the full dimension's nDCG@{k}"

    def _queries(self) -> str:
        return _queries(self.n_values)

    def _interval(self, point: Point) -> str:
        interval = self._judged(point)
        low, high = self._figure(interval.low).removesuffix(" %"), self._figure(interval.high)
        return f"{self._figure(interval.mean)} (95 % interval {low}–{high})"

    def _figure(self, value: float) -> str:
        """Return `value` with enough digits that it does not round across the target."""
        reaches = value >= self.criterion.target - ROUNDING
        digits = next((n for n in range(3, 6) if (round(value, n) >= self.criterion.target) == reaches), 6)
        return _percent(value, digits) if self.criterion.quantity == "ndcg" else f"{value:.{digits}f}"

    def _target(self) -> str:
        target = self.criterion.target
        return f"{100 * target:g} %" if self.criterion.quantity == "ndcg" else f"{target:g}"


def _queries(n: int, kind: str = "") -> str:
    return f"{n:,} {kind}{'query' if n == 1 else 'queries'}"


def _percent(value: float, digits: int = 3) -> str:
    return f"{100 * value:.{digits - 2}f} %"
