"""A Qdrant collection in a folder, opened by the engine itself (qdrant-edge) within this process."""

from __future__ import annotations

import json
import shutil
import threading
import time
import uuid
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import qdrant_edge as edge

from engine.errors import EngineError, StoreError, StoreUnavailableError
from engine.migration.stores.failures import disk_reported, of_disk
from engine.migration.stores.payloads import RESERVED
from engine.migration.stores.protocol import IndexInfo
from engine.migration.stores.qdrant import QdrantStore
from engine.migration.stores.qdrant_points import Collection, Hit, Notes, Point, choose_vector, notes_from, plain_vector

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from engine.embeddings.embedding_set import Metric
    from engine.migration.stores.protocol import IndexSpec, TableSpec
    from engine.migration.stores.qdrant_points import PointId
    from engine.migration.stores.urls import StoreUrl
    from engine.progress import Cancelled, Progress

_CONFIG = "edge_config.json"
_NOTES = "dimshift.json"
_DISTANCES: dict[Metric, Any] = {
    "cosine": edge.Distance.Cosine,
    "ip": edge.Distance.Dot,
    "l2": edge.Distance.Euclid,
}
_METRICS: dict[str, Metric] = {"Cosine": "cosine", "Dot": "ip", "Euclid": "l2"}
_PAYLOAD_WE_NEED = [RESERVED]
_WRITES_A_FLUSH = 32  # the write-ahead log outlives the process; a flush keeps it short
_SMALLEST_INDEXED_KIB = 1  # an index is built when it is asked for, however few vectors there are


class QdrantFolder(QdrantStore):
    """A collection in a folder: ``qdrant:///absolute/folder#collection``."""

    def __init__(self, url: StoreUrl) -> None:
        super().__init__(url, FolderPoints(url))


class FolderPoints:
    """The points of one shard. The engine lets one process open it; stores within the process share it."""

    def __init__(self, url: StoreUrl) -> None:
        self._url = url
        self._path = (url.path or Path()) / url.table
        self._holds = False
        self._lock = threading.Lock()
        self._name: str | None = None
        self._writes = 0

    @property
    def server(self) -> str:
        """Name and version of the engine."""
        return f"Qdrant Edge {version('qdrant-edge-py')}"

    def collection(self) -> Collection | None:
        """Read the configuration that the engine keeps in the folder."""
        file = self._path / _CONFIG
        with disk_reported(str(self._path)):
            if not file.is_file():
                return None
            vectors = json.loads(file.read_text(encoding="utf-8")).get("vectors") or {}
            notes = self._path / _NOTES
            said = json.loads(notes.read_text(encoding="utf-8")) if notes.is_file() else None
        name = choose_vector(self._url, list(vectors))
        settings = vectors[name]
        return Collection(
            vector=name,
            dim=int(settings["size"]),
            dtype="float16" if str(settings.get("datatype", "")).lower() == "float16" else "float32",
            metric=_METRICS.get(settings["distance"]),
            notes=notes_from(said),
            left_out=tuple(other for other in vectors if other != name),
        )

    def there(self) -> list[str]:
        """Return the collections of the folder."""
        folder = self._path.parent
        return sorted(one.parent.name for one in folder.glob(f"*/{_CONFIG}")) if folder.is_dir() else []

    def create(self, spec: TableSpec) -> None:
        """Create the shard; its notes are written first, so that nothing stands there unmarked."""
        params = edge.EdgeVectorParams(
            spec.dim,
            _DISTANCES[spec.metric],
            datatype=edge.VectorStorageDatatype.Float16 if spec.dtype == "float16" else None,
        )
        config = edge.EdgeConfig(vectors={self._url.option("vector") or "": params})
        notes = Notes(id_kind=spec.id_kind, has_updated_at=spec.has_updated_at, mark=spec.mark)
        with disk_reported(str(self._path)):
            self._path.mkdir(parents=True, exist_ok=True)
        self.set_notes(notes)
        with _reported(self._path):
            edge.EdgeShard.create(str(self._path), config).close()

    def drop(self) -> None:
        """Remove the folder of the collection."""
        self.close()
        with disk_reported(str(self._path)):
            if _SHARDS.is_open(self._path):
                raise StoreUnavailableError("the Qdrant collection is in use", hint="Close what searches it")
            if (self._path / _CONFIG).is_file() or (self._path / _NOTES).is_file():
                shutil.rmtree(self._path)

    def set_notes(self, notes: Notes) -> None:
        """Keep the notes in a file beside the engine's own."""
        with disk_reported(str(self._path)):
            new = self._path / f"{_NOTES}.new"
            new.write_text(json.dumps(notes.as_json()), encoding="utf-8")
            new.replace(self._path / _NOTES)

    def count(self) -> int:
        """Count the points."""
        with self._shard() as shard:
            return int(shard.count(edge.CountRequest(exact=True)))

    def n_bytes(self) -> int | None:
        """Return the size of the folder."""
        with disk_reported(str(self._path)):
            return sum(file.stat().st_size for file in self._path.rglob("*") if file.is_file())

    def index(self) -> IndexInfo | None:
        """Return the graph; None before it is built."""
        with self._shard() as shard:
            n_rows = int(shard.info().indexed_vectors_count)
        collection = self.collection()
        if not n_rows or collection is None:
            return None
        return IndexInfo(name="hnsw", kind="hnsw", metric=collection.metric, n_rows=n_rows)

    def write(self, ids: Sequence[PointId], vectors: npt.NDArray[np.float32], payloads: list[dict[str, Any]]) -> None:
        """Insert points or replace them; they are in the write-ahead log on return."""
        name = self._vector_name()
        # Lists are taken over faster than rows of an array.
        rows: list[Any] = vectors.tolist()
        with self._shard() as shard:
            points = [
                edge.Point(one, {name: row} if name else row, payload)
                for one, row, payload in zip(ids, rows, payloads, strict=True)
            ]
            shard.update(edge.UpdateOperation.upsert_points(points))
            self._writes += 1
            if self._writes % _WRITES_A_FLUSH == 0:
                shard.flush()

    def delete(self, ids: Sequence[PointId]) -> None:
        """Delete points."""
        with self._shard() as shard:
            shard.update(edge.UpdateOperation.delete_points(list(ids)))

    def scroll(self, start: PointId | None, limit: int, *, with_vector: bool, with_payload: bool) -> list[Point]:
        """Return points from `start` on."""
        request = edge.ScrollRequest(
            offset=start,
            limit=limit,
            with_vector=with_vector,
            with_payload=True if with_payload else _PAYLOAD_WE_NEED,
        )
        with self._shard() as shard:
            records, _ = shard.scroll(request)
            name = self._vector_name()
            return [_point(record, name, with_vector=with_vector) for record in records]

    def retrieve(self, ids: Sequence[PointId], *, with_payload: bool) -> list[Point]:
        """Return the points that are there."""
        with self._shard() as shard:
            records = shard.retrieve(list(ids), True if with_payload else _PAYLOAD_WE_NEED, True)
            name = self._vector_name()
            return [_point(record, name, with_vector=True) for record in records]

    def search(
        self, queries: npt.NDArray[np.float32], k: int, *, ef: int | None, exact: bool
    ) -> tuple[list[list[Hit]], npt.NDArray[np.float64]]:
        """Search one query after the other."""
        answers: list[list[Hit]] = []
        latency_ms = np.zeros(len(queries))
        name = self._vector_name() or None
        with self._shard() as shard:
            for place, query in enumerate(queries):
                started = time.perf_counter()
                found = shard.search(
                    edge.SearchRequest(
                        query=edge.Query.Nearest(query.tolist(), using=name),
                        limit=k,
                        params=edge.SearchParams(hnsw_ef=ef, exact=exact),
                        with_payload=_PAYLOAD_WE_NEED,
                    )
                )
                latency_ms[place] = 1000 * (time.perf_counter() - started)
                answers.append([Hit(id=one.id, score=one.score, payload=one.payload) for one in found])
        return answers, latency_ms

    def build_index(self, spec: IndexSpec, *, progress: Progress, cancelled: Cancelled) -> None:
        """Optimise the segments, which builds the graph; the engine does not say how far it is, nor stop."""
        del cancelled
        collection = self.collection()
        if collection is None:
            return
        progress(0.0, "Building the index")
        config = edge.EdgeConfig(
            vectors={
                collection.vector: edge.EdgeVectorParams(
                    collection.dim,
                    _DISTANCES[collection.metric or "cosine"],
                    datatype=edge.VectorStorageDatatype.Float16 if collection.dtype == "float16" else None,
                )
            },
            hnsw_config=edge.HnswIndexConfig(spec.m, spec.ef_construction, 10_000),
            optimizers=edge.EdgeOptimizersConfig(indexing_threshold=_SMALLEST_INDEXED_KIB),
        )
        if not collection.left_out and collection.metric is not None:
            self.close()
            with _reported(self._path):
                _SHARDS.configure(self._path, config)
        with self._shard() as shard:
            shard.optimize()
            shard.flush()
        progress(1.0, "The index is built")

    def close(self) -> None:
        """Let go of the shard; it is closed when no other store of this process holds it."""
        self._name = None
        with self._lock, _reported(self._path):
            if self._holds:
                self._holds = False
                _SHARDS.give_back(self._path)

    @contextmanager
    def _shard(self) -> Iterator[Any]:
        with _reported(self._path):
            with self._lock:
                if not self._holds:
                    _SHARDS.take(self._path)
                    self._holds = True
            yield _SHARDS.at(self._path)

    def _vector_name(self) -> str:
        if self._name is None:
            collection = self.collection()
            self._name = "" if collection is None else collection.vector
        return self._name


class _OpenShards:
    """The shards that are open in this process and how many hold each: the engine's lock is one a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Path, tuple[Any, int]] = {}

    def take(self, path: Path) -> None:
        with self._lock:
            shard, n = self._open.get(path.resolve(), (None, 0))
            self._open[path.resolve()] = (edge.EdgeShard.load(str(path)) if shard is None else shard, n + 1)

    def at(self, path: Path) -> Any:
        with self._lock:
            return self._open[path.resolve()][0]

    def is_open(self, path: Path) -> bool:
        with self._lock:
            return path.resolve() in self._open

    def give_back(self, path: Path) -> None:
        with self._lock:
            shard, n = self._open.pop(path.resolve())
            if n > 1:
                self._open[path.resolve()] = (shard, n - 1)
            else:
                shard.close()

    def configure(self, path: Path, config: Any) -> None:
        """Write the configuration, unless others hold the shard: then it is indexed as it is configured."""
        with self._lock:
            if path.resolve() not in self._open:
                edge.EdgeShard.load(str(path), config).close()


_SHARDS = _OpenShards()


def _point(record: Any, name: str, *, with_vector: bool) -> Point:
    point: PointId = record.id if isinstance(record.id, int) else uuid.UUID(str(record.id))
    return Point(id=point, vector=plain_vector(record.vector, name) if with_vector else None, payload=record.payload)


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except EngineError:
        raise
    except Exception as error:  # the engine raises nothing more precise
        text = str(error)
        if "WouldBlock" in text:
            raise StoreUnavailableError(
                "a Qdrant folder can be open in one process only",
                found=f"{path.name} is open in another",
                hint="Wait until it has finished, or use a Qdrant server",
            ) from error
        raise of_disk(error, where=str(path)) or StoreError(
            "Qdrant must be able to carry this out", found=text.removeprefix("Service runtime error: ").splitlines()[0]
        ) from error
