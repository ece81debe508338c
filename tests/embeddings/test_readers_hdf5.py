"""HDF5 as ann-benchmarks writes it."""

import io

import h5py
import numpy as np
import pytest

from engine.embeddings import Columns, load, load_upload
from engine.embeddings.readers import hdf5
from engine.errors import AmbiguousColumnsError, FormatError


def read(content, **options):
    """Load an upload without holding out queries."""
    return load_upload({"corpus": ("a.hdf5", content)}, n_held_out=0, **options)


@pytest.mark.parametrize(
    ("distance", "metric"), [("angular", "cosine"), ("euclidean", "l2"), ("dot", "ip"), (b"angular", "cosine")]
)
def test_train_test_and_distance(write, vectors, distance, metric):
    """Train is the corpus, test the queries, and the distance names the metric; neighbours are no vectors."""
    content = write.hdf5(
        train=vectors,
        test=vectors[:2] + 1,
        neighbors=np.zeros((2, 3), dtype=np.int32),
        distances=np.zeros((2, 3), dtype=np.float32),
        distance=distance,
    )
    made = read(content)
    np.testing.assert_array_equal(made.corpus, vectors)
    np.testing.assert_array_equal(made.queries, vectors[:2] + 1)
    assert made.metric == metric


def test_contiguous_datasets_are_memory_mapped_and_chunked_ones_copied(write, tmp_path, vectors):
    """Values that lie in the file as they are get mapped; deflated ones are inflated into memory."""
    for name, chunked in (("plain", False), ("deflated", True)):
        path = tmp_path / f"{name}.hdf5"
        path.write_bytes(write.hdf5(train=vectors, chunked=chunked))
        corpus = load(path, n_held_out=0).corpus
        np.testing.assert_array_equal(corpus, vectors)
        assert isinstance(corpus, np.memmap) is not chunked


def test_other_byte_order_and_bits_are_converted(write):
    """Big-endian values are converted; the only dataset needs no known name."""
    array = np.arange(6, dtype=">f8").reshape(3, 2)
    np.testing.assert_array_equal(read(write.hdf5(weights=array)).corpus, array)


def test_unknown_distance_is_a_warning(write, vectors):
    """A distance that is not scored is told, and the caller's metric wins over the file's."""
    content = write.hdf5(train=vectors, distance="jaccard")
    assert "names the distance jaccard" in read(content).warnings[0]
    assert read(write.hdf5(train=vectors, distance="angular"), metric="l2").metric == "l2"


def test_two_datasets_are_a_question(write, vectors):
    """Two candidates are listed, and can be chosen by name."""
    content = write.hdf5(a=vectors, b=vectors[:2])
    with pytest.raises(AmbiguousColumnsError) as error:
        read(content)
    assert error.value.candidates == ("a", "b")
    assert read(content, columns=Columns(corpus="a", queries="b")).n_queries == 2


def built(tmp_path, build):
    """Return the path of an HDF5 file that `build` fills."""
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        build(file)
    return path


def external_link(file):
    """Link to another file."""
    file["train"] = h5py.ExternalLink("secret.hdf5", "/train")


def external_storage(file):
    """Store values in another file."""
    file.create_dataset("train", (2, 2), dtype="f4", external=[("secret.raw", 0, 16)])


def virtual_dataset(file):
    """Map a dataset of another file."""
    layout = h5py.VirtualLayout((2, 2), dtype="f4")
    layout[:] = h5py.VirtualSource("secret.hdf5", "train", (2, 2))
    file.create_virtual_dataset("train", layout)


@pytest.mark.parametrize("build", [external_link, external_storage, virtual_dataset])
def test_data_in_other_files_is_refused(tmp_path, build):
    """A file cannot make the reader open another one."""
    with pytest.raises(FormatError, match="must hold its data itself.*found train"):
        load(built(tmp_path, build))


@pytest.mark.parametrize(
    "array",
    [np.array([[b"a", "b"]], dtype=h5py.string_dtype()), np.zeros((2, 2), dtype=[("a", "f4")]), np.zeros((2, 2), "c8")],
)
def test_objects_and_compound_values_are_no_vectors(write, array):
    """Strings of any length, compound and complex values are refused."""
    with pytest.raises(FormatError, match=r"one array must be 2-D"):
        read(write.hdf5(train=array))


def test_a_dataset_that_expands_too_far_is_refused(write):
    """A shape that the deflated chunks do not explain is refused before anything is inflated."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("train", (10**9, 1000), dtype="f4", chunks=(1000, 1000), compression="gzip")
        file.create_dataset("test", (50_000, 1000), dtype="f4", chunks=(1000, 1000), compression="gzip")
    with pytest.raises(FormatError, match=r"train in a\.hdf5: a file may expand to at most 4\.0 GiB"):
        read(buffer.getvalue())
    with pytest.raises(FormatError, match=r"test in a\.hdf5: .* at most 200 times"):
        read(buffer.getvalue(), columns=Columns(corpus="test", queries="train"))


@pytest.mark.parametrize("keep", [8, 100, 1000, -1])
def test_truncated_files_are_refused(write, vectors, keep):
    """Wherever the file is cut, one error names it."""
    with pytest.raises(FormatError, match=r"^a\.hdf5: the HDF5 library must be able to read the file"):
        read(write.hdf5(train=vectors)[:keep])


def test_a_file_that_hangs_the_library_is_refused(write, vectors, monkeypatch):
    """A damaged length in the heap of strings sends libhdf5 into an endless loop; the reader gives up on it."""
    monkeypatch.setattr(hdf5, "_SECONDS", 1)
    content = bytearray(write.hdf5(train=vectors, distance="angular"))
    length = content.index(b"GCOL") + 24
    assert content[length] == len("angular")
    content[length] = 0xA1
    with pytest.raises(FormatError, match="neither read nor refused it"):
        read(bytes(content))
