"""What must hold before any metric may be read: the promised split, one arm a user, and a split that stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.experiment.results import Gate
from engine.experiment.srm import check_srm, homogeneity
from engine.experiment.stages import MIN_STAGE_DIFFERENCE, detected_stages
from engine.experiment.wording import p_text, percent, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.experiment.settings import AnalysisSettings, Stage
    from engine.experiment.user_sums import Counts, UserSums

_RAMP_HINT = "If this was a planned ramp, enter its stages."


def check_gates(
    stages: Sequence[UserSums],
    *,
    arms: Sequence[str],
    shares: Sequence[float] | None,
    settings: AnalysisSettings,
    knows_users: bool = True,
) -> tuple[Gate, ...]:
    """Check the split of users, users of both arms and, without a planned ramp, that the split stays over the days.

    `shares` are the intended ones of the arms, of a constant split; None where nobody knows them. Plain totals do not
    tell users apart (`knows_users` False): then only the split can be checked.
    """
    gates = [_split(stages, arms, shares, settings)]
    if not knows_users:
        return tuple(gates)
    gates.append(_one_arm(stages, settings))
    if not settings.stages:
        gates.append(_steady(stages[0].new_users, arms, settings))
    return tuple(gates)


def split_of(stages: Sequence[UserSums]) -> tuple[float, float] | None:
    """Return the observed shares of users of both arms, over all stages; None without users."""
    seen = np.sum([stage.seen_users for stage in stages], axis=0)
    if not seen.sum():
        return None
    return float(seen[0] / seen.sum()), float(seen[1] / seen.sum())


def _split(
    stages: Sequence[UserSums], arms: Sequence[str], shares: Sequence[float] | None, settings: AnalysisSettings
) -> Gate:
    intended = _intended(stages, shares, settings)
    tested = [(stage, one) for stage, one in zip(stages, intended, strict=True) if one and stage.seen_users.sum()]
    if any(_is_alien(stage.seen_users, one) for stage, one in tested):
        return _srm_gate(0.0, settings, False, "There are users in an arm that should have none.")
    checks = [(check_srm(stage.seen_users.tolist(), one), stage) for stage, one in tested if 0 < one[1] < 1]
    if not checks:
        return _srm_gate(None, settings, True, f"The split was not checked: {_unchecked(intended, tested)}.")
    enough = [found for found in checks if found[0].is_enough_data]
    # The worst of several stages is corrected for their number (Bonferroni).
    worst, stage = min(enough or checks, key=lambda found: found[0].p_value)
    p_value = min(1.0, worst.p_value * len(enough))
    where = f" from day {stage.first_day} on" if len(stages) > 1 else ""
    counts = f"{plural(worst.counts[0], 'user')} in {arms[0]} and {worst.counts[1]:,} in {arms[1]}{where}"
    if not enough:
        return _srm_gate(None, settings, True, f"Too few users to check the split: {counts}.")
    seen, share = (percent(of_arms[1] / sum(of_arms)) for of_arms in (worst.counts, worst.expected))
    found = f"{counts}, {seen} in {arms[1]} where {share} was intended"
    if p_value < settings.srm_threshold:
        return _srm_gate(p_value, settings, False, f"The split is broken: {found} ({p_text(p_value)}).")
    limit = f"{p_text(p_value)}, broken below {settings.srm_threshold:g}"
    return _srm_gate(p_value, settings, True, f"The split fits: {found} ({limit}).")


def _unchecked(intended: Sequence[tuple[float, float] | None], tested: Sequence[object]) -> str:
    if tested:
        return "one arm was meant to have every user"
    return "no user saw one arm only" if any(intended) else "its intended shares are not known"


def _intended(
    stages: Sequence[UserSums], shares: Sequence[float] | None, settings: AnalysisSettings
) -> list[tuple[float, float] | None]:
    if settings.stages:
        planned = settings.stages[: len(stages)]
        return [(1 - stage.treatment_share, stage.treatment_share) for stage in planned]
    return [None if shares is None else (float(shares[0]), float(shares[1]))]


def _is_alien(seen: Counts, shares: tuple[float, float]) -> bool:
    return any(share == 0 and count > 0 for count, share in zip(seen, shares, strict=True))


def _srm_gate(p_value: float | None, settings: AnalysisSettings, is_passed: bool, sentence: str) -> Gate:
    return Gate(
        key="srm",
        title="Split of users",
        is_passed=is_passed,
        value=p_value,
        threshold=settings.srm_threshold,
        sentence=sentence,
    )


def _one_arm(stages: Sequence[UserSums], settings: AnalysisSettings) -> Gate:
    crossed = sum(int(np.count_nonzero(stage.both_arms)) for stage in stages)
    seen = sum(stage.n_seen for stage in stages)
    share = crossed / seen if seen else 0.0
    is_passed = share <= settings.max_multi_exposure
    allowed = percent(settings.max_multi_exposure)
    if not crossed:
        sentence = "Every user saw one arm only."
    elif is_passed:
        are = "is" if crossed == 1 else "are"
        sentence = (
            f"{plural(crossed, 'user')} ({percent(share)}) saw both arms and {are} left out; up to {allowed} may."
        )
    else:
        hint = "" if settings.stages else f" {_RAMP_HINT}"
        sentence = f"{plural(crossed, 'user')} ({percent(share)}) saw both arms, where {allowed} is the most.{hint}"
    return Gate(
        key="multi_exposure",
        title="One arm a user",
        is_passed=is_passed,
        value=share,
        threshold=settings.max_multi_exposure,
        sentence=sentence,
    )


def _steady(new_users: Counts, arms: Sequence[str], settings: AnalysisSettings) -> Gate:
    found = detected_stages(new_users, threshold=settings.srm_threshold)
    p_value = _homogeneity(new_users)
    is_passed = len(found) < 2
    return Gate(
        key="steady_split",
        title="Steady split",
        is_passed=is_passed,
        value=p_value,
        threshold=settings.srm_threshold,
        sentence=_steady_sentence(found, arms, p_value, settings.srm_threshold),
    )


def _steady_sentence(found: Sequence[Stage], arms: Sequence[str], p_value: float | None, threshold: float) -> str:
    if len(found) >= 2:
        steps = ", ".join(f"{percent(stage.treatment_share)} from day {stage.first_day} on" for stage in found[:5])
        more = f" and {len(found) - 5} more changes" if len(found) > 5 else ""
        return f"The split changed: of the new users {arms[1]} got {steps}{more}. {_RAMP_HINT}"
    if p_value is None:
        return "The split was not compared between days: too few users are new on more than one of them."
    if p_value < threshold:
        return f"The split of new users moves from day to day, but by no more than {percent(MIN_STAGE_DIFFERENCE)}."
    return f"The split of new users stays the same from day to day ({p_text(p_value)})."


def _homogeneity(new_users: Counts) -> float | None:
    """Return the chi-square p-value of one split over all days that have enough new users."""
    total = new_users.sum(axis=0)
    if not total.all():
        return None
    share = total.min() / total.sum()
    days = new_users[new_users.sum(axis=1) * share >= 5]
    if len(days) < 2 or not days.sum(axis=0).all():
        return None
    return homogeneity(days).p_value
