"""The jobs of the Migration page: look at stores, plan, prepare the demonstration, move, and ask many queries."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.errors import StoreError
from engine.migration import Migrator
from engine.migration.stores.urls import StoreSecrets
from engine.progress import stop_if
from pages.shell.migration.access import Access, look
from pages.shell.migration.state import Looked, Pair

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from engine.migration import DualSearch, MigrationPlan
    from engine.progress import Cancelled, Progress
    from engine.tradeoff import Interval
    from engine.workspace import Workspace
    from engine.workspace.jobs import Work
    from pages.shell.migration.access import PairAccess
    from pages.shell.migration.shared import Transfers
    from pages.shell.migration.state import Fields

Move = Literal["run", "catch up", "retry"]

_K = 10


@dataclass(frozen=True, kw_only=True)
class BothLooked:
    """What was found at the two URLs of a migration."""

    migration: str
    source: Looked
    target: Looked


@dataclass(frozen=True, eq=False, kw_only=True)
class Planned:
    """A plan, and the fields that it was made of."""

    migration: str
    pair: Pair
    fields: Fields
    plan: MigrationPlan


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The demonstration's two stores; `moves` says that its migration shall begin at once."""

    source: Looked
    target: Looked
    dims: int
    moves: bool

    @property
    def pair(self) -> Pair:
        """The two URLs."""
        return Pair(source=self.source.url, target=self.target.url)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How many of many requests which store answered, and how many none did."""

    sources: dict[str, int]
    n_refused: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """What the search of a finished target is compared with: real queries (q, D), and a sweep's recall@10."""

    queries: npt.NDArray[np.float32] | None = None
    predicted: Interval | None = None


def look_work(migration: str, stores: PairAccess) -> Work:
    """Return the job that describes both stores."""

    def work(progress: Progress, cancelled: Cancelled) -> BothLooked:
        stores.start_server(progress=progress, cancelled=cancelled)
        progress(0.1, "Looking at the source")
        source = look(stores.source, may_be_new=False)
        stop_if(cancelled)
        progress(0.5, "Looking at the target")
        return BothLooked(migration=migration, source=source, target=look(stores.target, may_be_new=True))

    return work


def plan_work(migration: str, stores: PairAccess, pair: Pair, fields: Fields, *, workspace: Workspace) -> Work:
    """Return the job that plans a migration. It writes nothing."""

    def work(progress: Progress, cancelled: Cancelled) -> Planned:
        with ExitStack() as opened:
            source, target = stores.open(opened, progress=progress, cancelled=cancelled)
            progress(0.2, "Reading the first rows of the source")
            migrator = Migrator(source, target, fields.settings(), workspace=workspace, actor="")
            return Planned(migration=migration, pair=pair, fields=fields, plan=migrator.plan())

    return work


def prepare_work(transfers: Transfers, *, dims: int | None, moves: bool) -> Work:
    """Return the job that starts the demonstration's server and fills it; `dims` None keeps half of them."""

    def work(progress: Progress, cancelled: Cancelled) -> Prepared:
        made = transfers.demonstrate(dims=dims, progress=progress, cancelled=cancelled)
        source, target = (
            Access(url=url, secrets=StoreSecrets(), data_root=None) for url in (made.source_url, made.target_url)
        )
        return Prepared(
            source=look(source, may_be_new=False), target=look(target, may_be_new=True), dims=made.dims, moves=moves
        )

    return work


def move_work(
    stores: PairAccess, fields: Fields, evidence: Evidence, *, workspace: Workspace, actor: str, what: Move
) -> Work:
    """Return the job that moves, catches up, or tries the quarantine again; its record is its result."""

    def work(progress: Progress, cancelled: Cancelled) -> None:
        with ExitStack() as opened:
            source, target = stores.open(opened, progress=progress, cancelled=cancelled)
            migrator = Migrator(
                source,
                target,
                fields.settings(),
                workspace=workspace,
                actor=actor,
                queries=evidence.queries,
                predicted=evidence.predicted,
            )
            if what == "catch up":
                migrator.catch_up(progress=progress, cancelled=cancelled)
            elif what == "retry":
                progress(0.0, "Trying the rows in quarantine again")
                migrator.retry_quarantine(cancelled=cancelled)
            else:
                migrator.run(progress=progress, cancelled=cancelled)

    return work


def ask_work(search: DualSearch, vectors: npt.NDArray[np.float32], n: int) -> Work:
    """Return the job that asks `n` queries as a service would, in turn, each for a user of its own."""

    def work(progress: Progress, cancelled: Cancelled) -> Asked:
        sources: Counter[str] = Counter()
        n_refused = 0
        for number in range(n):
            stop_if(cancelled)
            query = vectors[number % len(vectors)]
            try:
                sources[search.search(query, _K, user_id=f"user-{number}", wait_for_both=True).source] += 1
            except StoreError:
                n_refused += 1  # counted by the search as well: one store failing, or both, ends nothing here
            progress((number + 1) / n, f"{number + 1:,} of {n:,} queries")
        return Asked(sources=dict(sources), n_refused=n_refused)

    return work
