"""Simulate an experiment: people with habits, queries with popularity, and what each arm shows them.

Rows are drawn day by day: a user by activity, a query by popularity, then a click on the arm's own list, a conversion
of the click, an error and a latency. A user's own inclination to click and own slowness make the rows of a user alike,
which is why such rows must be analysed by user.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.experiment.clicks import arm_dims, click_model
from engine.experiment.events import Events
from engine.experiment.latency_draws import latency_tables
from engine.experiment.people import ARMS, make_people
from engine.experiment.traffic_rows import Drawing
from engine.experiment.traffic_sentences import assumptions
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.scoring.nested import usable_processors

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.embeddings.embedding_set import Judgements
    from engine.experiment.traffic_settings import TrafficSettings
    from engine.progress import Cancelled, Progress
    from engine.tradeoff import SweepResult
    from engine.tradeoff.latency.results import LatencyResult

MOST_ROWS_WITH_QUERIES = 5_000_000
"""Up to so many rows the events keep which query each row asked; beyond, 4 bytes a row would weigh too much."""

_SHARE_OF_DRAWING = 0.95
MOST_SEGMENTS = 1000
"""Queries of more segments than this are not told apart by segment."""

_GATHERED_ROWS = 1 << 20


def simulate(
    settings: TrafficSettings,
    *,
    sweep: SweepResult | None = None,
    judgements: Judgements | None = None,
    latency: LatencyResult | None = None,
    n_threads: int | None = None,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> Events:
    """Return the events of a simulated experiment, the same for the same settings and seed.

    With a `sweep` each arm shows its own ranked lists, and clicks follow `judgements` of the sweep's queries or,
    without them, the full-dimension list (see `clicks`); without a sweep the arms' plain numbers hold. `latency` draws
    from measured samples (see `latency_draws`). The events' `assumptions` say which of this was done.

    Raises
    ------
    ParameterError
        When an arm is left without users, or the sweep, judgements or latency do not fit the settings.
    CancelledError
        When `cancelled` answers true.
    """
    progress(0.0, "Making up the users")
    dims = None
    if sweep is not None:
        control, treatment = arm_dims(settings, sweep)
        dims = (sweep.dims[control], sweep.dims[treatment])
    clicks = click_model(settings, sweep, judgements=judgements)
    latencies = latency_tables(settings, latency, dims)
    people = make_people(settings)
    drawing = Drawing(settings, people, clicks, latencies, keeps_query=sweep is not None)
    with ThreadPoolExecutor(n_threads or usable_processors()) as pool:
        for day in range(settings.n_days):
            stop_if(cancelled)
            drawing.draw_day(day, pool)
            share = _SHARE_OF_DRAWING * (day + 1) / settings.n_days
            progress(share, f"Simulated day {day + 1} of {settings.n_days}")
    events = _events(settings, drawing, sweep, assumptions(settings, sweep, clicks, latency))
    progress(1.0, "Done")
    return events


def _events(
    settings: TrafficSettings, drawing: Drawing, sweep: SweepResult | None, sentences: tuple[str, ...]
) -> Events:
    """Return what was drawn, without the users that never came."""
    columns = drawing.columns
    segments, segment = _segments(sweep, columns.query)
    keeps_query = 0 < len(columns.query) <= MOST_ROWS_WITH_QUERIES
    share = settings.percent_on(settings.n_days - 1) / 100
    return Events(
        experiment_id=settings.key,
        arms=ARMS,
        shares=(1 - share, share),
        user_ids=_drop_unseen(drawing.people.ids, columns.user),
        user=columns.user,
        arm=columns.arm,
        day=columns.day,
        first_day=settings.first_day,
        clicked=columns.clicked,
        converted=columns.converted,
        error=columns.error,
        latency_ms=columns.latency_ms,
        segment=segment,
        segments=segments,
        query=columns.query if keeps_query else None,
        labels=("simulated",),
        assumptions=sentences,
    )


def _segments(
    sweep: SweepResult | None, query: npt.NDArray[np.int32]
) -> tuple[tuple[str, ...], npt.NDArray[np.int16] | None]:
    """Return the names of the segments and that of each row's query; nothing where the queries have none."""
    if sweep is None or sweep.query_segments is None:
        return (), None
    names, of_query = np.unique(np.array(sweep.query_segments), return_inverse=True)
    if not 1 < len(names) <= MOST_SEGMENTS:
        return (), None
    segment = np.empty(len(query), np.int16)
    np.take(of_query.astype(np.int16), query, out=segment, mode="clip")
    return tuple(map(str, names)), segment


def _drop_unseen(ids: Any, user: npt.NDArray[np.int32]) -> Any:
    """Return the `ids` of users with a row, and renumber `user` in place."""
    seen = np.zeros(len(ids), np.bool_)
    blocks = [slice(start, start + _GATHERED_ROWS) for start in range(0, len(user), _GATHERED_ROWS)]
    for block in blocks:
        seen[user[block]] = True
    if seen.all():
        return ids
    place = (np.cumsum(seen) - 1).astype(np.int32)
    for block in blocks:
        user[block] = place[user[block]]
    return ids.filter(seen)
