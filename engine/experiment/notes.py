"""What an analysis takes for granted, and what limits it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.errors import printable
from engine.experiment.settings import LATENCY, METRICS, metric_name
from engine.experiment.user_sums import MAX_SEGMENTS, QUERIES, SQUARES, metrics_of
from engine.experiment.wording import as_start, listed, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.experiment.events import Events
    from engine.experiment.settings import AnalysisSettings
    from engine.experiment.user_sums import UserSums

_HEAVY = 0.3  # of an arm's sum of squares: from here on one user decides how wide the intervals are
_FAR_ABOVE = 20  # times the mean
_EXAMPLES = 3


def assumptions_of(events: Events | None, settings: AnalysisSettings) -> tuple[str, ...]:
    """Return what every number of the analysis rests on."""
    if events is None:
        return ("Every query counts as one of a user of its own; where users have several, give a log instead.",)
    tightest = f"{settings.sequential_n:,} users"
    own = [
        (
            "Users are the unit: a user's queries are taken together (delta method), so many queries of few users "
            "prove little."
        ),
        "CTR, conversion and error rate are shares of all queries.",
        (
            f"A metric is safe when a one-sided test at {percent(settings.alpha)} rules out a loss of the margin, and "
            f"harmful when its {percent(settings.confidence)} interval lies beyond it."
        ),
        (
            f"The anytime-valid interval is tightest at {tightest}; it rests on a central limit theorem and on users "
            "who come one after the other."
        ),
    ]
    if settings.stages:
        own.append("Stages of the ramp are compared one by one and averaged with Mantel-Haenszel weights.")
    return (*events.assumptions, *own)


def warnings_of(
    events: Events | None, stages: Sequence[UserSums], *, arms: Sequence[str], settings: AnalysisSettings
) -> tuple[str, ...]:
    """Return what a reader must know before trusting the numbers."""
    if events is None:
        return ()
    return (
        *events.warnings,
        *_absent(events, settings),
        *_crossing_users(events, stages),
        *_heavy_users(events, stages, arms),
        *_beyond_segments(events),
        *_ramp(stages, events),
    )


def _absent(events: Events, settings: AnalysisSettings) -> list[str]:
    there = {*metrics_of(events), *([LATENCY] if events.latency_ms is not None else [])}
    absent = [metric_name(name) for name in (*METRICS, LATENCY) if name in settings.judged and name not in there]
    if not absent:
        return []
    return [f"{as_start(listed(absent))} {'is' if len(absent) == 1 else 'are'} not in the events and not judged."]


def _crossing_users(events: Events, stages: Sequence[UserSums]) -> list[str]:
    """Name some of the users of both arms, to look their exposures up."""
    crossing = np.unique(np.concatenate([np.flatnonzero(stage.both_arms) for stage in stages]))[:_EXAMPLES]
    if not len(crossing):
        return []
    names = listed([f"“{printable(events.user_ids[int(user)], longest=40)}”" for user in crossing])
    return [f"Users of both arms are, for example, {names}."]


def _heavy_users(events: Events, stages: Sequence[UserSums], arms: Sequence[str]) -> list[str]:
    """Name a user whose queries alone widen every interval: most often a bot."""
    found = []
    for arm, name in enumerate(arms):
        stage = max(stages, key=lambda one: int(one.most_queries[arm]))
        total, most = stage.total[arm], int(stage.most_queries[arm])
        n_users = int(stage.seen_users[arm])
        if (
            n_users < 2
            or most * most < _HEAVY * int(total[SQUARES])
            or most * n_users < _FAR_ABOVE * int(total[QUERIES])
        ):
            continue
        user = printable(events.user_ids[int(stage.heaviest[arm])], longest=40)
        share = percent(most / int(total[QUERIES]))
        found.append(f"User “{user}” sent {most:,} queries, {share} of {name}: check whether that is a bot.")
    return found


def _beyond_segments(events: Events) -> list[str]:
    if len(events.segments) <= MAX_SEGMENTS:
        return []
    return [f"Of {len(events.segments):,} segments the {MAX_SEGMENTS} with the most queries are shown."]


def _ramp(stages: Sequence[UserSums], events: Events) -> list[str]:
    if len(stages) < 2 or events.latency_ms is None:
        return []
    from engine.experiment.latency_changes import busiest

    stage = busiest(stages)
    last = stage.first_day + len(stage.cumulative) - 1
    return [
        f"Latency is read on days {stage.first_day} to {last} only: percentiles of several stages cannot be averaged."
    ]
