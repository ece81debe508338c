"""The made-up users of a simulated experiment: how active they are, how they click, and which arm is theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import ParameterError
from engine.experiment.assignment import WEIGHTS_PER_PERCENT, assign, buckets, treatment_weight
from engine.experiment.faults import share_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.experiment.traffic_settings import TrafficSettings

ARMS = ("control", "treatment")

_STREAM = 2  # of the seed
_BOT_NAMES = 1000


@dataclass(frozen=True, eq=False, kw_only=True)
class People:
    """U users, bots last.

    `ids` is a pyarrow StringArray (U,). `activity` (U,) is what a user's share of the queries is proportional to; 0 for
    bots and for those who leave no rows. `traits` (U, 4) float32 are as in `traffic_kernel`. `share_in` of all activity
    leaves rows.
    """

    ids: Any
    n_bots: int
    activity: npt.NDArray[np.float64]
    traits: npt.NDArray[np.float32]
    share_in: float


def make_people(settings: TrafficSettings) -> People:
    """Make up the users of `settings`, with its seed.

    Raises
    ------
    ParameterError
        When an arm is left without users, or a bot finds no id in its arm.
    """
    from engine.experiment.traffic_kernel import BUCKET, FLIPS, INCLINATION, SLOWNESS

    rng = np.random.default_rng([settings.seed, _STREAM])
    n = settings.n_users
    bots = _bot_ids(settings)
    ids = _user_ids(n, bots)
    activity = np.asarray((rng.permutation(n) + 1.0) ** -settings.user_exponent, np.float64)
    traits = np.zeros((len(ids), 4), np.float32)
    traits[:, BUCKET] = buckets(settings.key, ids, 100 * WEIGHTS_PER_PERCENT)
    traits[:n, INCLINATION] = _inclinations(settings, rng)
    traits[:, SLOWNESS] = rng.standard_normal(len(ids), np.float32)
    traits[:n, FLIPS] = rng.random(n) < share_of(settings.faults, "both arms", 1)
    treated = traits[:n, BUCKET] < treatment_weight(max(map(settings.percent_on, range(settings.n_days))))
    total = activity.sum()
    activity[~assign(_traffic_key(settings), ids[:n], settings.traffic_percent)] = 0
    lost = np.array([share_of(settings.faults, "lost users", arm) for arm in range(2)])
    activity[rng.random(n) < lost[treated.astype(np.intp)]] = 0
    _check_arms(settings, activity, treated)
    return People(
        ids=ids,
        n_bots=len(bots),
        activity=np.append(activity, np.zeros(len(bots))),
        traits=traits,
        share_in=float(activity.sum() / total),
    )


def _inclinations(settings: TrafficSettings, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    if settings.click_spread == 0:
        return np.ones(settings.n_users)
    shape = settings.click_spread**-2
    return rng.gamma(shape, 1 / shape, settings.n_users)


def _check_arms(settings: TrafficSettings, activity: npt.NDArray[np.float64], treated: npt.NDArray[np.bool_]) -> None:
    for arm, name in enumerate(ARMS):
        if not settings.ramp and not activity[treated == bool(arm)].any():
            raise ParameterError(
                f"the {name} arm is empty, and there is nothing to compare with",
                found=f"{settings.n_users:,} users, {settings.percent:g} % of them in the treatment",
                hint="Simulate more users, or a more even split",
            )
    if not activity.any():
        raise ParameterError("at least one user must be in the experiment", found="none")


def _traffic_key(settings: TrafficSettings) -> str:
    return f"{settings.key}/traffic"  # a key of its own: who takes part must not decide the arm


def _user_ids(n: int, bots: list[str]) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = pc.utf8_lpad(pc.cast(pa.array(np.arange(1, n + 1)), pa.string()), 7, padding="0")
    return pa.concat_arrays([pc.binary_join_element_wise("user-", numbers, ""), pa.array(bots, pa.string())])


def _bot_ids(settings: TrafficSettings) -> list[str]:
    """Return an id for each bot that the assignment itself puts into the bot's arm."""
    names: list[str] = []
    percent = settings.percent_on(settings.n_days - 1)
    for fault in settings.faults:
        if not fault.is_bot:
            continue
        candidates = [name for i in range(1, _BOT_NAMES + 1) if (name := f"bot-{i}") not in names]
        fitting = assign(settings.key, candidates, percent) == (fault.arm == "treatment")
        fitting &= assign(_traffic_key(settings), candidates, settings.traffic_percent)
        if not fitting.any():
            raise ParameterError(
                f"a bot in the {fault.arm} needs an id which is assigned to it",
                found=f"{percent:g} % in the treatment, {settings.traffic_percent:g} % of the traffic",
                hint="Split more evenly",
            )
        names.append(candidates[int(np.argmax(fitting))])
    return names
