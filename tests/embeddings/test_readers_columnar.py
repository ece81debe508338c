"""Parquet and Arrow IPC."""

import contextlib

import numpy as np
import pyarrow as pa
import pytest

from engine.embeddings import Columns, load, load_upload
from engine.errors import AmbiguousColumnsError, EngineError, FormatError, ParameterError, VectorError


def read(content, name="a.parquet", **options):
    """Load an upload without holding out queries."""
    return load_upload({"corpus": (name, content)}, n_held_out=0, **options)


def column(vectors, kind):
    """Return `vectors` as an Arrow column of `kind`."""
    dim = vectors.shape[1]
    if kind.startswith("binary"):
        rows = [row.astype("<f4").tobytes() for row in vectors]
        return pa.array(rows, {"binary": pa.binary(), "binary fixed": pa.binary(4 * dim)}[kind])
    kinds = {
        "float": pa.list_(pa.float32()),
        "double": pa.list_(pa.float64()),
        "half": pa.list_(pa.float16()),
        "large": pa.large_list(pa.float32()),
        "fixed": pa.list_(pa.float32(), dim),
        "int64": pa.list_(pa.int64()),
        "uint8": pa.list_(pa.uint8()),
    }
    return pa.array(list(vectors), kinds[kind])


KINDS = ["float", "double", "half", "large", "fixed", "int64", "uint8", "binary", "binary fixed"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_vector_column_is_read_from_parquet(write, kind):
    """Lists of any width, fixed-size lists and binary float32 give the same vectors."""
    array = np.arange(12).reshape(4, 3).astype({"half": np.float16, "uint8": np.uint8}.get(kind, np.float32))
    array = array.astype(np.int64) if kind == "int64" else array
    made = read(write.parquet(pa.table({"id": [5, 6, 7, 8], "emb": column(array, kind)})))
    np.testing.assert_array_equal(made.corpus, array)
    assert list(made.corpus_ids) == ["5", "6", "7", "8"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_every_kind_of_vector_column_is_read_from_arrow(write, kind, compression):
    """Arrow files give the same, compressed or not, and so do streams."""
    array = np.arange(12).reshape(4, 3).astype({"half": np.float16, "uint8": np.uint8}.get(kind, np.float32))
    array = array.astype(np.int64) if kind == "int64" else array
    table = pa.table({"emb": column(array, kind)})
    for stream in (False, True):
        content = write.arrow(table, compression=compression, stream=stream)
        np.testing.assert_array_equal(read(content, "a.arrow").corpus, array)


def test_files_on_disk_are_read_as_uploads_are(write, tmp_path, vectors):
    """A path gives what an upload gives."""
    table = write.table(vectors)
    (tmp_path / "a.parquet").write_bytes(write.parquet(table))
    (tmp_path / "a.feather").write_bytes(write.arrow(table, compression="lz4"))
    for name in ("a.parquet", "a.feather"):
        np.testing.assert_array_equal(load(tmp_path / name, n_held_out=0).corpus, vectors)


def test_many_row_groups_and_batches_make_one_array(write):
    """Row groups and batches are put together in order."""
    array = np.random.default_rng(0).standard_normal((1000, 3)).astype(np.float32)
    table = write.table(array, _id=[f"d{row}" for row in range(1000)])
    made = read(write.parquet(table, row_group_size=77))
    np.testing.assert_array_equal(made.corpus, array)
    assert made.corpus_ids[999] == "d999"
    parts = pa.Table.from_batches(table.to_batches(max_chunksize=77))
    np.testing.assert_array_equal(read(write.arrow(parts), "a.arrow").corpus, array)


def test_ids_texts_and_segments_are_found_by_name(write, vectors):
    """_id, title with text, and segment stand beside the vectors; missing texts are empty."""
    made = read(
        write.parquet(
            write.table(
                vectors,
                _id=list("abcdef"),
                title=["T", None, "", "x", "y", "z"],
                text=["one", "two", "three", None, "5", "6"],
                segment=["en", "de", "en", "de", "en", "de"],
            )
        )
    )
    assert list(made.corpus_ids) == list("abcdef")
    assert list(made.corpus_texts) == ["T one", "two", "three", "x", "y 5", "z 6"]
    assert list(made.corpus_segments)[:2] == ["en", "de"]


@pytest.mark.parametrize("name", ["emb", "openai", "text-embedding-3-large-3072-embedding", "vector", "anything"])
def test_one_vector_column_may_have_any_name(write, vectors, name):
    """The only list of floats is the vector column; names seen in the wild included."""
    table = pa.table({"year": [1] * 6, name: column(vectors, "float")})
    np.testing.assert_array_equal(read(write.parquet(table)).corpus, vectors)


def test_a_name_that_speaks_wins_over_other_lists(write, vectors):
    """Of several lists of floats, the only one that is named like vectors is taken."""
    table = pa.table({"box": column(vectors[:, :2], "float"), "emb": column(vectors, "float")})
    np.testing.assert_array_equal(read(write.parquet(table)).corpus, vectors)


def test_two_vector_columns_are_a_question(write, vectors):
    """Two columns named like vectors are listed; the choice is followed."""
    table = pa.table(
        {"embedding": column(vectors, "float"), "title_embedding": column(vectors + 1, "fixed"), "id": list("abcdef")}
    )
    with pytest.raises(AmbiguousColumnsError, match=r"Choose one of them by name") as error:
        read(write.parquet(table))
    assert error.value.candidates == ("embedding", "title_embedding")
    made = read(write.parquet(table), columns=Columns(vector="title_embedding"))
    np.testing.assert_array_equal(made.corpus, vectors + 1)


def test_a_column_chosen_that_is_not_there_is_refused(write, vectors):
    """A wrong name is answered with the names there are."""
    for choice in (Columns(vector="nope"), Columns(id="nope"), Columns(text="nope"), Columns(segment="nope")):
        with pytest.raises(ParameterError, match=r"found nope\. It has id, emb"):
            read(write.parquet(write.table(vectors, id=list("abcdef"))), columns=choice)


def test_a_column_chosen_that_holds_no_vectors_is_refused(write, vectors):
    """Choosing a column of strings as vectors is an error of the file."""
    with pytest.raises(FormatError, match="must hold vectors; found id"):
        read(write.parquet(write.table(vectors, id=list("abcdef"))), columns=Columns(vector="id"))


def test_a_table_without_vectors_or_texts_lists_its_columns(write):
    """When nothing can be scored the columns and their types are told."""
    with pytest.raises(FormatError, match="found year int64"):
        read(write.parquet(pa.table({"year": [1, 2]})))


def test_neighbour_lists_are_not_taken_for_vectors(write, vectors):
    """A list of int64 under another name is no candidate."""
    table = pa.table({"neighbors_id": [[1, 2]] * 6, "emb": column(vectors, "float")})
    np.testing.assert_array_equal(read(write.parquet(table)).corpus, vectors)


@pytest.mark.parametrize("wrong", [[[1.0, 2.0], [1.0]], [[1.0, 2.0], [1.0, 2.0], [1.0, 2.0, 3.0]]])
def test_ragged_rows_are_refused_with_the_row(write, wrong):
    """A vector of another length is named by its row."""
    with pytest.raises(VectorError, match=rf"as the first, 2; found {len(wrong[-1])} in row {len(wrong) - 1}"):
        read(write.parquet(pa.table({"emb": pa.array(wrong, pa.list_(pa.float32()))})))


def test_rows_ragged_across_batches_are_refused(write):
    """A vector of another length in a later batch is found too."""
    first = pa.table({"emb": pa.array([[1.0, 2.0]] * 3, pa.list_(pa.float32()))})
    second = pa.table({"emb": pa.array([[1.0]] * 3, pa.list_(pa.float32()))})
    with pytest.raises(VectorError, match="found 1 in row 3"):
        read(write.arrow(pa.concat_tables([first, second])), "a.arrow")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1.0], None], "every row must have a vector; found none in row 1"),
        ([[1.0, 2.0], [1.0, None]], "numbers only; found a missing one in row 1"),
        ([], "at least one row"),
    ],
)
def test_missing_values_are_refused(write, rows, message):
    """Missing rows and components, and tables without rows, are errors of the format."""
    with pytest.raises(FormatError, match=message):
        read(write.parquet(pa.table({"emb": pa.array(rows, pa.list_(pa.float32()))})))


def test_a_missing_id_is_refused(write, vectors):
    """Every row needs its id once a column of ids is there."""
    with pytest.raises(FormatError, match="every row must have an id; found none in row 2"):
        read(write.parquet(write.table(vectors, id=["a", "b", None, "d", "e", "f"])))


def test_binary_of_another_width_is_refused(write):
    """Bytes that are no whole number of float32 are no vector."""
    with pytest.raises(FormatError, match="a multiple of 4 bytes long; found 3 bytes"):
        read(write.parquet(pa.table({"emb": [b"abc", b"def"]})))


def test_infinite_rows_are_refused(write, vectors):
    """Infinity in a column is refused with the row."""
    vectors[2, 1] = -np.inf
    with pytest.raises(VectorError, match="counted from 0: 2"):
        read(write.parquet(write.table(vectors)))


@pytest.mark.parametrize("layout", ["plain", "fixed"])
def test_parquet_that_expands_too_far_is_refused(write, layout):
    """A column of one value repeated compresses to nothing; what the footer declares is checked first."""
    rows = np.zeros((20_000, 1024), dtype=np.float32)
    values = pa.array(rows.ravel())
    emb = (
        pa.FixedSizeListArray.from_arrays(values, 1024)
        if layout == "fixed"
        else pa.ListArray.from_arrays(pa.array(np.arange(0, 20_001 * 1024, 1024), pa.int32()), values)
    )
    content = write.parquet(pa.table({"emb": emb}))
    with pytest.raises(FormatError, match="at most 200 times its size"):
        read(content)


def test_arrow_that_expands_too_far_is_refused(write):
    """The sizes that compressed buffers declare are read from the messages first."""
    values = pa.array(np.zeros(20_000 * 1024, dtype=np.float32))
    content = write.arrow(pa.table({"emb": pa.FixedSizeListArray.from_arrays(values, 1024)}), compression="zstd")
    with pytest.raises(FormatError, match=r"found [0-9,]+ bytes that expand to 81,9"):
        read(content, "a.arrow")


def test_a_long_text_repeated_in_a_dictionary_is_held_once(write):
    """A text repeated in every row of a small file does not multiply in memory."""
    text = "x" * 20_000
    table = pa.table({"emb": column(np.ones((1000, 2), dtype=np.float32), "float"), "text": [text] * 1000})
    content = write.parquet(table)
    made = read(content)
    assert made.corpus_texts[0] is made.corpus_texts[999]


@pytest.mark.parametrize("keep", [4, 11, 100, -1, -8])
def test_truncated_files_are_refused(write, vectors, keep):
    """A Parquet or Arrow file that is cut off is refused by name."""
    for name, content in {
        "a.parquet": write.parquet(write.table(vectors)),
        "a.arrow": write.arrow(write.table(vectors)),
    }.items():
        with pytest.raises(FormatError, match=rf"^{name}: "):
            read(content[:keep], name)


def test_damage_anywhere_in_a_parquet_footer_is_survived(write, vectors):
    """No single damaged byte of the footer ends in anything but an answer or an input error.

    Some damaged statistics make PyArrow end the whole process when it is asked for the facts of a column chunk.
    """
    content = write.parquet(write.table(vectors, id=list("abcdef")))
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    for place in range(footer, len(content)):
        for flip in (0x01, 0xFF):
            damaged = bytearray(content)
            damaged[place] ^= flip
            with contextlib.suppress(EngineError):
                assert read(bytes(damaged)).n_docs == len(vectors)


def test_columns_of_one_name_are_refused(write, vectors):
    """Two columns called the same cannot be told apart."""
    table = pa.table([column(vectors, "float"), column(vectors, "float")], names=["emb", "emb"])
    with pytest.raises(FormatError, match="a name of its own"):
        read(write.arrow(table), "a.arrow")


def test_feather_version_1_is_refused_with_a_way_out():
    """The old Feather format is named."""
    with pytest.raises(FormatError, match=r"found Feather version 1\. Write it again"):
        read(b"FEA1" + bytes(20), "a.feather")


def test_categorical_ids_and_texts_are_read(write, vectors):
    """Dictionary-encoded strings, as pandas categories become, are strings."""
    table = write.table(vectors, id=pa.array(list("abcdef")).dictionary_encode())
    assert list(read(write.arrow(table), "a.arrow").corpus_ids) == list("abcdef")
    assert list(read(write.parquet(table)).corpus_ids) == list("abcdef")
