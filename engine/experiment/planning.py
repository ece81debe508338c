"""Plan an experiment: how many users, how long, and what could be found with more or fewer of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.errors import ParameterError
from engine.experiment.checks import check_users_per_day, finite
from engine.experiment.power import (
    days_needed,
    minimum_detectable_change,
    non_inferiority_power,
    non_inferiority_sample_size,
    power_at,
    sample_size,
)
from engine.experiment.settings import MIN_USERS, is_loss_up, metric_name
from engine.experiment.wording import percent, plural, signed

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.experiment.checks import Direction
    from engine.experiment.power import SampleSize
    from engine.experiment.settings import Metric

    Floats = npt.NDArray[np.float64]

Question = Literal["non-inferiority", "superiority"]

_CURVE_POINTS = 41
_PEOPLE = 8_000_000_000


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """What is asked of a plan. Exactly one of `margin` (rule out that loss) and `effect` (find that change) is given.

    `baseline` is the control's rate; `effect` is relative and signed. With a margin, `true_change` is what is thought
    to be really there, 0 by default. `treatment_share` of the users get the treatment. `queries_per_user` and
    `design_effect` (of earlier traffic) turn queries into users. `users_per_day` are new users of both arms together.
    """

    baseline: float
    margin: float | None = None
    effect: float | None = None
    metric: Metric = "ctr"
    true_change: float = 0.0
    alpha: float = 0.05
    power: float = 0.8
    treatment_share: float = 0.5
    queries_per_user: float = 1.0
    design_effect: float = 1.0
    users_per_day: float | None = None

    def __post_init__(self) -> None:
        """Raise `ParameterError` for what the formulas do not check themselves."""
        if (self.margin is None) == (self.effect is None):
            raise ParameterError(
                "a plan needs either a margin or an effect",
                found="both" if self.margin is not None else "neither",
                hint="A margin of 0.05 rules out a loss of 5 %, an effect of -0.05 finds one",
            )
        if not 0 < self.treatment_share < 1:
            raise ParameterError("the share of the treatment must be between 0 and 1", found=self.treatment_share)
        check_users_per_day(self.users_per_day)
        if self.effect is not None and self.true_change:
            raise ParameterError(
                "what is thought to be there belongs to a margin", found=self.true_change, hint="Give it as the effect"
            )

    @property
    def question(self) -> Question:
        """What kind of test is planned."""
        return "superiority" if self.margin is None else "non-inferiority"

    @property
    def allocation(self) -> float:
        """Users in the treatment for each one in the control."""
        return self.treatment_share / (1 - self.treatment_share)


@dataclass(frozen=True, eq=False, kw_only=True)
class PowerPlan:
    """What an experiment needs, and what it gives with more or fewer users.

    Queries and users of each arm; `days` at the stated traffic, None without. `n_control_arcsine` is the same by
    Cohen's h (superiority only). `detectable` is the smallest relative loss that a two-sided test would find with that
    many, None where there is none. The curve: `curve_users` of both arms together (P,), `curve_power` (P,), and
    `curve_detectable` (P,) with NaN where nothing is detectable.
    """

    settings: PlanSettings
    question: Question
    n_control: int
    n_treatment: int
    users_control: int
    users_treatment: int
    n_control_arcsine: int | None
    days: int | None
    detectable: float | None
    curve_users: npt.NDArray[np.int64]
    curve_power: Floats
    curve_detectable: Floats
    sentences: tuple[str, ...]

    @property
    def n_users(self) -> int:
        """Users of both arms together."""
        return self.users_control + self.users_treatment


def plan_experiment(settings: PlanSettings) -> PowerPlan:
    """Return the sizes, days and curves of one experiment.

    >>> plan_experiment(PlanSettings(baseline=0.12, effect=-0.05)).n_control
    45045
    >>> plan_experiment(PlanSettings(baseline=0.12, margin=0.05)).n_control
    36271

    Raises
    ------
    ParameterError
        When a rate leaves 0..1, or another setting is out of range.
    """
    size, arcsine = _sizes(settings)
    users = size.users_control + size.users_treatment
    days = None if settings.users_per_day is None else days_needed(users, settings.users_per_day, share=1.0)
    curve = np.unique(np.maximum(2, np.rint(users * np.geomspace(0.05, 4, _CURVE_POINTS)))).astype(np.int64)
    control = np.maximum(1.0, curve * (1 - settings.treatment_share) * settings.queries_per_user)
    detectable = finite(_detectable(size.n_control, settings))
    return PowerPlan(
        settings=settings,
        question=settings.question,
        n_control=size.n_control,
        n_treatment=size.n_treatment,
        users_control=size.users_control,
        users_treatment=size.users_treatment,
        n_control_arcsine=arcsine,
        days=days,
        detectable=detectable,
        curve_users=curve,
        curve_power=_power(control, settings),
        curve_detectable=_detectable(control, settings),
        sentences=_sentences(settings, size, days, detectable),
    )


def _sizes(settings: PlanSettings) -> tuple[SampleSize, int | None]:
    common: dict[str, Any] = {
        "alpha": settings.alpha,
        "power": settings.power,
        "allocation": settings.allocation,
        "design_effect": settings.design_effect,
        "rows_per_user": settings.queries_per_user,
    }
    if settings.margin is not None:
        direction: Direction = "lower is better" if is_loss_up(settings.metric) else "higher is better"
        change = settings.true_change
        size = non_inferiority_sample_size(
            settings.baseline, settings.margin, relative_change=change, direction=direction, **common
        )
        return size, None
    effect = settings.effect or 0.0
    arcsine = sample_size(settings.baseline, effect, method="arcsine", **common)
    return sample_size(settings.baseline, effect, **common), arcsine.n_control


def _power(n_control: Floats, settings: PlanSettings) -> Floats:
    common: dict[str, Any] = {
        "alpha": settings.alpha,
        "allocation": settings.allocation,
        "design_effect": settings.design_effect,
    }
    if settings.margin is None:
        return power_at(n_control, settings.baseline, settings.effect, **common)
    direction: Direction = "lower is better" if is_loss_up(settings.metric) else "higher is better"
    return non_inferiority_power(
        n_control,
        settings.baseline,
        settings.margin,
        relative_change=settings.true_change,
        direction=direction,
        **common,
    )


def _detectable(n_control: Any, settings: PlanSettings) -> Floats:
    return minimum_detectable_change(
        n_control,
        settings.baseline,
        change="increase" if is_loss_up(settings.metric) else "decrease",
        alpha=settings.alpha,
        power=settings.power,
        allocation=settings.allocation,
        design_effect=settings.design_effect,
    )


def _sentences(settings: PlanSettings, size: SampleSize, days: int | None, detectable: float | None) -> tuple[str, ...]:
    name = metric_name(settings.metric)
    rate = f"a baseline {name} of {percent(settings.baseline)}"
    chance = f"with {percent(settings.power)} power at {percent(settings.alpha)}"
    if settings.margin is not None:
        truth = "there is none" if not settings.true_change else f"the truth is {signed(settings.true_change)}"
        word = "rise" if is_loss_up(settings.metric) else "loss"
        aim = f"rule out a relative {word} of {percent(settings.margin)} from {rate} where {truth}"
    else:
        aim = f"find a relative change of {signed(settings.effect or 0)} from {rate}"
    users = size.users_control + size.users_treatment
    first = (
        f"To {aim}, {chance}: {plural(size.n_control, 'query')} in the control, {size.n_treatment:,} in the treatment"
    )
    crowd = f"; that is {plural(users, 'user')} at {settings.queries_per_user:g} queries each"
    found = [f"{first}{crowd if settings.queries_per_user > 1 else ''}.", *_limits(settings, size)]
    if days is not None:
        found.append(f"At {_pace(settings.users_per_day or 0)} new users a day that takes {plural(days, 'day')}.")
    elif settings.users_per_day is not None:
        found.append("At that traffic it would take more than a century.")
    if settings.margin is not None and detectable is not None:
        found.append(
            f"With as many, a two-sided test would find a change of {signed(detectable)}; finding none does not mean "
            "safe."
        )
    if settings.design_effect > 1:
        found.append(
            f"Queries of one user are alike: every number is multiplied by {settings.design_effect:.2f} for it."
        )
    return tuple(found)


def _pace(users_per_day: float) -> str:
    return f"{users_per_day:,.0f}" if users_per_day >= 10 else f"{users_per_day:g}"


def _limits(settings: PlanSettings, size: SampleSize) -> list[str]:
    """Say where the formula asks for fewer users than any verdict needs, or for more than there are people."""
    if size.users_control + size.users_treatment > _PEOPLE:
        return ["There are not as many people: allow a larger loss, or a larger change."]
    if min(size.users_control, size.users_treatment) >= MIN_USERS:
        return []
    users = math.ceil(MIN_USERS / min(settings.treatment_share, 1 - settings.treatment_share))
    return [f"With fewer than {MIN_USERS} users in an arm nothing is called safe or harmful: take {users:,} or more."]
