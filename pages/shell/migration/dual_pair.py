"""Old and new store open behind one dual search: few pairs at once, shared by every tab of the process."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from engine.errors import StoreError, printable
from engine.migration import DualSearch
from engine.migration.cut_over import serves_new
from engine.migration.ids import shown_id
from engine.migration.transform import Transform
from engine.progress import ignore_progress, never_cancelled
from pages.shell.migration.access import access
from pages.shell.services import services

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import numpy.typing as npt

    from engine.migration import DualSettings, VectorStore
    from engine.migration.job import MigrationJob
    from pages.shell.migration.access import PairAccess
    from pages.shell.migration.state import Pair
    from pages.shell.migration.view import View
    from pages.shell.services import Services

_MOST_PAIRS = 4
_LONGEST_TEXT = 160
_N_SAMPLED = 200


@dataclass(frozen=True, eq=False, kw_only=True)
class DualPair:
    """Both stores, searched by users' rules (`live`) and, for a look at both, always together (`beside`)."""

    source: VectorStore
    target: VectorStore
    source_dim: int
    target_dim: int
    live: DualSearch
    beside: DualSearch
    opened: ExitStack
    # A store may be searched by many threads, but read by one at a time.
    reading: threading.Lock = field(default_factory=threading.Lock)

    def texts(self, ids: Sequence[Hashable]) -> dict[Hashable, str]:
        """Return what the source's payloads say about these rows, in a line each. Raises StoreError."""
        with self.reading:
            batch = self.source.fetch(list(ids), dim=1)  # type: ignore[arg-type]  # searches return ids
        return {one: _line(batch.payload(row)) for row, one in enumerate(batch.ids)}

    def sampled(self, *, seed: int = 0) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
        """Return ids and vectors (n, D) of rows drawn from the source's first batch, to ask with. Raises StoreError."""
        with self.reading:
            batch = next(self.source.scan(batch_size=10 * _N_SAMPLED, with_payload=False), None)
        if batch is None:
            raise StoreError("the source must hold rows to ask with", found="none")
        good = np.flatnonzero(np.isfinite(batch.vectors).all(axis=1) & (batch.vectors != 0).any(axis=1))
        rows = np.sort(np.random.default_rng(seed).permutation(good)[:_N_SAMPLED])
        return tuple(shown_id(batch.ids[row]) for row in rows), np.ascontiguousarray(batch.vectors[rows])


def dual_pair(view: View) -> DualPair:
    """Return the dual search of a migration's stores. Raises StoreError, ParameterError or PathError."""
    return _opened(_key(view.pair, view.job), access(view.pair), services())


def forget_pair(pair: Pair, job: MigrationJob | None) -> None:
    """Let go of both stores, which some databases open once only; a next look begins to count anew."""
    _opened.clear(_key(pair, job), access(pair), services())


def _key(pair: Pair, job: MigrationJob | None) -> str:
    # What a finished run or catch-up has made of the target is another table.
    return json.dumps([services().workspace.id, pair.source, pair.target, None if job is None else job.run_id])


def _close(pair: DualPair) -> None:
    pair.live.close()
    pair.beside.close()
    pair.opened.close()


@st.cache_resource(max_entries=_MOST_PAIRS, show_spinner="Opening both stores", on_release=_close)
def _opened(key: str, _stores: PairAccess, _shared: Services) -> DualPair:  # noqa: ARG001  # what the cache looks up
    with ExitStack() as opened:
        source, target = _stores.open(opened, progress=ignore_progress, cancelled=never_cancelled)
        here, there = source.describe(), target.describe()
        if here.dim is None or there.dim is None or there.dim > here.dim:
            raise StoreError(
                "the target must hold as many dims as the source or fewer", found=f"{there.dim}, source {here.dim}"
            )
        cut = Transform(dims=there.dim, normalise=(there.metric or here.metric) in {None, "cosine"})

        def old(query: npt.NDArray[np.float32], k: int) -> Sequence[Hashable]:
            return source.search(query[None, :], k).ids[0]

        def new(query: npt.NDArray[np.float32], k: int) -> Sequence[Hashable]:
            return target.search(cut.cut(query[None, :]), k).ids[0]

        control, flags = _shared.dual_control, _shared.flags

        def together() -> DualSettings:
            return replace(control(), mode="merge")

        return DualPair(
            source=source,
            target=target,
            source_dim=here.dim,
            target_dim=there.dim,
            live=DualSearch(old, new, settings=control, serves_new=lambda user: serves_new(flags, user)),
            beside=DualSearch(old, new, settings=together),
            opened=opened.pop_all(),
        )


def _line(payload: Any) -> str:
    """Return the text of a payload where it has one, else all of it."""
    if isinstance(payload, dict):
        fields: Mapping[str, Any] = payload
        told = next((fields[name] for name in ("text", "title", "name") if isinstance(fields.get(name), str)), None)
        if told is not None:
            return printable(told, longest=_LONGEST_TEXT)
    return "" if payload is None else printable(json.dumps(payload, ensure_ascii=False), longest=_LONGEST_TEXT)
