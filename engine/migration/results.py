"""What a plan, a validation and a finished migration say; kept as runs and shown on pages and in reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from engine.tradeoff.results import Interval

RUN_KIND = "migration"


@dataclass(frozen=True, kw_only=True)
class StoreFacts:
    """The facts about a store that a report needs, as they were found; `url` holds no secret."""

    kind: str
    url: str
    table: str
    server: str
    dim: int | None
    dtype: str
    metric: str | None
    index: str | None
    id_kind: str
    n_rows: int
    has_payload: bool


@dataclass(frozen=True, kw_only=True)
class MigrationPlan:
    """What a migration would do; `refusals` is empty when it may start.

    `seconds` estimates the copy from one batch that was read and transformed, None where the source is empty;
    `target_bytes` counts vectors only. `overwrites` tells that the target's table would be dropped first.
    """

    job_id: str
    source: StoreFacts
    target_url: str
    target_kind: str
    creates: str
    overwrites: bool
    dims: int
    dtype: str
    metric: str
    normalise: bool
    n_rows: int
    batch_size: int
    source_bytes: int
    target_bytes: int
    seconds: float | None
    n_probed: int
    n_probed_held: int
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DiffersRow:
    """A row that differs, for people: its id as text, what differs, and by how much at most."""

    id: str
    what: str
    largest: float | None


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was validated, whether it holds, and the sentence that says so."""

    name: str
    passed: bool
    sentence: str


@dataclass(frozen=True, kw_only=True)
class SearchCheck:
    """Search through the target's own index on `n_queries` queries, with 95 % bootstrap intervals over them.

    `index_recall` compares with the target's exact answer, `neighbour_recall` with the source's exact full-dimension
    answer, which is what a sweep predicts at these dims (`predicted`, None without one).
    """

    k: int
    n_queries: int
    queries: str
    index_recall: Interval
    neighbour_recall: Interval
    predicted: Interval | None


@dataclass(frozen=True, kw_only=True)
class Validation:
    """The verdict on a migration: ``equal`` when every check passed, else ``differs``, with the rows that differ.

    `differing` lists the first 100 of `n_differing`.
    """

    verdict: Literal["equal", "differs"]
    checks: tuple[Check, ...]
    n_source: int
    n_target: int
    n_held: int
    n_values: int
    largest_difference: float
    bound: str
    n_differing: int
    differing: tuple[DiffersRow, ...]
    search: SearchCheck | None


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One pass of catching up: what it found in the source since the copy, and took over."""

    began: str
    ended: str
    n_changed: int
    n_missing: int
    n_deleted: int
    by: str

    @property
    def is_clean(self) -> bool:
        """Whether nothing was left to take over."""
        return self.n_changed == self.n_missing == self.n_deleted == 0


@dataclass(frozen=True, kw_only=True)
class HeldInfo:
    """A row that could not move, for people."""

    id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class MigrationReport:
    """A finished migration; moments are ISO texts in UTC, `copy_s` leaves out the time in which no process ran.

    `equal_from` and `equal_until` bound the last pass over both stores, which found nothing to take over; None when
    the source changed faster than the passes. `held` lists the first 100 of `n_held` rows in quarantine.
    """

    job_id: str
    source: StoreFacts
    target: StoreFacts
    dims: int
    dtype: str
    metric: str
    normalise: bool
    began: str
    ended: str
    n_read: int
    n_written: int
    copy_s: float
    rows_per_s: float
    n_waits: int
    passes: tuple[Pass, ...]
    equal_from: str | None
    equal_until: str | None
    n_held: int
    held: tuple[HeldInfo, ...]
    validation: Validation
    warnings: tuple[str, ...]
