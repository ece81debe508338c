"""Properties of every reader: what is written comes back, and damage is an input error and nothing else."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.embeddings import load_upload
from engine.errors import EngineError

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
FLOAT32 = hnp.arrays(np.float32, SHAPES, elements=FLOATS)
INT32 = hnp.arrays(np.dtype("<i4"), SHAPES)
INT8 = hnp.arrays(np.int8, SHAPES)
UINT8 = hnp.arrays(np.uint8, SHAPES)

# File name, strategy of arrays, and how the fixture `write` writes them.
FORMATS = {
    "npy": ("a.npy", FLOAT32, lambda write, a: write.npy(a)),
    "npy float16": (
        "a.npy",
        hnp.arrays(np.float16, SHAPES, elements=st.floats(-9, 9, width=16)),
        lambda w, a: w.npy(a),
    ),
    "npz": ("a.npz", FLOAT32, lambda write, a: write.npz(corpus=a, doc_ids=np.arange(len(a)).astype(str))),
    "parquet": ("a.parquet", FLOAT32, lambda write, a: write.parquet(write.table(a, id=list(map(str, range(len(a))))))),
    "arrow": ("a.arrow", FLOAT32, lambda write, a: write.arrow(write.table(a))),
    "arrow lz4": ("a.feather", UINT8, lambda write, a: write.arrow(write.table(a), compression="lz4")),
    "fvecs": ("a.fvecs", FLOAT32, lambda write, a: write.vecs(a)),
    "bvecs": ("a.bvecs", UINT8, lambda write, a: write.vecs(a)),
    "ivecs": ("a.ivecs", INT32, lambda write, a: write.vecs(a)),
    "fbin": ("a.fbin", FLOAT32, lambda write, a: write.bin(a)),
    "u8bin": ("a.u8bin", UINT8, lambda write, a: write.bin(a)),
    "i8bin": ("a.i8bin", INT8, lambda write, a: write.bin(a)),
    "ibin": ("a.ibin", INT32, lambda write, a: write.bin(a)),
    "safetensors": ("a.safetensors", FLOAT32, lambda write, a: write.safetensors(corpus=a)),
    "json lines": ("a.jsonl", FLOAT32, lambda write, a: write.json_lines(a)),
    "bare arrays": ("a.jsonl", FLOAT32, lambda _, a: "\n".join(map(json.dumps, a.tolist())).encode()),
    "openai lists": ("a.jsonl", FLOAT32, lambda write, a: write.batch(a, range(len(a)))),
    "openai base64": ("a.jsonl", FLOAT32, lambda write, a: write.batch(a, range(len(a)), in_base64=True)),
    "csv": ("a.csv", FLOAT32, lambda write, a: write.csv(a)),
    "csv of json": ("a.csv", FLOAT32, lambda write, a: write.json_csv(a)),
    "zip": ("a.zip", FLOAT32, lambda write, a: write.zip({"s/corpus.jsonl": write.json_lines(a)})),
}
PLAIN = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DAMAGE = settings(PLAIN, max_examples=40)
SLOW = settings(PLAIN, max_examples=6)  # HDF5 takes a process an example


def read(name, content):
    """Load an upload without holding out queries."""
    return load_upload({"corpus": (name, content)}, n_held_out=0)


def loads_or_refuses(name, content):
    """Load `content`; an input error is as good as a set, anything else fails the test."""
    try:
        assert read(name, content).n_docs > 0
    except EngineError as error:
        assert "\n" not in str(error)  # noqa: PT017 -- both outcomes are right, and each has its own claim


@pytest.mark.parametrize("case", FORMATS)
@PLAIN
@given(data=st.data())
def test_what_is_written_comes_back(write, case, data):
    """Every array survives the way through every format, dtype and values."""
    name, arrays, to_bytes = FORMATS[case]
    array = data.draw(arrays)
    corpus = read(name, to_bytes(write, array)).corpus
    np.testing.assert_array_equal(corpus, array)


@pytest.mark.parametrize("case", FORMATS)
@DAMAGE
@given(data=st.data())
def test_damaged_files_load_or_are_refused(write, case, data):
    """A byte changed, bytes removed or the end cut off: a set or an input error, never anything else."""
    name, _, to_bytes = FORMATS[case]
    array = np.arange(12, dtype=np.uint8).reshape(4, 3)
    content = bytearray(to_bytes(write, array if case == "arrow lz4" else array.astype(np.float32)))
    place = data.draw(st.integers(0, len(content) - 1), label="place")
    match data.draw(st.sampled_from(["byte", "word", "cut", "remove"]), label="damage"):
        case "byte":
            content[place] = data.draw(st.integers(0, 255), label="byte")
        case "word":
            content[place : place + 4] = data.draw(st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"]))
        case "cut":
            del content[place:]
        case "remove":
            del content[place : place + data.draw(st.integers(1, 9), label="removed")]
    loads_or_refuses(name, bytes(content))


@pytest.mark.parametrize(
    "magic", [b"", b"\x93NUMPY", b"PK\x03\x04", b"PAR1", b"ARROW1\0\0", b"\xff\xff\xff\xff", b"{", b"["]
)
@DAMAGE
@given(data=st.data())
def test_arbitrary_bytes_load_or_are_refused(magic, data):
    """Bytes of any kind under any name: a set or an input error, never anything else."""
    name = data.draw(st.sampled_from([name for name, _, _ in FORMATS.values()] + ["a", "a.txt", "a.tsv", "a.bin"]))
    loads_or_refuses(name, magic + data.draw(st.binary(max_size=80)))


@PLAIN
@given(text=st.text(max_size=60), name=st.sampled_from(["a.csv", "a.tsv", "a.jsonl", "a"]))
def test_arbitrary_text_loads_or_is_refused(text, name):
    """Text of any kind: a set or an input error, never anything else."""
    loads_or_refuses(name, text.encode("utf-8", "surrogatepass"))


@DAMAGE
@given(text=st.text(alphabet="q1d \t\n.0-aé", max_size=60))
def test_arbitrary_judgements_load_or_are_refused(write, text):
    """Judgements of any kind: a set or an input error, never anything else."""
    array = write.npy(np.eye(3, dtype=np.float32))
    try:
        made = load_upload({"corpus": ("c.npy", array), "queries": ("q.npy", array), "qrels": ("r.tsv", text.encode())})
    except EngineError:
        return
    if made.judgements is not None:
        assert made.judgements.query_rows.min() >= 0
        assert len(made.judgements.grades) == len(made.judgements.doc_rows)


@SLOW
@given(array=FLOAT32, chunked=st.booleans())
def test_hdf5_comes_back(write, array, chunked):
    """Every array survives the way through HDF5, contiguous or in deflated chunks."""
    np.testing.assert_array_equal(read("a.hdf5", write.hdf5(train=array, chunked=chunked)).corpus, array)


@SLOW
@given(data=st.data())
def test_damaged_hdf5_loads_or_is_refused(write, data):
    """A byte of an HDF5 file changed or its end cut off: a set or an input error, never a crash."""
    content = bytearray(write.hdf5(train=np.eye(3, dtype=np.float32), distance="angular"))
    place = data.draw(st.integers(0, len(content) - 1), label="place")
    if data.draw(st.booleans(), label="cut"):
        del content[place:]
    else:
        content[place] = data.draw(st.integers(0, 255), label="byte")
    loads_or_refuses("a.hdf5", bytes(content))
