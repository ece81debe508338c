"""Qdrant: collections that others made, one process a folder, and a server that is not there."""

from __future__ import annotations

import subprocess
import sys
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import qdrant_edge as edge
from qdrant_client import QdrantClient, models

from engine.errors import AmbiguousColumnsError, CancelledError, StoreError, StoreUnavailableError
from engine.migration.stores import Batch, StoreSecrets, TableSpec, open_store, parse_url
from engine.migration.stores.qdrant import QdrantStore
from engine.migration.stores.qdrant_server import ServerPoints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.migration.stores import VectorStore


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Callable[..., VectorStore]]:
    """Return what creates a collection with the engine itself and opens it as a store."""
    with ExitStack() as stack:

        def make(vectors: Any, points: list[Any], options: str = "") -> VectorStore:
            (tmp_path / "c").mkdir()
            shard = edge.EdgeShard.create(str(tmp_path / "c"), edge.EdgeConfig(vectors=vectors))
            shard.update(edge.UpdateOperation.upsert_points(points))
            shard.close()
            return stack.enter_context(open_store(f"qdrant://{tmp_path}?{options}#c"))

        yield make


def params(dim: int) -> Any:
    """Return the parameters of a vector with dot products, which Qdrant keeps as it is given."""
    return edge.EdgeVectorParams(dim, edge.Distance.Dot)


def batch(ids: Any) -> Batch:
    """Return rows of ones with these ids."""
    return Batch(ids=tuple(ids), vectors=np.ones((len(tuple(ids)), 2), np.float32))


def test_points_of_others_come_with_their_own_ids(foreign: Callable[..., VectorStore]) -> None:
    """Numbers up to 2⁶⁴ and UUIDs are ids as they are; points without the vector are broken."""
    one = uuid.UUID(int=5)
    points = [
        edge.Point((1 << 64) - 1, [1.0, 2.0], {"a": 1}), edge.Point(one, [3.0, 4.0], {}), edge.Point(0, {}, {"b": [1]}),
    ]  # fmt: skip
    store = foreign(params(2), points)
    info = store.describe()
    assert (info.id_kind, info.dim, info.metric, info.normalises, info.n_rows) == ("mixed", 2, "ip", False, 3)
    assert list(store.ids()) == [(0, (1 << 64) - 1, one)]
    part = next(iter(store.scan()))
    assert (part.ids, part.payloads) == ((0, (1 << 64) - 1, one), (b'{"b":[1]}', b'{"a":1}', None))
    assert [(row.row, row.reason) for row in part.broken] == [(0, "it has no vector")]
    assert part.vectors[1:].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        ([1, 5], "int"),
        ([1, 1 << 63], "uint"),
        ([uuid.UUID(int=1)], "uuid"),
        ([], "int"),
        ([1, uuid.UUID(int=1)], "mixed"),
    ],
)
def test_the_kind_of_ids_is_found_without_reading_them(
    foreign: Callable[..., VectorStore], ids: list[Any], kind: str
) -> None:
    """Looking at where each kind would stand tells what there is."""
    assert foreign(params(1), [edge.Point(one, [1.0], {}) for one in ids]).describe().id_kind == kind


def test_named_vectors_are_chosen(foreign: Callable[..., VectorStore], tmp_path: Path) -> None:
    """Of several named vectors one must be named in the URL; the others are said to stay behind."""
    both = {"small": params(2), "large": params(3)}
    store = foreign(both, [edge.Point(1, {"small": [1.0, 2.0], "large": [1.0, 2.0, 3.0]}, {})])
    with pytest.raises(AmbiguousColumnsError) as asked:
        store.describe()
    assert set(asked.value.candidates) == {"small", "large"}
    store.close()
    chosen = open_store(f"qdrant://{tmp_path}?vector=small#c")
    info = chosen.describe()
    assert (info.dim, info.left_out) == (2, ("large",))
    assert next(iter(chosen.scan())).vectors.tolist() == [[1, 2]]
    assert chosen.search(np.ones((1, 2), np.float32), 1).ids == ((1,),)
    chosen.close()
    with pytest.raises(StoreError, match="vector named in the URL; found none"):
        open_store(f"qdrant://{tmp_path}?vector=none#c").describe()


def test_a_target_with_a_named_vector(tmp_path: Path) -> None:
    """The name in the URL names the vector of a new collection."""
    with open_store(f"qdrant://{tmp_path}?vector=text#c") as store:
        store.create(TableSpec(dim=2, metric="l2", id_kind="text"))
        store.upsert(batch(["a"]))
        store.build_index()
        assert store.search(np.ones((1, 2), np.float32), 1).ids == (("a",),)
    assert '"text"' in (tmp_path / "c" / "edge_config.json").read_text()


def test_a_folder_is_open_in_one_process(tmp_path: Path) -> None:
    """Another process is told to wait; when the first has let go, or died, it opens."""
    url = f"qdrant://{tmp_path}#c"
    with open_store(url) as store:
        store.create(TableSpec(dim=2, has_payload=False))
        store.upsert(batch([1]))
        code = (
            "import sys\n"
            "from engine.errors import StoreUnavailableError\n"
            "from engine.migration.stores import open_store\n"
            f"store = open_store({url!r})\n"
            "try:\n    print(store.count())\nexcept StoreUnavailableError as error:\n    print(error)\n"
            "sys.stdin.readline()\nprint(store.count(), flush=True)\nsys.stdin.readline()\n"
        )
        other = subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True, bufsize=1)
        assert "one process only" in other.stdout.readline()
    other.stdin.write("\n")
    assert other.stdout.readline() == "1\n"
    with open_store(url) as store, pytest.raises(StoreUnavailableError, match="one process only"):
        store.count()
    other.kill()
    other.communicate()
    with open_store(url) as store:
        assert store.count() == 1


def test_a_collection_in_use_is_not_dropped(tmp_path: Path) -> None:
    """A store of the same process that still holds the folder keeps another from removing it."""
    url = f"qdrant://{tmp_path}#c"
    with open_store(url) as store, open_store(url) as other:
        store.create(TableSpec(dim=2))
        assert other.count() == 0
        with pytest.raises(StoreUnavailableError, match="in use"):
            store.drop()
        other.close()
        store.drop()
        assert not (tmp_path / "c").exists()


def test_a_folder_that_is_no_collection_is_left_alone(tmp_path: Path) -> None:
    """Dropping never removes a folder that holds something else."""
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "letters.txt").write_text("dear")
    store = open_store(f"qdrant://{tmp_path}#c")
    assert not store.exists()
    store.drop()
    assert (tmp_path / "c" / "letters.txt").exists()


def test_a_server_that_is_not_there_may_come_back() -> None:
    """A refused connection and an unknown host are worth another try, and no key is in the sentence."""
    for place in ("127.0.0.1:1", "host.invalid"):
        store = open_store(f"qdrant://{place}#c", secrets=StoreSecrets(api_key="very-secret"))
        with pytest.raises(StoreUnavailableError, match="must be reachable") as refused:
            store.describe()
        assert "very-secret" not in str(refused.value)
        store.close()


class _Refusing:
    """A client whose server answers with a status."""

    def __init__(self, status: int, said: bytes) -> None:
        self._answer = (status, said)

    def collection_exists(self, _name: str) -> bool:
        import httpx
        from qdrant_client.http.exceptions import UnexpectedResponse

        raise UnexpectedResponse(self._answer[0], "reason", self._answer[1], httpx.Headers())


@pytest.mark.parametrize(
    ("status", "said", "error", "rule"),
    [
        (401, b"", StoreError, "refused the API key"),
        (503, b"", StoreUnavailableError, "is busy"),
        (500, b'{"status":{"error":"No space left on device"}}', StoreError, "disk of the store is full"),
        (400, b'{"status":{"error":"Wrong input"}}', StoreError, "400 Wrong input"),
        (418, b"<html>", StoreError, "418 reason"),
    ],
)
def test_what_a_server_answers_is_one_sentence(status: int, said: bytes, error: type, rule: str) -> None:
    """Statuses mean: another key, try again, make room, or what the server itself says."""
    url = parse_url("qdrant://host#c")
    points = ServerPoints(url, secrets=StoreSecrets(), timeout_s=1, client=_Refusing(status, said))  # type: ignore[arg-type]  # only what is asked
    with pytest.raises(error, match=rule):
        QdrantStore(url, points).exists()


def test_waiting_for_a_server_to_index_can_be_cancelled() -> None:
    """The server says yellow while it indexes; cancelling stops the waiting."""
    client = QdrantClient(":memory:")
    client.create_collection("c", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    whole = client.get_collection
    client.get_collection = lambda name: whole(name).model_copy(update={"status": models.CollectionStatus.YELLOW})
    url = parse_url("qdrant://host#c")
    store = QdrantStore(url, ServerPoints(url, secrets=StoreSecrets(), timeout_s=1, client=client))
    with pytest.raises(CancelledError):
        store.build_index(cancelled=lambda: True)
    client.close()
