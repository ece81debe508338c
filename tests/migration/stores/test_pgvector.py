"""PostgreSQL: tables that others made, limits of its indexes, and failures in a sentence each."""

from __future__ import annotations

import itertools
import uuid
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import pytest

from engine.errors import AmbiguousColumnsError, ParameterError, StoreError, StoreUnavailableError
from engine.migration.ids import order_key
from engine.migration.stores import Batch, IndexSpec, StoreSecrets, TableSpec, open_store, same_payload
from engine.migration.stores.local_postgres import start_local_postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.migration.stores import VectorStore
    from engine.migration.stores.local_postgres import LocalPostgres

_numbers = itertools.count()
_stack = ExitStack()


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Close every store that a test opened."""
    with _stack:
        yield


def opened(url: str, **options: Any) -> VectorStore:
    """Open a store until the end of the test."""
    return _stack.enter_context(open_store(url, **options))


@pytest.fixture
def sql(postgres: LocalPostgres) -> Iterator[psycopg.Connection[Any]]:
    """Return a connection of the tests' own."""
    with psycopg.connect(host=str(postgres.socket_folder), user="postgres", dbname="postgres", autocommit=True) as one:
        one.execute("CREATE EXTENSION IF NOT EXISTS vector")
        yield one


@pytest.fixture
def table(sql: psycopg.Connection[Any], postgres: LocalPostgres) -> Callable[..., VectorStore]:
    """Return what creates a table from its columns and rows and opens it as a store."""

    def make(columns: str, *rows: str, options: str = "") -> VectorStore:
        name = f"foreign_{next(_numbers)}"
        sql.execute(f"CREATE TABLE {name} ({columns})")
        for row in rows:
            sql.execute(f"INSERT INTO {name} VALUES ({row})")  # noqa: S608  # the rows of a test
        return opened(postgres.url(name).replace("#", f"&{options}#" if options else "#"))

    return make


def batch(ids: Any, *, dim: int = 2, **parts: Any) -> Batch:
    """Return rows of ones with these ids."""
    return Batch(ids=tuple(ids), vectors=np.ones((len(tuple(ids)), dim), np.float32), **parts)


def all_rows(store: VectorStore, **options: Any) -> dict[Any, tuple[list[float], bytes | None]]:
    """Return vector and payload of every row by id."""
    return {
        one: (part.vectors[n].tolist(), part.payloads[n] if part.payloads else None)
        for part in store.scan(**options)
        for n, one in enumerate(part.ids)
    }


def test_columns_of_a_foreign_table_are_found(table: Callable[..., VectorStore]) -> None:
    """The primary key is the id, the only vector the vector, one jsonb the payload; a timestamp tells changes."""
    store = table(
        "key int PRIMARY KEY, emb halfvec(2), meta jsonb, updated_at timestamp",
        "7, '[1,2]', '{\"a\": 1}', '2026-01-01 12:00'",
    )
    info = store.describe()
    assert (info.dim, info.dtype, info.id_kind, info.payload_columns) == (2, "float16", "int", ("meta",))
    assert (info.ids_are_unique, info.has_updated_at, info.metric, info.mark) == (True, True, None, None)
    part = next(iter(store.scan()))
    assert part.ids == (7,)
    assert same_payload(part.payloads[0], b'{"a":1}')
    assert part.updated_at[0] == np.datetime64("2026-01-01T12:00", "us")


def test_all_other_columns_are_the_payload(table: Callable[..., VectorStore]) -> None:
    """Columns beside id and vector survive as an object by name; only further vectors are left out, and named."""
    store = table(
        "id uuid PRIMARY KEY, title text, price numeric, v vector(2), tags text[], small halfvec(1), meta jsonb",
        f"'{uuid.UUID(int=9)}', 'x''y', 1.50, '[1,2]', '{{a,b}}', '[1]', '{{\"k\": null}}'",
        options="vector=v",
    )
    info = store.describe()
    assert info.left_out == ("small",)
    assert info.payload_columns == ("title", "price", "tags", "meta")
    (payload,) = [payload for _, payload in all_rows(store).values()]
    assert same_payload(payload, b'{"title":"x\'y","price":1.5,"tags":["a","b"],"meta":{"k":null}}')
    with pytest.raises(StoreError, match="payloads must have one jsonb column"):
        store.upsert(batch([uuid.UUID(int=1)], payloads=(b"{}",)))


def test_two_vectors_are_a_question(table: Callable[..., VectorStore]) -> None:
    """With two vector columns the candidates are listed, and one can be named in the URL."""
    columns = "id int PRIMARY KEY, a vector(2), b vector(3)"
    with pytest.raises(AmbiguousColumnsError) as asked:
        table(columns).describe()
    assert asked.value.candidates == ("a", "b")
    assert table(columns, options="vector=b").describe().dim == 3
    with pytest.raises(StoreError, match="must exist and be vector or halfvec; found id"):
        table(columns, options="vector=id").describe()


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ("id int PRIMARY KEY, t text", "must be a vector or halfvec"),
        ("v vector(2), t text", "must be the id"),
        ("a int, b int, v vector(2), PRIMARY KEY (a, b)", "must be the id"),
        ("id float PRIMARY KEY, v vector(2)", "must be the id"),
    ],
)
def test_a_table_that_cannot_be_read_says_what_it_lacks(
    table: Callable[..., VectorStore], columns: str, rule: str
) -> None:
    """No vector, no id, a key of two columns, a key of floats: one sentence with the columns that are there."""
    with pytest.raises(StoreError, match=rule):
        table(columns).describe()


def test_mixed_dims_are_told_row_by_row(table: Callable[..., VectorStore]) -> None:
    """In a column without declared dims, rows of another dim and without vector are broken, the others are read."""
    store = table("id int PRIMARY KEY, v vector", "1, '[1,2]'", "2, '[1,2,3]'", "3, NULL", "4, '[3,4]'", "5, '[5]'")
    info = store.describe()
    assert (info.dim, info.dim_is_declared) == (2, False)
    part = next(iter(store.scan(dim=1)))
    assert [(one.row, one.dim) for one in part.broken] == [(1, 3), (2, None), (4, 1)]
    assert part.vectors[[0, 3], 0].tolist() == [1, 3]
    assert np.isnan(part.vectors[[1, 2, 4]]).all()
    assert "3 dims instead of 2" in part.broken[0].reason
    with pytest.raises(StoreError, match="must declare its dims"):
        store.build_index()


def test_an_empty_table_without_declared_dims_has_none(table: Callable[..., VectorStore]) -> None:
    """Nothing is guessed where nothing is there."""
    store = table("id int PRIMARY KEY, v vector")
    assert store.describe().dim is None
    assert list(store.scan()) == []
    assert store.upsert(batch([1], dim=5)).n_written == 1


def test_ids_that_repeat_come_in_one_batch(table: Callable[..., VectorStore]) -> None:
    """Without a unique index rows of one id are never parted by a batch, NULL ids are counted, writing is refused."""
    rows = [f"{n // 3}, '[{n},0]'" for n in range(30)]
    store = table("id int, v vector(2)", *rows, "NULL, '[0,0]'")
    info = store.describe()
    assert (info.ids_are_unique, info.n_rows, info.n_without_id) == (False, 31, 1)
    parts = list(store.scan(batch_size=4))
    assert sum(map(len, parts)) == 30
    assert all(part.ids.count(one) == 3 for part in parts for one in part.ids)
    assert [one for some in store.ids(batch_size=7) for one in some] == [n // 3 for n in range(30)]
    assert len(store.fetch([4, 5])) == 6
    with pytest.raises(StoreError, match="must be unique"):
        store.upsert(batch([1]))


@pytest.mark.parametrize("collation", ["en-x-icu", "C", "pg_c_utf8", "of_our_own"])
def test_collations_do_not_disturb_the_order(
    table: Callable[..., VectorStore], sql: psycopg.Connection[Any], collation: str
) -> None:
    """Texts sorted by a language are scanned whole and in pieces, and their ids are listed in canonical order."""
    if collation == "of_our_own":  # whose order is not known from its name
        sql.execute("CREATE COLLATION of_our_own (provider = libc, locale = 'C')")
    if not sql.execute("SELECT 1 FROM pg_collation WHERE collname = %s", (collation,)).fetchone():
        pytest.skip("this PostgreSQL was built without ICU")
    texts = ["a", "B", "ä", "Z", "z", "", "-", "a-b", "ab", "\U0001f600", "\uffff", "É", "e"]
    store = table(f'id text COLLATE "{collation}" PRIMARY KEY, v vector(2)', *[f"'{one}', '[1,1]'" for one in texts])
    expected = sorted(texts, key=order_key)
    assert [one for some in store.ids(batch_size=4) for one in some] == expected
    assert [one for some in store.ids(after="a") for one in some] == expected[expected.index("a") + 1 :]
    parts = list(store.scan(batch_size=3))
    assert sorted(one for part in parts for one in part.ids) == sorted(texts)
    resumed = [one for part in store.scan(after=parts[1].cursor, batch_size=2) for one in part.ids]
    assert resumed == [one for part in parts[2:] for one in part.ids]


def test_foreign_tables_are_written_to(table: Callable[..., VectorStore]) -> None:
    """Rows go into tables with narrower ids, json and further columns; what does not fit is rejected by itself."""
    store = table(
        "id smallint PRIMARY KEY, v vector(2), payload json, extra text DEFAULT 'kept'", options="payload=payload"
    )
    written = store.upsert(batch([1, 40_000, 3], payloads=(b'{"a":1}', None, b"[1]")), is_new=True)
    assert written.n_written == 2
    assert [one.id for one in written.rejected] == [40_000]
    assert "out of range" in written.rejected[0].reason
    assert same_payload(all_rows(store)[3][1], b"[1]")
    checked = table("id varchar(3) PRIMARY KEY, v vector(2) CHECK (v <> '[1,1]')")
    assert {one.id for one in checked.upsert(batch(["a", "long"])).rejected} == {"a", "long"}
    assert checked.upsert(replace(batch(["a"]), vectors=np.zeros((1, 2), np.float32))).n_written == 1


def test_an_id_too_long_for_the_index_is_rejected_alone(postgres: LocalPostgres) -> None:
    """PostgreSQL indexes texts up to a third of a page; the rows beside a longer one are written."""
    store = opened(postgres.url("long_ids"))
    store.create(TableSpec(dim=2, id_kind="text", has_payload=False))
    random = np.random.default_rng(0).bytes(20_000).hex()
    written = store.upsert(batch(["a", random, "b"]), is_new=True)
    assert (written.n_written, [len(one.id) for one in written.rejected]) == (2, [40_000])
    assert sorted(all_rows(store)) == ["a", "b"]


def test_a_payload_that_is_no_json_is_rejected_alone(postgres: LocalPostgres) -> None:
    """A broken payload does not stop the batch it is in."""
    store = opened(postgres.url("broken_json"))
    store.create(TableSpec(dim=2))
    written = store.upsert(batch(range(5), payloads=(b"{}", b"{", b"NaN", b"1", None)))
    assert [one.id for one in written.rejected] == [1, 2]
    assert store.count() == 3


def test_rows_said_to_be_new_may_be_there_after_all(postgres: LocalPostgres) -> None:
    """When a row of a batch that was said to be new is there, the batch is merged instead of failing."""
    store = opened(postgres.url("not_new"))
    store.create(TableSpec(dim=2, has_payload=False))
    store.upsert(batch(range(5)), is_new=True)
    assert store.upsert(batch(range(3, 8)), is_new=True).n_written == 5
    assert store.count() == 8


@pytest.mark.parametrize(
    "name",
    [
        "x; DROP TABLE keep",
        'x"; DROP TABLE keep; --',
        "keep'--",
        "(SELECT 1)",
        "a.b.c",
        "keep WHERE true",
        '"keep',
        "Keep",
    ],
)
def test_sql_in_a_table_name_is_a_table_that_is_not_there(
    postgres: LocalPostgres, sql: psycopg.Connection[Any], name: str
) -> None:
    """Nothing in a name is ever executed: not when looking, reading, writing or dropping."""
    sql.execute("CREATE TABLE IF NOT EXISTS keep (id int PRIMARY KEY, v vector(2))")
    store = opened(postgres.url(name))
    for ask in (store.describe, store.count, lambda: list(store.scan()), lambda: store.upsert(batch([1]))):
        with pytest.raises(StoreError, match=r"must exist|must be named"):
            ask()
    with suppress(StoreError):  # too many parts for a name; any other text is one
        store.create(TableSpec(dim=2))
        assert store.describe().n_rows == 0
        store.drop()
    assert sql.execute("SELECT count(*) FROM keep").fetchone() == (0,)


def test_schemas_and_quoted_names(postgres: LocalPostgres, sql: psycopg.Connection[Any]) -> None:
    """A table is found in its schema, and by a name with capitals, blanks and dots in double quotes."""
    sql.execute('CREATE SCHEMA IF NOT EXISTS "Other"')
    for name in ("Other.plain", 'Other."with.dot"', "My Table", '"quo""ted"'):
        store = opened(postgres.url(name))
        store.create(TableSpec(dim=2))
        store.upsert(batch([1]))
        assert store.build_index() is not None
        assert store.count() == 1
    with pytest.raises(StoreError, match="schema of the table must exist"):
        opened(postgres.url("nowhere.t")).create(TableSpec(dim=2))


def test_a_comment_of_the_owner_is_kept(postgres: LocalPostgres, sql: psycopg.Connection[Any]) -> None:
    """A mark is a line of its own behind the owner's comment, and goes away without it."""
    sql.execute("CREATE TABLE commented (id int PRIMARY KEY, v vector(2))")
    sql.execute("COMMENT ON TABLE commented IS 'two\nlines'")
    store = opened(postgres.url("commented"))
    store.set_mark("half")
    assert store.describe().mark == "half"
    store.set_mark(None)
    assert sql.execute("SELECT obj_description('commented'::regclass)").fetchone() == ("two\nlines",)


@pytest.mark.parametrize(("dtype", "dim", "hint"), [("float32", 2001, "halfvec"), ("float16", 4001, "fewer dims")])
def test_an_index_has_a_limit_of_dims(postgres: LocalPostgres, dtype: Any, dim: int, hint: str) -> None:
    """Beyond 2,000 dims of vector and 4,000 of halfvec there is no HNSW index, and the hint says what does."""
    store = opened(postgres.url(f"wide_{dtype}"))
    store.create(TableSpec(dim=dim, dtype=dtype))
    with pytest.raises(StoreError, match=rf"at most {dim - 1:,} dims.*{hint}"):
        store.build_index()
    assert store.describe().index is None


def test_3072_dims_are_indexed_as_halfvec(postgres: LocalPostgres) -> None:
    """The commonest large model fits in float16."""
    store = opened(postgres.url("large_model"))
    store.create(TableSpec(dim=3072, dtype="float16", metric="ip"))
    store.upsert(batch(range(3), dim=3072))
    index = store.build_index(IndexSpec(m=8, ef_construction=32))
    assert index is not None
    assert (index.kind, index.metric, index.n_rows) == ("hnsw", "ip", 3)


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_the_index_is_used_and_finds_k_rows(postgres: LocalPostgres, sql: psycopg.Connection[Any], metric: Any) -> None:
    """Each metric has its operator class; a k above pgvector's default of 40 candidates still gets k rows."""
    store = opened(postgres.url(f"indexed_{metric}"))
    store.create(TableSpec(dim=4, metric=metric))
    rows = np.random.default_rng(0).standard_normal((500, 4)).astype(np.float32)
    store.upsert(Batch(ids=tuple(range(500)), vectors=rows))
    index = store.build_index(IndexSpec(m=8, ef_construction=64))
    assert index is not None
    assert index.metric == metric
    answer = store.search(rows[:2], 100)
    assert [len(ids) for ids in answer.ids] == [100, 100]
    exact = store.search(rows[:2], 100, exact=True)
    assert len(set(answer.ids[0]) & set(exact.ids[0])) >= 90
    with pytest.raises(ParameterError, match="1,000 candidates"):
        store.search(rows[:1], 5, ef=1001)


def test_an_unreachable_server_may_be_there_later() -> None:
    """A refused connection and an unknown host are one sentence and worth another try."""
    for place in ("127.0.0.1:1", "host.invalid"):
        with pytest.raises(StoreUnavailableError, match="must be reachable"):
            opened(f"postgresql://user:topsecret@{place}/db#t").describe()


def test_who_may_not_in_learns_why(postgres: LocalPostgres, sql: psycopg.Connection[Any]) -> None:
    """A wrong, a missing and the right password; an unknown user and database: one sentence each, no secret in any."""
    sql.execute("DROP ROLE IF EXISTS guarded")
    sql.execute("CREATE ROLE guarded LOGIN PASSWORD 'right-one'")
    rules = Path(sql.execute("SHOW hba_file").fetchone()[0])
    rules.write_text("local all guarded scram-sha-256\n" + rules.read_text())
    sql.execute("SELECT pg_reload_conf()")
    url = postgres.url("keep2", user="guarded")
    sql.execute("CREATE TABLE IF NOT EXISTS keep2 (id int PRIMARY KEY, v vector(2))")
    for password, rule in (("wrong-one", "refused user name or password"), (None, "asks for a password")):
        with pytest.raises(StoreError, match=rule) as refused:
            _until_reloaded(url, StoreSecrets(password=password))
        assert "wrong-one" not in str(refused.value)
        assert not isinstance(refused.value, StoreUnavailableError)
    allowed = opened(url, secrets=StoreSecrets(password="right-one"))  # noqa: S106  # of a test server
    with pytest.raises(StoreError, match="right to do this; found permission denied for table keep2"):
        allowed.count()
    for other, rule in ((postgres.url("t", user="nobody"), "nobody"), (postgres.url("t", database="none"), "none")):
        with pytest.raises(StoreError, match=f'refused the connection.*"{rule}" does not exist'):
            opened(other).describe()


def _until_reloaded(url: str, secrets: StoreSecrets) -> None:
    # The server reads its rules some milliseconds after it was told to.
    for _ in range(200):
        try:
            opened(url, secrets=secrets).describe()
        except StoreError as error:
            if "permission denied" not in str(error):
                raise


def test_a_database_without_the_extension_says_so(postgres: LocalPostgres, sql: psycopg.Connection[Any]) -> None:
    """Creating a table installs pgvector where that is allowed; a user that may not is told what to run."""
    sql.execute("CREATE DATABASE bare")
    sql.execute("CREATE ROLE plain LOGIN")
    sql.execute("GRANT ALL ON DATABASE bare TO plain")
    url = postgres.url("t", database="bare", user="plain")
    with psycopg.connect(host=str(postgres.socket_folder), user="postgres", dbname="bare", autocommit=True) as own:
        own.execute("GRANT ALL ON SCHEMA public TO plain")
    with pytest.raises(StoreError, match="must exist"):
        opened(url).describe()
    with pytest.raises(StoreError, match="extension pgvector"):
        opened(url).create(TableSpec(dim=2))
    store = opened(postgres.url("t", database="bare"))
    store.create(TableSpec(dim=2))
    assert store.count() == 0


def test_a_target_that_cannot_be_written_says_so(postgres: LocalPostgres, sql: psycopg.Connection[Any]) -> None:
    """A user whose sessions only read is told, before a migration starts and when it writes all the same."""
    sql.execute("CREATE ROLE reader LOGIN")
    sql.execute("ALTER ROLE reader SET default_transaction_read_only = on")
    sql.execute("CREATE TABLE read_only (id int PRIMARY KEY, v vector(2))")
    sql.execute("GRANT ALL ON read_only TO reader")
    store = opened(postgres.url("read_only", user="reader"))
    assert store.describe().writable is False
    for write in (
        lambda: store.upsert(batch([1])),
        lambda: opened(postgres.url("new", user="reader")).create(TableSpec(dim=2)),
    ):
        with pytest.raises(StoreError, match="must be writable"):
            write()


def test_a_statement_that_takes_too_long_ends(postgres: LocalPostgres, sql: psycopg.Connection[Any]) -> None:
    """A table that somebody locks does not hold a read for ever."""
    sql.execute("CREATE TABLE locked (id int PRIMARY KEY, v vector(2))")
    store = opened(postgres.url("locked"), timeout_s=0.1)
    assert store.describe().n_rows == 0
    with sql.transaction():
        sql.execute("LOCK TABLE locked")
        with pytest.raises(StoreError, match="within the time allowed"):
            list(store.scan())
    assert list(store.scan()) == []


def test_a_lost_connection_is_opened_again(postgres: LocalPostgres, sql: psycopg.Connection[Any]) -> None:
    """When the server ends a connection, the call fails as one worth another try, and the next call works."""
    store = opened(postgres.url("lost"))
    store.create(TableSpec(dim=2, has_payload=False))
    store.upsert(batch(range(10)))
    scan = store.scan(batch_size=4)
    first = next(scan)
    sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dimshift'")
    with pytest.raises(StoreUnavailableError):
        next(scan)
    rest = [one for part in store.scan(after=first.cursor) for one in part.ids]
    assert [*first.ids, *rest] == list(range(10))
    assert store.upsert(batch([20])).n_written == 1


def test_a_server_that_restarts_is_waited_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    """While the server is down every call is worth another try; once it is up again the same store goes on."""
    with TemporaryDirectory(prefix="dimshift-pg-") as folder, start_local_postgres(Path(folder) / "data") as server:
        store = opened(server.url("t"))
        store.create(TableSpec(dim=2, has_payload=False))
        store.upsert(batch(range(5)))
        server.stop(mode="immediate")
        for ask in (store.count, store.describe, lambda: store.upsert(batch([7]))):
            with pytest.raises(StoreUnavailableError):
                ask()
        server.start()
        assert store.count() == 5
        assert store.upsert(batch([7])).n_written == 1
        store.close()


def test_a_server_that_cannot_start_is_one_sentence(tmp_path: Any) -> None:
    """A folder that is a file cannot hold a database."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="PostgreSQL must start"):
        start_local_postgres(tmp_path / "file" / "data")
