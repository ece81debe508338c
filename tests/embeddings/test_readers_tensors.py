"""safetensors, against files that the reference implementation writes."""

import json

import numpy as np
import pytest

from engine.embeddings import Columns, load, load_upload
from engine.errors import AmbiguousColumnsError, FormatError


def read(content, **options):
    """Load an upload without holding out queries."""
    return load_upload({"corpus": ("a.safetensors", content)}, n_held_out=0, **options)


def with_header(header, payload=b""):
    """Return a file with `header` as JSON."""
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + payload


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint8"])
def test_one_tensor_is_memory_mapped(write, tmp_path, dtype):
    """The only 2-D tensor is the corpus, mapped, beside whatever else is in the file."""
    array = np.arange(12).reshape(4, 3).astype(dtype)
    content = write.safetensors(weight=array, bias=np.zeros(3, dtype=np.float32))
    (tmp_path / "a.safetensors").write_bytes(content)
    corpus = load(tmp_path / "a.safetensors", n_held_out=0).corpus
    assert isinstance(corpus, np.memmap)
    assert corpus.dtype == dtype
    np.testing.assert_array_equal(corpus, array)


def test_names_tell_corpus_and_queries(write, vectors):
    """Tensors called corpus, queries and doc_ids are taken as that."""
    made = read(write.safetensors(corpus=vectors, queries=vectors[:2], doc_ids=np.arange(10, 16)))
    np.testing.assert_array_equal(made.queries, vectors[:2])
    assert list(made.corpus_ids) == ["10", "11", "12", "13", "14", "15"]


def test_bfloat16_becomes_float32():
    """bfloat16 is the upper half of float32 and widens without loss."""
    values = np.array([[1.0, -2.5], [0.15625, 96.0]], dtype=np.float32)
    halves = (values.view(np.uint32) >> 16).astype("<u2")
    header = {"emb": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}
    corpus = read(with_header(header, halves.tobytes())).corpus
    assert corpus.dtype == np.float32
    np.testing.assert_array_equal(corpus, values)


def test_two_tensors_are_a_question(write, vectors):
    """Two candidates are listed, and can be chosen by name."""
    content = write.safetensors(a=vectors, b=vectors[:2])
    with pytest.raises(AmbiguousColumnsError) as error:
        read(content)
    assert set(error.value.candidates) == {"a", "b"}
    assert read(content, columns=Columns(vector="b")).n_docs == 2


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [1, -1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1, 1]},
        {"dtype": 4, "shape": [1, 1], "data_offsets": [0, 4]},
        [],
    ],
)
def test_lying_entries_are_refused(entry):
    """A tensor that leaves the file, or contradicts its shape, is refused by name."""
    with pytest.raises(FormatError, match=r"^a\.safetensors: .*'emb'|^a\.safetensors: every tensor"):
        read(with_header({"emb": entry}, b"\0" * 8))


@pytest.mark.parametrize(
    "content",
    [b"\x10", b"\xff" * 8 + b"{}", (4).to_bytes(8, "little") + b"{{{{", (10**6).to_bytes(8, "little") + b"{}"],
)
def test_broken_headers_are_refused(content):
    """A header that is cut off, longer than the file, or no JSON."""
    with pytest.raises(FormatError, match=r"^a\.safetensors: .*safetensors file"):
        read(content)


def test_deeply_nested_header_is_refused():
    """Nesting beyond the stack of the parser is an error of the format."""
    text = b'{"a":' + b"[" * 100_000
    with pytest.raises(FormatError, match="must be JSON"):
        read(len(text).to_bytes(8, "little") + text)
