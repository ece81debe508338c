"""Simulate team-draft interleaving of the two arms' stored lists: every page mixes both, and its clicks choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import ParameterError
from engine.experiment.clicks import arm_dims, click_model
from engine.experiment.interleaving import TEAM_A, TEAM_B, preference_by_user, team_draft
from engine.experiment.people import make_people
from engine.experiment.traffic_kernel import INCLINATION
from engine.progress import ignore_progress, never_cancelled, stop_if

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.embeddings.embedding_set import Judgements
    from engine.experiment.clicks import ClickModel
    from engine.experiment.interleaving import Preference
    from engine.experiment.traffic_settings import TrafficSettings
    from engine.progress import Cancelled, Progress
    from engine.tradeoff import SweepResult

MOST_PAGES = 10_000_000

_STREAM = 4  # of the seed
_CHUNK_PAGES = 1 << 14  # × 10 × 10 comparisons of results: a few MB


@dataclass(frozen=True, eq=False, kw_only=True)
class InterleavedTraffic:
    """Pages that interleave the lists of control and treatment, counted for each of U users who saw one.

    A page is won by the arm with more clicks on it; `ties` also count pages without a click. `preference` reads them,
    with a the control and b the treatment.
    """

    dims: tuple[int, int]
    n_pages: int
    n_clicks: int
    wins_control: npt.NDArray[np.int64]
    wins_treatment: npt.NDArray[np.int64]
    ties: npt.NDArray[np.int64]
    preference: Preference
    labels: tuple[str, ...]
    assumptions: tuple[str, ...]


def simulate_interleaving(
    settings: TrafficSettings,
    sweep: SweepResult,
    *,
    judgements: Judgements | None = None,
    n_pages: int = 100_000,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> InterleavedTraffic:
    """Show `n_pages` interleaved result pages to the users of `settings` and count which arm their clicks prefer.

    Users, popularity of queries and click model are those of `simulate`; assignment, latency, errors and faults play no
    part, since every user sees both lists.

    Raises
    ------
    ParameterError
        When `n_pages` is out of range, or the sweep or judgements do not fit the settings.
    CancelledError
        When `cancelled` answers true.
    """
    if not 1 <= n_pages <= MOST_PAGES:
        raise ParameterError(f"the number of pages must be from 1 to {MOST_PAGES:,}", found=n_pages)
    control, treatment = arm_dims(settings, sweep)
    clicks = click_model(settings, sweep, judgements=judgements)
    people = make_people(settings)
    rng = np.random.default_rng([settings.seed, _STREAM])
    user = rng.choice(len(people.ids), n_pages, p=people.activity / people.activity.sum())
    query = rng.choice(len(sweep.query_ids), n_pages, p=clicks.popularity)
    balance, n_clicks = np.empty(n_pages, np.int8), 0
    for start in range(0, n_pages, _CHUNK_PAGES):
        stop_if(cancelled)
        rows = slice(start, start + _CHUNK_PAGES)
        shown = (sweep.ids[control][query[rows]], sweep.ids[treatment][query[rows]])
        won, clicked = _show(clicks, query[rows], shown, people.traits[user[rows], INCLINATION], rng)
        balance[rows], n_clicks = won, n_clicks + clicked
        progress(min(1.0, rows.stop / n_pages), f"Showed {min(rows.stop, n_pages):,} interleaved pages")
    counts = [np.bincount(user[balance == sign], minlength=len(people.ids)) for sign in (-1, 1, 0)]
    seen = sum(counts) > 0
    wins_control, wins_treatment, ties = (count[seen] for count in counts)
    return InterleavedTraffic(
        dims=(sweep.dims[control], sweep.dims[treatment]),
        n_pages=n_pages,
        n_clicks=n_clicks,
        wins_control=wins_control,
        wins_treatment=wins_treatment,
        ties=ties,
        preference=preference_by_user(wins_control, wins_treatment, ties),
        labels=("simulated",),
        assumptions=_assumptions(clicks),
    )


def _show(
    clicks: ClickModel,
    query: npt.NDArray[np.int64],
    lists: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
    inclination: npt.NDArray[np.float32],
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.int8], int]:
    """Return who wins each page, -1 the control, 1 the treatment, 0 neither, and the number of clicks."""
    attractive, examined = clicks.attraction, clicks.examined
    if attractive is None or examined is None:
        raise ParameterError("interleaving needs ranked lists", hint="Simulate on a sweep")
    depth = len(examined)
    a, b = (ids[:, :depth] for ids in lists)
    pages = team_draft(a, b, k=depth, rng=rng)
    attraction = np.zeros(pages.ids.shape)
    for arm, ids in ((1, b), (0, a)):
        same = pages.ids[:, :, None] == ids[:, None, :]
        found = same.any(axis=2)
        of_list = attractive[arm][query]
        attraction[found] = np.take_along_axis(of_list, same.argmax(axis=2), axis=1)[found]
    clicked = rng.random(attraction.shape) < attraction * examined * inclination[:, None]
    of_control = (clicked & (pages.team == TEAM_A)).sum(axis=1)
    of_treatment = (clicked & (pages.team == TEAM_B)).sum(axis=1)
    return np.sign(of_treatment - of_control).astype(np.int8), int(clicked.sum())


def _assumptions(clicks: ClickModel) -> tuple[str, ...]:
    relevance = "the relevance judgements" if clicks.source == "judgements" else "the full-dimension list"
    return (
        "Simulated traffic: no real user stands behind these pages.",
        f"Clicks follow {relevance}, less the further down a document stands; each place is clicked on by itself.",
        "Interleaving says which list people prefer, and nothing about conversion, errors or latency.",
    )
