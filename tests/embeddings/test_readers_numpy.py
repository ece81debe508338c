"""npy and npz."""

import pickle
import struct

import numpy as np
import pytest

from engine.embeddings import Columns, load, load_upload
from engine.errors import AmbiguousColumnsError, FormatError, ParameterError, VectorError


def read(content, name="vectors.npy", **options):
    """Load an upload without holding out queries."""
    return load_upload({"corpus": (name, content)}, n_held_out=0, **options)


def with_header(text, payload=b""):
    """Return an npy file with a header of `text`."""
    header = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + payload


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8"])
def test_npy_of_every_scored_dtype_is_memory_mapped(tmp_path, dtype):
    """A 2-D array on disk comes back memory-mapped, with its dtype and values."""
    array = np.arange(12).reshape(4, 3).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    corpus = load(tmp_path / "a.npy", n_held_out=0).corpus
    assert isinstance(corpus, np.memmap)
    assert corpus.dtype == dtype
    np.testing.assert_array_equal(corpus, array)


def test_npy_in_fortran_order_keeps_its_rows(tmp_path):
    """Column-major storage changes nothing of what the rows are."""
    array = np.asfortranarray(np.arange(12, dtype=np.float32).reshape(4, 3))
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(load(tmp_path / "a.npy", n_held_out=0).corpus, array)


def test_big_endian_npy_is_converted(write):
    """Values of the other byte order arrive in the order of this machine."""
    array = np.arange(12, dtype=">f4").reshape(4, 3)
    corpus = read(write.npy(array)).corpus
    assert corpus.dtype.isnative
    np.testing.assert_array_equal(corpus, array)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_header_is_read(version):
    """Headers of versions 1, 2 and 3 are understood."""
    import io

    buffer = io.BytesIO()
    array = np.ones((2, 3), dtype=np.float32)
    np.lib.format.write_array(buffer, array, version=version)
    np.testing.assert_array_equal(read(buffer.getvalue()).corpus, array)


def test_content_decides_not_the_extension(write, vectors):
    """An npy array under another name is still an npy array."""
    np.testing.assert_array_equal(read(write.npy(vectors), "vectors.parquet").corpus, vectors)


def test_pickled_npy_is_refused_unopened():
    """An array of objects is named as what it is and never unpickled."""

    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("it was unpickled",))

    content = with_header("{'descr': '|O', 'fortran_order': False, 'shape': (1, 1), }", pickle.dumps(Bomb()))
    with pytest.raises(FormatError, match=r"vectors\.npy: .*pickled objects are never opened; found dtype \|O"):
        read(content)


def test_bare_pickle_is_refused():
    """A pickle is not a format that is read."""
    with pytest.raises(FormatError, match=r"found a pickle\. Pickles are never opened"):
        read(pickle.dumps([1.0]), "vectors.pkl")


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 1000), }", "for shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", "for shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-2, -3), }", "must give descr"),
        ("{'descr': '<f4', 'fortran_order': __import__('os'), 'shape': (2, 3), }", "must give descr"),
        ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", "found structured"),
        ("{'descr': '<c8', 'fortran_order': False, 'shape': (2, 3), }", "plain dtype"),
        ("(((((((((", "must give descr"),
    ],
)
def test_lying_and_odd_headers_are_refused(header, found):
    """A header that promises more than the file holds, or something else than plain numbers, is an error."""
    with pytest.raises(FormatError, match=found) as error:
        read(with_header(header, b"\0" * 8))
    assert str(error.value).startswith("vectors.npy: ")


@pytest.mark.parametrize("keep", [0, 3, 7, 9, 40, 130])
def test_truncated_npy_is_refused(write, vectors, keep):
    """Wherever an npy file is cut, the error names the file."""
    with pytest.raises(FormatError, match=r"^vectors\.npy: "):
        read(write.npy(vectors)[:keep])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(5, dtype=np.float32),
        np.zeros((2, 2, 2), dtype=np.float32),
        np.zeros((0, 4), dtype=np.float32),
        np.zeros((4, 0), dtype=np.float32),
        np.zeros((2, 2), dtype=np.int64),
        np.zeros((2, 2), dtype=bool),
    ],
)
def test_arrays_that_are_no_vectors_are_refused(write, array):
    """Other than 2-D, empty, or of a dtype that is not scored: the error tells shape and dtype."""
    with pytest.raises(FormatError, match=r"vectors must be a 2-D array.*found shape \("):
        read(write.npy(array))


def test_rows_that_are_not_finite_are_named(write, vectors):
    """NaN and infinity in an upload are refused with their row numbers."""
    vectors[1, 2] = np.nan
    vectors[4, 0] = np.inf
    with pytest.raises(VectorError, match=r"NaN or infinity in 2 rows, counted from 0: 1, 4"):
        read(write.npy(vectors))


def test_npz_gives_corpus_queries_ids_texts_and_segments(write, vectors):
    """Names tell what the arrays of an archive are."""
    content = write.npz(
        corpus=vectors,
        queries=vectors[:2] + 1,
        doc_ids=np.array(list("abcdef")),
        query_ids=np.array([b"q1", b"q2"]),
        doc_texts=np.array(["ä", "b", "c", "d", "e", "f"]),
        segments=np.arange(6),
    )
    made = read(content, "set.npz")
    np.testing.assert_array_equal(made.corpus, vectors)
    np.testing.assert_array_equal(made.queries, vectors[:2] + 1)
    assert list(made.corpus_ids) == list("abcdef")
    assert list(made.query_ids) == ["q1", "q2"]
    assert made.corpus_texts[0] == "ä"
    assert list(made.corpus_segments) == list("012345")


def test_npz_of_one_array_needs_no_known_name(write, vectors):
    """The only 2-D array is the corpus, whatever it is called."""
    made = read(write.npz(arr_0=vectors, epochs=np.arange(3)), "a.npz")
    np.testing.assert_array_equal(made.corpus, vectors)
    assert made.queries is None


def test_stored_npz_is_mapped_where_it_lies(tmp_path, vectors):
    """Members that were not compressed are memory-mapped within the archive."""
    np.savez(tmp_path / "a.npz", corpus=vectors, queries=vectors[:2])
    made = load(tmp_path / "a.npz")
    assert isinstance(made.corpus, np.memmap)
    np.testing.assert_array_equal(made.corpus, vectors)
    np.testing.assert_array_equal(made.queries, vectors[:2])


def test_npz_of_two_unknown_arrays_is_a_question(write, vectors):
    """Two arrays that could be meant are listed, and either can be chosen."""
    content = write.npz(first=vectors, second=vectors[:3])
    with pytest.raises(AmbiguousColumnsError) as error:
        read(content, "a.npz")
    assert error.value.candidates == ("first", "second")
    made = read(content, "a.npz", columns=Columns(corpus="second", queries="first"))
    assert (made.n_docs, made.n_queries) == (3, 6)
    with pytest.raises(ParameterError, match=r"found third\. It has first, second"):
        read(content, "a.npz", columns=Columns(vector="third"))


def test_npz_that_expands_too_far_is_refused_before_it_is_inflated(write):
    """A member that would inflate to a thousand times its size is refused by what the archive declares."""
    content = write.npz(corpus=np.zeros((20_000, 1024), dtype=np.float32))
    assert len(content) < 200_000
    with pytest.raises(FormatError, match="at most 200 times its size"):
        read(content, "bomb.npz")


def test_npz_beyond_the_limit_is_refused(write, vectors):
    """The limit on memory is the caller's to set."""
    with pytest.raises(FormatError, match="may expand to at most"):
        read(write.npz(corpus=vectors), "a.npz", max_expanded_bytes=100)


def test_npz_member_that_lies_about_its_size_is_refused(write, vectors):
    """A header inside a member is checked against the size of the member."""
    lying = with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (900000, 900000), }", b"\0" * 64)
    with pytest.raises(FormatError, match=r"^corpus\.npy in a\.npz: an npy file must hold exactly"):
        read(write.zip({"corpus.npy": lying}), "a.npz")


def test_pickled_ids_in_npz_are_refused_with_a_way_out(write, vectors):
    """Ids that NumPy pickled are refused; the hint tells how to save them."""
    content = write.npz(corpus=vectors, doc_ids=np.array(list("abcdef"), dtype=object))
    with pytest.raises(FormatError, match=r"doc_ids\.npy in a\.npz: .*array\.astype\(str\)"):
        read(content, "a.npz")


def test_duplicate_ids_are_refused(write, vectors):
    """An id that occurs twice is named."""
    with pytest.raises(VectorError, match=r"every id must occur once; found 1 repeated, first 'a'"):
        read(write.npz(corpus=vectors, ids=np.array(list("abcdea"))), "a.npz")


def test_strings_beyond_unicode_are_refused(write, vectors):
    """Code points that no character has do not crash the interpreter."""
    ids = np.array(list("abcdef"))
    ids.view(np.uint32)[2] = 0x7FFFFFFF
    with pytest.raises(FormatError, match="Unicode characters; found 0x7fffffff"):
        read(write.npz(corpus=vectors, ids=ids), "a.npz")
