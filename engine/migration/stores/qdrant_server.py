"""A Qdrant collection on a server, through qdrant-client."""

from __future__ import annotations

import time
import uuid
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from engine.errors import EngineError, StoreError, StoreUnavailableError, printable
from engine.migration.stores.failures import of_disk
from engine.migration.stores.payloads import RESERVED
from engine.migration.stores.protocol import IndexInfo
from engine.migration.stores.qdrant import QdrantStore
from engine.migration.stores.qdrant_points import Collection, Hit, Notes, Point, choose_vector, notes_from, plain_vector
from engine.progress import stop_if

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from engine.embeddings.embedding_set import Metric
    from engine.migration.stores.protocol import IndexSpec, TableSpec
    from engine.migration.stores.qdrant_points import PointId
    from engine.migration.stores.urls import StoreSecrets, StoreUrl
    from engine.progress import Cancelled, Progress

DEFAULT_PORT = 6333

_DISTANCES: dict[Metric, models.Distance] = {
    "cosine": models.Distance.COSINE,
    "ip": models.Distance.DOT,
    "l2": models.Distance.EUCLID,
}
_METRICS = {distance: metric for metric, distance in _DISTANCES.items()}
_WE_NEED = models.PayloadSelectorInclude(include=[RESERVED])
_POLL_S = 0.5
_INDEXING_THRESHOLD_KIB = 1000
_QUERIES_AT_ONCE = 64


class QdrantServer(QdrantStore):
    """A collection on a server: ``qdrant://host:port#collection``; ``?tls=1`` for HTTPS."""

    def __init__(self, url: StoreUrl, *, secrets: StoreSecrets, timeout_s: float) -> None:
        super().__init__(url, ServerPoints(url, secrets=secrets, timeout_s=timeout_s))


class ServerPoints:
    """The points of a collection behind a client, which is made at first use, or given."""

    def __init__(
        self, url: StoreUrl, *, secrets: StoreSecrets, timeout_s: float, client: QdrantClient | None = None
    ) -> None:
        self._url = url
        self._secrets = secrets
        self._timeout_s = max(1, int(timeout_s))
        self._client = client
        self._is_given = client is not None
        self._name = url.table
        self._of_vector: str | None = None

    @property
    def server(self) -> str:
        """Name and version of the server."""
        with self._reported() as client:
            return f"Qdrant {client.info().version}"

    def collection(self) -> Collection | None:
        """Ask for the configuration."""
        with self._reported() as client:
            if not client.collection_exists(self._name):
                return None
            config = client.get_collection(self._name).config
        vectors = config.params.vectors
        by_name = vectors if isinstance(vectors, dict) else {"": vectors} if vectors is not None else {}
        name = choose_vector(self._url, list(by_name))
        settings = by_name[name]
        said = (getattr(config, "metadata", None) or {}).get("dimshift")
        return Collection(
            vector=name,
            dim=settings.size,
            dtype="float16" if settings.datatype == models.Datatype.FLOAT16 else "float32",
            metric=_METRICS.get(settings.distance),
            notes=notes_from(said),
            left_out=tuple(other for other in by_name if other != name),
        )

    def there(self) -> list[str]:
        """Return the collections of the server."""
        with self._reported() as client:
            return sorted(one.name for one in client.get_collections().collections)

    def create(self, spec: TableSpec) -> None:
        """Create the collection; nothing is indexed before `build_index` asks for it."""
        params = models.VectorParams(
            size=spec.dim,
            distance=_DISTANCES[spec.metric],
            datatype=models.Datatype.FLOAT16 if spec.dtype == "float16" else None,
        )
        name = self._url.option("vector")
        notes = Notes(id_kind=spec.id_kind, has_updated_at=spec.has_updated_at, mark=spec.mark)
        with self._reported() as client:
            client.create_collection(
                self._name,
                vectors_config={name: params} if name else params,
                optimizers_config=models.OptimizersConfigDiff(indexing_threshold=0),
                metadata={"dimshift": notes.as_json()},
            )

    def drop(self) -> None:
        """Remove the collection."""
        self._of_vector = None
        with self._reported() as client:
            if client.collection_exists(self._name):
                client.delete_collection(self._name)

    def set_notes(self, notes: Notes) -> None:
        """Keep the notes in the collection's metadata."""
        with self._reported() as client:
            client.update_collection(self._name, metadata={"dimshift": notes.as_json()})

    def count(self) -> int:
        """Count the points."""
        with self._reported() as client:
            return int(client.count(self._name, exact=True).count)

    def n_bytes(self) -> int | None:
        """Return None: the server does not say."""
        return None

    def index(self) -> IndexInfo | None:
        """Return the graph; None before anything is indexed."""
        with self._reported() as client:
            info = client.get_collection(self._name)
        collection = self.collection()
        if not info.indexed_vectors_count or collection is None:
            return None
        hnsw = info.config.hnsw_config
        return IndexInfo(
            name="hnsw",
            kind="hnsw",
            metric=collection.metric,
            n_rows=info.indexed_vectors_count,
            options=(("m", str(hnsw.m)), ("ef_construct", str(hnsw.ef_construct))),
        )

    def write(self, ids: Sequence[PointId], vectors: npt.NDArray[np.float32], payloads: list[dict[str, Any]]) -> None:
        """Insert points or replace them, and wait until that is done."""
        name = self._vector_name()
        rows: list[Any] = vectors.tolist()
        with self._reported() as client:
            client.upsert(
                self._name,
                models.Batch(ids=_sent(ids), vectors={name: rows} if name else rows, payloads=payloads),
                wait=True,
            )

    def delete(self, ids: Sequence[PointId]) -> None:
        """Delete points, and wait until that is done."""
        with self._reported() as client:
            client.delete(self._name, models.PointIdsList(points=_sent(ids)), wait=True)

    def scroll(self, start: PointId | None, limit: int, *, with_vector: bool, with_payload: bool) -> list[Point]:
        """Return points from `start` on."""
        name = self._vector_name()
        with self._reported() as client:
            records, _ = client.scroll(
                self._name,
                offset=None if start is None else _sent([start])[0],
                limit=limit,
                with_vectors=([name] if name else True) if with_vector else False,
                with_payload=True if with_payload else _WE_NEED,
            )
        return [_point(record, name) for record in records]

    def retrieve(self, ids: Sequence[PointId], *, with_payload: bool) -> list[Point]:
        """Return the points that are there."""
        name = self._vector_name()
        with self._reported() as client:
            records = client.retrieve(
                self._name,
                _sent(ids),
                with_vectors=[name] if name else True,
                with_payload=True if with_payload else _WE_NEED,
            )
        return [_point(record, name) for record in records]

    def search(
        self, queries: npt.NDArray[np.float32], k: int, *, ef: int | None, exact: bool
    ) -> tuple[list[list[Hit]], npt.NDArray[np.float64]]:
        """Search groups of queries; the time of a group is shared."""
        params = models.SearchParams(hnsw_ef=ef, exact=exact) if ef is not None or exact else None
        name = self._vector_name() or None
        answers: list[list[Hit]] = []
        latency_ms = np.zeros(len(queries))
        for first in range(0, len(queries), _QUERIES_AT_ONCE):
            group = queries[first : first + _QUERIES_AT_ONCE]
            requests = [
                models.QueryRequest(query=query.tolist(), using=name, limit=k, params=params, with_payload=_WE_NEED)
                for query in group
            ]
            started = time.perf_counter()
            with self._reported() as client:
                found = client.query_batch_points(self._name, requests)
            latency_ms[first : first + len(group)] = 1000 * (time.perf_counter() - started) / len(group)
            answers += [
                [Hit(id=_read(one.id), score=one.score, payload=one.payload) for one in hits.points] for hits in found
            ]
        return answers, latency_ms

    def build_index(self, spec: IndexSpec, *, progress: Progress, cancelled: Cancelled) -> None:
        """Let the server index, and wait until it is done; a cancelled wait leaves it working."""
        with self._reported() as client:
            client.update_collection(
                self._name,
                hnsw_config=models.HnswConfigDiff(m=spec.m, ef_construct=spec.ef_construction),
                optimizers_config=models.OptimizersConfigDiff(indexing_threshold=_INDEXING_THRESHOLD_KIB),
            )
            while True:
                info = client.get_collection(self._name)
                if info.status == models.CollectionStatus.RED:
                    raise StoreError("the Qdrant server must be able to index", found=str(info.optimizer_status))
                if info.status == models.CollectionStatus.GREEN:
                    break
                stop_if(cancelled)
                share = (info.indexed_vectors_count or 0) / max(1, info.points_count or 1)
                progress(min(1.0, share), "Building the index")
                time.sleep(_POLL_S)
        progress(1.0, "The index is built")

    def close(self) -> None:
        """Close the client, unless it was given; it is made again when it is used."""
        self._of_vector = None
        if self._client is not None and not self._is_given:
            self._client.close()
            self._client = None

    def _vector_name(self) -> str:
        if self._of_vector is None:
            collection = self.collection()
            self._of_vector = "" if collection is None else collection.vector
        return self._of_vector

    @contextmanager
    def _reported(self) -> Iterator[QdrantClient]:
        where = f"{self._url.host}:{self._url.port or DEFAULT_PORT}"
        try:
            if self._client is None:
                self._client = self._connect()
            yield self._client
        except EngineError:
            raise
        except (ResponseHandlingException, httpx.HTTPError, OSError) as error:
            raise StoreUnavailableError(
                "the Qdrant server must be reachable",
                found=f"{where}: {printable(error)}",
                hint="Check host and port in the URL, and that the server runs",
            ) from error
        except UnexpectedResponse as error:
            raise _refused(error, where) from error
        except (ApiException, ValueError) as error:
            raise StoreError("the Qdrant server must be able to carry this out", found=printable(error)) from error

    def _connect(self) -> QdrantClient:
        with warnings.catch_warnings():
            # Whether a key may go over an unencrypted connection is the user's to say by ?tls=1.
            warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
            return QdrantClient(
                host=self._url.host,
                port=self._url.port or DEFAULT_PORT,
                https=self._url.option("tls") in {"1", "true"},
                api_key=self._secrets.api_key,
                timeout=self._timeout_s,
                check_compatibility=False,
            )


def _refused(error: UnexpectedResponse, where: str) -> StoreError:
    status = error.status_code or 0
    try:
        said = str(error.structured()["status"]["error"])
    except (ValueError, KeyError, TypeError):
        said = error.reason_phrase
    if status in {401, 403}:
        return StoreError(
            "the Qdrant server refused the API key", found=where, hint="Set DIMSHIFT_STORE_API_KEY or QDRANT_API_KEY"
        )
    if status in {408, 429, 502, 503, 504}:
        return StoreUnavailableError(
            "the Qdrant server is busy", found=f"{where}: {said}", hint="Try again in a moment"
        )
    return of_disk(error, where=where) or StoreError(
        "the Qdrant server must be able to carry this out", found=f"{status} {said}"
    )


def _sent(ids: Sequence[PointId]) -> list[int | str | uuid.UUID]:
    return [one if isinstance(one, int) else str(one) for one in ids]


def _read(one: Any) -> PointId:
    return one if isinstance(one, int) else uuid.UUID(str(one))


def _point(record: Any, name: str) -> Point:
    return Point(id=_read(record.id), vector=plain_vector(record.vector, name), payload=record.payload)
