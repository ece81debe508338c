"""Parts of a corpus: found in order, described by their headers, read in whole tiles."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.embeddings import load
from engine.errors import AmbiguousColumnsError, ClusterError, FormatError, ParameterError, PathError
from engine.scoring import TILE_ROWS
from engine.tradeoff.distributed import reading
from engine.tradeoff.distributed.parts import Part, describe_parts, list_parts, mapped_part
from engine.tradeoff.distributed.reading import map_part, read_rows, take_rows
from engine.tradeoff.distributed.storage import checked_url

if TYPE_CHECKING:
    from pathlib import Path

_FORMATS = ("npy", "fortran", "float16", "ranged", "parquet", "fixed", "binary")


def _write(folder: Path, number: int, rows: np.ndarray, form: str) -> str:
    if form in {"npy", "fortran", "float16", "ranged"}:
        path = folder / f"{number}.npy"
        stored = {"fortran": np.asfortranarray(rows), "float16": rows.astype(np.float16)}
        np.save(path, stored.get(form, rows))
        return str(path)
    path = folder / f"{number}.parquet"
    column = {
        "parquet": lambda: pa.array(list(rows)),
        "fixed": lambda: pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1]),
        "binary": lambda: pa.array([row.tobytes() for row in rows]),
    }[form]()
    pq.write_table(pa.table({"year": list(range(len(rows))), "embedding": column}), path, row_group_size=300)
    return str(path)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(1, 1500), st.sampled_from(_FORMATS)), min_size=1, max_size=4),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_any_stretch_of_any_parts_is_read_in_whole_tiles(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[tuple[int, str]], low: float, high: float
) -> None:
    """Rows come as they were written, from parts of any size and form; every block but the last is whole tiles."""
    folder = tmp_path_factory.mktemp("parts")
    rng = np.random.default_rng(len(sizes))
    # Small whole numbers, so that half precision holds them exactly.
    arrays = [rng.integers(-99, 99, (n, 6)).astype(np.float32) for n, _ in sizes]
    urls = [_write(folder, i, rows, form) for i, (rows, (_, form)) in enumerate(zip(arrays, sizes, strict=True))]
    described = [  # what is on no local disk is read in ranges
        replace(part, kind="npy") if form == "ranged" else part
        for part, (_, form) in zip(describe_parts(urls), sizes, strict=True)
    ]
    whole = np.concatenate(arrays)
    assert sum(part.n_rows for part in described) == len(whole)
    assert {part.dim for part in described} == {6}
    start = int(low * (len(whole) - 1)) // TILE_ROWS * TILE_ROWS
    stop = start + 1 + int(high * (len(whole) - start - 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_BLOCK_BYTES", TILE_ROWS * 6 * 4)
        blocks = list(read_rows(described, start, stop))
    np.testing.assert_array_equal(np.concatenate(blocks), whole[start:stop])
    assert all(len(block) % TILE_ROWS == 0 for block in blocks[:-1])
    rows = np.unique(rng.integers(0, len(whole), 20))
    np.testing.assert_array_equal(take_rows(described, rows), whole[rows])


def test_parts_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """part-2 comes before part-10; queries, judgements and other files beside the corpus are no parts."""
    for name in ("part-10.npy", "part-2.npy", "queries.npy", "part-1.npy", "test.npy"):
        np.save(tmp_path / name, np.ones((2, 3), np.float32))
    (tmp_path / "README.md").write_text("What these are")
    names = [url.rsplit("/", 1)[-1] for url in list_parts(str(tmp_path))]
    assert names == ["part-1.npy", "part-2.npy", "part-10.npy"]
    assert list_parts(f"file://{tmp_path}") == list_parts(str(tmp_path))
    assert list_parts(str(tmp_path / "part-2.npy")) == (str(tmp_path / "part-2.npy"),)


@pytest.mark.parametrize("form", ["npy", "parquet"])
def test_a_folder_that_is_called_like_a_file_is_a_folder(tmp_path: Path, form: str) -> None:
    """Writers such as Spark call the folder of the parts corpus.parquet; its parts are found."""
    folder = tmp_path / f"corpus.{form}"
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    urls = tuple(_write(folder, number, np.ones((3, 4), np.float32), form) for number in (1, 2))
    assert list_parts(str(folder)) == urls
    assert list_parts(urls[0]) == urls[:1]


def test_parts_of_a_store_that_is_no_disk_are_read_in_ranges() -> None:
    """Npy and Parquet parts behind fsspec are listed by URL, described and read without ever being whole in memory."""
    import io

    import fsspec

    store = fsspec.filesystem("memory")
    rows = np.random.default_rng(2).standard_normal((2_500, 6), dtype=np.float32)
    for number, (start, stop) in enumerate(((0, 900), (900, 2_500))):
        held = io.BytesIO()
        np.save(held, rows[start:stop])
        store.pipe(f"/bucket/npy/part-{number}.npy", held.getvalue())
        held = io.BytesIO()
        pq.write_table(pa.table({"embedding": list(rows[start:stop])}), held, row_group_size=400)
        store.pipe(f"/bucket/parquet/part-{number}.parquet", held.getvalue())
    for kind in ("npy", "parquet"):
        urls = list_parts(f"memory://bucket/{kind}")
        assert [url.split("//")[0] for url in urls] == ["memory:", "memory:"]
        described = describe_parts(urls)
        assert {part.kind for part in described} == {kind}
        np.testing.assert_array_equal(np.concatenate(list(read_rows(described, 1024, 2_400))), rows[1024:2_400])
        np.testing.assert_array_equal(take_rows(described, np.array([3, 899, 900, 2_499])), rows[[3, 899, 900, 2_499]])


@pytest.mark.parametrize("url", ["memory://x", "ssh://host/x", "zip://a::file:///b", "simplecache::s3://b/c"])
def test_only_urls_of_files_are_opened(url: str) -> None:
    """Protocols that hold no files, and URLs that chain several, are refused before anything is opened."""
    with pytest.raises(ParameterError, match="below a URL of file, s3"):
        checked_url(url)


@pytest.mark.parametrize(
    "url", ["s3://key:hush@bucket/c", "http://me:hush@host/c/", "s3://hush@bucket/c", "abfss://box:hush@account/c"]
)
def test_credentials_in_the_url_are_refused_and_not_repeated(url: str) -> None:
    """They would be in the history of the shell and in every task; a container before the @ is none."""
    with pytest.raises(ParameterError, match="must hold no credentials") as refused:
        checked_url(url)
    assert "hush" not in str(refused.value)
    assert checked_url("abfss://box@account.example.com/c") == "abfss://box@account.example.com/c"


def test_what_is_no_part_is_refused_by_name(tmp_path: Path) -> None:
    """Wrong headers, truncated files, tables without vectors or with two candidates, mixed folders and gaps."""
    (tmp_path / "cut.npy").write_bytes(
        (b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (9, 9)}").ljust(128)
    )
    (tmp_path / "text.npy").write_text("hello")
    np.save(tmp_path / "flat.npy", np.ones(5, np.float32))
    pq.write_table(pa.table({"n": [1]}), tmp_path / "none.parquet")
    pq.write_table(pa.table({"a": [[1.0]], "b": [[1.0]]}), tmp_path / "two.parquet")
    pq.write_table(pa.table({"v": pa.array([[1.0]])}).slice(0, 0), tmp_path / "no_rows.parquet")
    for name, kind, words in (
        ("cut.npy", FormatError, "must hold exactly what its header promises"),
        ("text.npy", FormatError, "must begin with"),
        ("flat.npy", FormatError, "must be a 2-D array"),
        ("none.parquet", FormatError, "must hold vectors"),
        ("two.parquet", AmbiguousColumnsError, "one column must hold the vectors; found a, b"),
        ("no_rows.parquet", FormatError, "found no rows"),
        ("missing.npy", PathError, "must be readable"),
    ):
        with pytest.raises(kind, match=words):
            describe_parts([str(tmp_path / name)])
    with pytest.raises(FormatError, match="all .npy or all .parquet; found both"):
        list_parts(str(tmp_path))


@pytest.mark.parametrize(
    ("url", "module", "install"),
    [
        ("s3://bucket/corpus", "s3fs", r"pip install 'dimshift\[s3\]'"),
        ("http://host/corpus/", "aiohttp", r"pip install 'dimshift\[s3\]'"),
        ("gs://bucket/corpus", "gcsfs", "pip install gcsfs"),
    ],
)
def test_a_driver_that_is_missing_is_named(
    url: str, module: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A URL of a store whose fsspec driver is not installed says so, and what to install."""
    # The module, whose name in its package is the table of drivers.
    monkeypatch.delitem(import_module("fsspec.registry")._registry, url.partition(":")[0], raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "fsspec.implementations.http", raising=False)
    missing = rf"every worker must have the fsspec driver .* on the workers: {install}"
    for act in (list_parts, lambda one: describe_parts([f"{one}/part.npy"])):
        with pytest.raises(ClusterError, match=missing):
            act(url)


def test_every_mapped_format_is_found_in_its_file(tmp_path: Path) -> None:
    """Arrays mapped from npy, fbin and fvecs, sliced or strided, are the same rows when a worker maps the part."""
    rows = np.random.default_rng(1).standard_normal((50, 6), dtype=np.float32)
    np.save(tmp_path / "a.npy", rows)
    (tmp_path / "a.fbin").write_bytes(np.array([50, 6], np.uint32).tobytes() + rows.tobytes())
    records = np.concatenate([np.full((50, 1), 6, np.int32).view(np.float32), rows], axis=1)
    (tmp_path / "a.fvecs").write_bytes(records.tobytes())
    for name in ("a.npy", "a.fbin", "a.fvecs"):
        mapped = load(tmp_path / name, n_held_out=0).corpus
        part = mapped_part(mapped)
        assert isinstance(part, Part)
        np.testing.assert_array_equal(map_part(part), rows)
        cut = mapped_part(mapped[7:40:3])
        assert cut is not None
        np.testing.assert_array_equal(map_part(cut), rows[7:40:3])
    assert mapped_part(rows) is None
    assert mapped_part(np.load(tmp_path / "a.npy", mmap_mode="r")[::-1]) is None
