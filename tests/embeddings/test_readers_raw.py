"""fvecs, bvecs, ivecs, fbin, u8bin, i8bin, ibin."""

import numpy as np
import pytest

from engine.embeddings import load, load_upload
from engine.errors import FormatError, VectorError

VECS = [("a.fvecs", "<f4"), ("a.bvecs", "u1"), ("a.ivecs", "<i4")]
BIN = [("a.fbin", "<f4"), ("a.u8bin", "u1"), ("a.i8bin", "i1"), ("a.ibin", "<i4")]


def read(name, content):
    """Load an upload without holding out queries."""
    return load_upload({"corpus": (name, content)}, n_held_out=0)


def sample(dtype):
    """Return a small array of `dtype`."""
    return np.random.default_rng(3).integers(-100 if np.dtype(dtype).kind != "u" else 0, 100, (5, 7)).astype(dtype)


@pytest.mark.parametrize(("name", "dtype"), [*VECS, *BIN])
def test_values_come_back(write, tmp_path, name, dtype):
    """Every member of both families gives the values that were written, from disk and from an upload."""
    array = sample(dtype)
    content = write.bin(array) if "bin" in name else write.vecs(array)
    (tmp_path / name).write_bytes(content)
    np.testing.assert_array_equal(load(tmp_path / name, n_held_out=0).corpus, array)
    np.testing.assert_array_equal(read(name, content).corpus, array)


@pytest.mark.parametrize("name", ["a.fvecs", "a.bvecs", "a.fbin", "a.u8bin", "a.i8bin"])
def test_vectors_are_memory_mapped(write, tmp_path, name):
    """Vectors on disk are mapped, records of the vecs family as a strided view."""
    array = sample(dict([*VECS, *BIN])[name])
    (tmp_path / name).write_bytes(write.bin(array) if "bin" in name else write.vecs(array))
    assert isinstance(load(tmp_path / name, n_held_out=0).corpus, np.memmap)


@pytest.mark.parametrize("name", ["a.ivecs", "a.ibin"])
def test_int32_is_read_exactly_and_with_a_warning(write, name):
    """int32 files usually hold neighbour ids: they are read, beyond float32's exact integers too, and said so."""
    array = np.array([[2**31 - 1, -(2**31)], [1, 2**24 + 1]], dtype="<i4")
    made = read(name, write.bin(array) if "bin" in name else write.vecs(array))
    np.testing.assert_array_equal(made.corpus, array)
    assert "neighbour ids" in made.warnings[0]


def test_ground_truth_of_the_bin_family_is_no_set_of_vectors():
    """Ids and distances in one ibin file are recognised and refused."""
    content = np.array([3, 2], dtype="<u4").tobytes() + bytes(3 * 2 * 8)
    with pytest.raises(FormatError, match="neighbour ids and distances of 3 queries, 2 each"):
        read("truth.ibin", content)


@pytest.mark.parametrize("change", [-1, 1, -20])
def test_bin_of_another_size_is_refused(write, change):
    """A file of the bin family is exactly as long as its header says."""
    content = write.bin(sample("<f4"))
    content = content[:change] if change < 0 else content + bytes(change)
    with pytest.raises(FormatError, match=rf"8 \+ n·d·4 bytes.*found {len(content)} bytes, n 5, d 7"):
        read("a.fbin", content)


@pytest.mark.parametrize("header", [(0, 7), (5, 0), (2**32 - 1, 2**32 - 1)])
def test_bin_header_that_lies_is_refused(header):
    """No rows, no components, or more of them than the file holds."""
    content = np.array(header, dtype="<u4").tobytes() + bytes(140)
    with pytest.raises(FormatError, match=f"n {header[0]}, d {header[1]}"):
        read("a.fbin", content)


@pytest.mark.parametrize("name", ["a.fvecs", "a.bvecs", "a.fbin", "a.u8bin"])
def test_a_few_bytes_are_refused(name):
    """A file too short for its first number is an error of the format."""
    with pytest.raises(FormatError, match=rf"^{name}: the file must begin with its sizes; found 3 bytes"):
        read(name, b"\1\0\0")


def test_vecs_that_end_within_a_record_are_refused(write):
    """A truncated record shows in the size."""
    with pytest.raises(FormatError, match=r"a multiple of 4 \+ d·4 bytes; found 159 bytes, d 7"):
        read("a.fvecs", write.vecs(sample("<f4"))[:-1])


@pytest.mark.parametrize("dim", [0, -3, 2**31 - 1])
def test_vecs_of_impossible_dims_are_refused(dim):
    """A first record without components, or larger than the file, is refused."""
    with pytest.raises(FormatError, match=f"d {dim}"):
        read("a.fvecs", np.array([dim], dtype="<i4").tobytes() + bytes(28))


@pytest.mark.parametrize(("name", "dtype"), [("a.fvecs", "<f4"), ("a.bvecs", "u1")])
def test_ragged_vecs_are_refused_with_the_row(write, name, dtype):
    """A record of another length is named by its row."""
    array = sample(dtype)
    content = bytearray(write.vecs(array))
    record = 4 + array[0].nbytes
    content[3 * record] = 6
    with pytest.raises(VectorError, match="as many components as the first, 7; found 6 in row 3"):
        read(name, bytes(content))


def test_unknown_extensions_are_told_by_structure(write):
    """A file whose size fits its header to the byte needs no extension."""
    array = sample("<f4")
    np.testing.assert_array_equal(read("vectors.bin", write.bin(array)).corpus, array)
    np.testing.assert_array_equal(read("vectors", write.vecs(array)).corpus, array)
