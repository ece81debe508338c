"""Qdrant: a collection on a server, or in a folder that the engine opens within this process."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import numpy as np

from engine.errors import FormatError
from engine.migration.ids import INT64, coded_text, fits, from_coded_text, order_key
from engine.migration.stores import checks
from engine.migration.stores.failures import existing_table, missing_table, no_moments
from engine.migration.stores.id_sorting import in_canonical_order
from engine.migration.stores.protocol import Batch, IndexSpec, SearchAnswer, StoreInfo, Written
from engine.migration.stores.qdrant_points import LEAST_UUID, batch_of, original_id, point_id, point_payload
from engine.progress import Cancelled, Progress, ignore_progress, never_cancelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    import numpy.typing as npt

    from engine.migration.ids import Id, IdKind
    from engine.migration.stores.protocol import IndexInfo, TableSpec
    from engine.migration.stores.qdrant_points import Collection, Point, PointId, Points
    from engine.migration.stores.urls import StoreUrl

_POINTS_A_CALL = 1024


class QdrantStore:
    """A collection behind `points`, which know the server or the folder.

    Scans go by point ids, numbers before UUIDs. That is the canonical order unless ids are mapped; then `ids` sorts
    them on disk. With the metric cosine Qdrant keeps vectors divided by their norm.
    """

    def __init__(self, url: StoreUrl, points: Points) -> None:
        self._url = url
        self._points = points
        self._known: tuple[Collection, IdKind] | None = None

    @property
    def url(self) -> str:
        """The store's URL without its secrets."""
        return str(self._url)

    def describe(self) -> StoreInfo:
        """Look the collection up."""
        self._known = None
        collection, id_kind = self._collection()
        return StoreInfo(
            kind="qdrant",
            url=self.url,
            table=self._url.table,
            server=self._points.server,
            dim=collection.dim,
            dim_is_declared=True,
            dtype=collection.dtype,
            metric=collection.metric,
            index=self._points.index(),
            id_kind=id_kind,
            ids_are_unique=True,
            n_rows=self._points.count(),
            n_bytes=self._points.n_bytes(),
            has_payload=True,
            has_updated_at=collection.notes.has_updated_at,
            left_out=collection.left_out,
            normalises=collection.metric == "cosine",
            mark=collection.notes.mark,
        )

    def exists(self) -> bool:
        """Tell whether the collection is there."""
        return self._points.collection() is not None

    def count(self) -> int:
        """Count the points."""
        self._collection()
        return self._points.count()

    def create(self, spec: TableSpec) -> None:
        """Create the collection."""
        self._known = None
        if self.exists():
            raise existing_table("collection", self._url.table)
        self._points.create(spec)

    def drop(self) -> None:
        """Remove the collection."""
        self._known = None
        self._points.drop()

    def set_mark(self, mark: str | None) -> None:
        """Keep the mark with the collection."""
        collection, _ = self._collection()
        self._points.set_notes(replace(collection.notes, mark=mark))
        self._known = None

    def ids(self, *, after: Id | None = None, batch_size: int = 65_536) -> Iterator[tuple[Id, ...]]:
        """Yield all ids in canonical order; mapped ones are sorted on disk first."""
        checks.check_batch_size(batch_size)
        _, id_kind = self._collection()
        is_mapped = id_kind in {"text", "mixed"} or (id_kind == "int" and bool(self._scroll(LEAST_UUID, 1)))
        if is_mapped:
            pages = (tuple(original_id(one.id, one.payload) for one in page) for page in self._pages(None, batch_size))
            yield from in_canonical_order(pages, after=after, batch_size=batch_size)
            return
        least = b"" if after is None else order_key(after)
        start = after if after is not None and fits(after, id_kind) and not isinstance(after, str) else None
        if isinstance(start, int) and start < 0:
            start = None
        for page in self._pages(start, batch_size):
            if kept := tuple(one.id for one in page if order_key(one.id) > least):
                yield kept

    def fetch(self, ids: Sequence[Id], *, dim: int | None = None, with_payload: bool = True) -> Batch:
        """Return the rows that have one of `ids`, in the order asked."""
        collection, id_kind = self._collection()
        checks.check_prefix(dim, collection.dim)
        wanted = [one for one in dict.fromkeys(ids) if fits(one, id_kind)]
        found: list[Point] = []
        for start in range(0, len(wanted), _POINTS_A_CALL):
            page = [point_id(one, id_kind) for one in wanted[start : start + _POINTS_A_CALL]]
            found += self._points.retrieve(page, with_payload=with_payload)
        return checks.in_asked_order(batch_of(found, collection, dim=dim, with_payload=with_payload), wanted)

    def scan(
        self,
        *,
        after: str | None = None,
        batch_size: int = 2048,
        dim: int | None = None,
        with_payload: bool = True,
        changed_since: datetime | None = None,
    ) -> Iterator[Batch]:
        """Yield all points in the order of their own ids; what changed is told here, not by the server."""
        checks.check_batch_size(batch_size)
        collection, _ = self._collection()
        checks.check_prefix(dim, collection.dim)
        if changed_since is not None and not collection.notes.has_updated_at:
            raise no_moments()
        last = None if after is None else from_coded_text(after)
        start = None if isinstance(last, str) else last
        while True:
            page = self._scroll(start, batch_size + 1, with_vector=True, with_payload=with_payload)
            page = page[1:] if page and page[0].id == start else page[:batch_size]
            if not page:
                return
            start = page[-1].id
            batch = replace(batch_of(page, collection, dim=dim, with_payload=with_payload), cursor=coded_text(start))
            if changed_since is not None and batch.updated_at is not None:
                least = np.datetime64(checks.microseconds(changed_since), "us")
                batch = replace(batch.take(batch.updated_at >= least), cursor=batch.cursor)
            if len(batch):
                yield batch

    def upsert(self, batch: Batch, *, is_new: bool = False) -> Written:
        """Write points; Qdrant replaces those of the same ids by itself."""
        collection, id_kind = self._collection()
        reasons = checks.rejections(batch, dim=collection.dim, dtype=collection.dtype, id_kind=id_kind)
        rest = self._completed(checks.without(batch, reasons), is_new=is_new)
        rows = {one: row for row, one in enumerate(batch.ids)}
        points: list[PointId] = []
        payloads = []
        kept: list[int] = []
        for row, one in enumerate(rest.ids):
            point = point_id(one, id_kind)
            moment = rest.updated_at[row] if rest.updated_at is not None else None
            raw = rest.payloads[row] if rest.payloads is not None else None
            try:
                payloads.append(point_payload(one, point, raw, moment if collection.notes.has_updated_at else None))
            except FormatError:
                reasons[rows[one]] = "its payload is not JSON"
                continue
            points.append(point)
            kept.append(row)
        for start in range(0, len(points), _POINTS_A_CALL):
            end = start + _POINTS_A_CALL
            self._points.write(points[start:end], rest.vectors[kept[start:end]], payloads[start:end])
        return Written(n_written=len(points), rejected=checks.rejected_rows(batch, reasons))

    def delete(self, ids: Sequence[Id]) -> int:
        """Delete the points that have one of `ids`."""
        _, id_kind = self._collection()
        points = [point_id(one, id_kind) for one in dict.fromkeys(ids) if fits(one, id_kind)]
        before = self._points.count()
        for start in range(0, len(points), _POINTS_A_CALL):
            self._points.delete(points[start : start + _POINTS_A_CALL])
        return before - self._points.count()

    def search(
        self, queries: npt.NDArray[np.float32], k: int, *, ef: int | None = None, exact: bool = False
    ) -> SearchAnswer:
        """Search through the graph where there is one."""
        collection, _ = self._collection()
        queries = checks.check_queries(queries, k, collection.dim)
        answers, latency_ms = self._points.search(queries, k, ef=None if ef is None else max(ef, k), exact=exact)
        scores = np.full((len(queries), k), np.nan, dtype=np.float32)
        for place, hits in enumerate(answers):
            values = [hit.score for hit in hits]
            scores[place, : len(hits)] = [-(one**2) for one in values] if collection.metric == "l2" else values
        found = tuple(tuple(original_id(hit.id, hit.payload) for hit in hits) for hits in answers)
        return SearchAnswer(ids=found, scores=scores, latency_ms=latency_ms)

    def build_index(
        self,
        spec: IndexSpec | None = None,
        *,
        progress: Progress = ignore_progress,
        cancelled: Cancelled = never_cancelled,
    ) -> IndexInfo | None:
        """Build the graph; a collection of few vectors is searched without one."""
        self._collection()
        self._points.build_index(spec or IndexSpec(), progress=progress, cancelled=cancelled)
        return self._points.index()

    def now(self) -> datetime:
        """Return this machine's clock."""
        return datetime.now(UTC)

    def close(self) -> None:
        """Let go of the connection, or of the folder."""
        self._known = None
        self._points.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _collection(self) -> tuple[Collection, IdKind]:
        if self._known is None:
            found = self._points.collection()
            if found is None:
                raise missing_table("collection", self._url.table, there=self._points.there())
            self._known = (found, found.notes.id_kind or self._guessed_kind())
        return self._known

    def _guessed_kind(self) -> IdKind:
        """Tell the kind of ids by looking where each kind would stand."""
        numbers = self._scroll(None, 1)
        has_numbers = bool(numbers) and isinstance(numbers[0].id, int)
        uuids = self._scroll(LEAST_UUID, 1)
        if uuids and original_id(uuids[0].id, uuids[0].payload) != uuids[0].id:
            return "mixed" if has_numbers else "text"
        if uuids:
            return "mixed" if has_numbers else "uuid"
        beyond = self._scroll(INT64.stop, 1)
        return "uint" if beyond and isinstance(beyond[0].id, int) else "int"

    def _scroll(
        self, start: PointId | None, limit: int, *, with_vector: bool = False, with_payload: bool = True
    ) -> list[Point]:
        return self._points.scroll(start, limit, with_vector=with_vector, with_payload=with_payload)

    def _pages(self, start: PointId | None, batch_size: int) -> Iterator[list[Point]]:
        while True:
            page = self._points.scroll(start, batch_size + 1, with_vector=False, with_payload=False)
            page = page[1:] if page and page[0].id == start else page[:batch_size]
            if not page:
                return
            yield page
            start = page[-1].id

    def _completed(self, batch: Batch, *, is_new: bool) -> Batch:
        """Return `batch` with the payloads and moments that its points have already, where it brings none itself."""
        collection, _ = self._collection()
        wants_moments = collection.notes.has_updated_at and batch.updated_at is None
        if is_new or not len(batch) or (batch.payloads is not None and not wants_moments):
            return batch
        there = self.fetch(batch.ids)
        return checks.completed(batch, there)
