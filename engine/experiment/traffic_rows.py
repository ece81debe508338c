"""Draw the rows of simulated traffic, a day at a time, in blocks on several threads."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.experiment.assignment import treatment_weight
from engine.experiment.faults import day_effects
from engine.experiment.latency_draws import standard_normals
from engine.experiment.traffic_kernel import BLOCK_ROWS, BUCKET, LATENCY_REACH, alias_table, draw_rows

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    import numpy.typing as npt

    from engine.experiment.clicks import ClickModel
    from engine.experiment.faults import Fault
    from engine.experiment.people import People
    from engine.experiment.traffic_settings import TrafficSettings

_STREAM_BOTS = 3  # of the seed


@dataclass(frozen=True, eq=False, kw_only=True)
class Columns:
    """What is drawn of each row, as in `Events`; `query` has no rows where it is not kept."""

    user: npt.NDArray[np.int32]
    arm: npt.NDArray[np.uint8]
    day: npt.NDArray[np.int16]
    clicked: npt.NDArray[np.bool_]
    converted: npt.NDArray[np.bool_]
    error: npt.NDArray[np.bool_]
    latency_ms: npt.NDArray[np.float32]
    query: npt.NDArray[np.int32]

    @classmethod
    def of(cls, n: int, *, keeps_query: bool) -> Columns:
        """Allocate `n` rows."""
        return cls(
            user=np.empty(n, np.int32),
            arm=np.empty(n, np.uint8),
            day=np.empty(n, np.int16),
            clicked=np.empty(n, np.bool_),
            converted=np.empty(n, np.bool_),
            error=np.empty(n, np.bool_),
            latency_ms=np.empty(n, np.float32),
            query=np.empty(n if keeps_query else 0, np.int32),
        )

    def all(self) -> list[npt.NDArray[Any]]:
        """Return the columns in the order of the kernel."""
        return [getattr(self, field.name) for field in fields(self)]


class Drawing:
    """The tables that rows are drawn from, and the rows drawn so far."""

    def __init__(
        self,
        settings: TrafficSettings,
        people: People,
        clicks: ClickModel,
        latencies: npt.NDArray[np.float64],
        *,
        keeps_query: bool,
    ) -> None:
        self.settings, self.people, self.latencies = settings, people, latencies
        self.users, self.queries = alias_table(people.activity), alias_table(clicks.popularity)
        self.clicks, self.normals = clicks, standard_normals()
        self.effects = day_effects(settings.faults, settings.n_days)
        self.bots = [fault for fault in settings.faults if fault.is_bot]
        self.rows_a_day = round(settings.queries_per_day * people.share_in)
        self.n_rows = 0
        bot_rows = sum(int(fault.amount) for day in range(settings.n_days) for fault in self._bots_on(day))
        self.columns = Columns.of(self.rows_a_day * settings.n_days + bot_rows, keeps_query=keeps_query)

    def draw_day(self, day: int, pool: ThreadPoolExecutor) -> None:
        """Draw the rows of `day`, in blocks on the threads of `pool`, and those of its bots after them."""
        first, rates = self.n_rows, self._rates(day)
        below = treatment_weight(self.settings.percent_on(day))

        def draw(block: int) -> None:
            start = first + block * BLOCK_ROWS
            stop = min(start + BLOCK_ROWS, first + self.rows_a_day)
            tables = (self.users, self.people.traits, self.queries, self.clicks.rates, rates, self.normals)
            seeded = (self.settings.seed, start, stop, day, block, below)
            draw_rows(*seeded, *tables, self.latencies, self.settings.latency_spread, *self.columns.all())

        list(pool.map(draw, range(-(-self.rows_a_day // BLOCK_ROWS))))
        self.n_rows += self.rows_a_day
        for fault in self._bots_on(day):
            self._add_bot(fault, day, below, rates)

    def _rates(self, day: int) -> npt.NDArray[np.float64]:
        """Return click factor, conversions of a click, error rate and latency factor of both arms, (4, 2)."""
        errors = np.array([self.settings.control.error_rate, self.settings.treatment.error_rate])
        return np.array(
            [
                self.effects.clicks[day],
                self.clicks.conversions_of_click,
                errors + self.effects.errors[day],
                self.effects.latency[day],
            ]
        )

    def _bots_on(self, day: int) -> list[Fault]:
        days = range(self.settings.n_days)
        return [fault for fault in self.bots if day in days[fault.days(self.settings.n_days)]]

    def _add_bot(self, fault: Fault, day: int, below: int, rates: npt.NDArray[np.float64]) -> None:
        number = self.bots.index(fault)
        rng = np.random.default_rng([self.settings.seed, _STREAM_BOTS, day, number])
        start, stop = self.n_rows, self.n_rows + int(fault.amount)
        rows, columns = slice(start, stop), self.columns
        user = len(self.people.ids) - len(self.bots) + number
        arm = int(self.people.traits[user, BUCKET] < below)
        normals = rng.choice(self.normals, stop - start)
        grid = np.linspace(-LATENCY_REACH, LATENCY_REACH, self.latencies.shape[1])
        columns.user[rows], columns.arm[rows], columns.day[rows] = user, arm, day
        columns.clicked[rows] = fault.kind == "clicking bot"
        columns.converted[rows], columns.error[rows] = False, False
        columns.latency_ms[rows] = np.interp(normals, grid, self.latencies[arm]) * rates[3, arm]
        if len(columns.query):
            columns.query[rows] = rng.integers(len(self.clicks.popularity), size=stop - start)
        self.n_rows = stop
