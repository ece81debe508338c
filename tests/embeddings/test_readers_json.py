"""JSON lines and OpenAI batch output."""

import json

import numpy as np
import pytest

from engine.embeddings import Columns, encode, load_upload
from engine.embeddings.readers.openai_batch import natural_order
from engine.errors import AmbiguousColumnsError, FormatError, VectorError


def read(lines, name="a.jsonl", **options):
    """Load lines (values, or text as it is) as an upload without holding out queries."""
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    return load_upload({"corpus": (name, text.encode())}, n_held_out=0, **options)


@pytest.mark.parametrize("key", ["embedding", "vector", "emb", "anything"])
def test_objects_with_vectors(key):
    """The key of the vectors may have any name; ids, texts and segments stand beside it."""
    made = read(
        [
            {"id": 1, key: [1, 2.5], "title": "T", "text": "x", "segment": "en"},
            {"id": 2, key: [3, 4], "text": None, "segment": "de"},
        ]
    )
    np.testing.assert_array_equal(made.corpus, np.float32([[1, 2.5], [3, 4]]))
    assert list(made.corpus_ids) == ["1", "2"]
    assert list(made.corpus_texts) == ["T x", ""]
    assert list(made.corpus_segments) == ["en", "de"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a", "a.csv"])
def test_bare_arrays(name):
    """Lines that are arrays are vectors, under any extension of text."""
    np.testing.assert_array_equal(read([[1, 2], "", [3, 4]], name).corpus, np.float32([[1, 2], [3, 4]]))


def test_objects_with_texts_only_are_encoded():
    """A BEIR corpus without vectors is encoded, title first."""
    made = read([{"_id": "a", "title": "Wings", "text": "lift"}, {"_id": "b", "title": "", "text": "drag"}])
    np.testing.assert_array_equal(made.corpus, encode(["Wings lift", "drag"]))


def test_two_vector_keys_are_a_question():
    """Two keys that hold numbers are listed; the choice is followed."""
    lines = [{"embedding": [1.0], "title_embedding": [2.0]}]
    with pytest.raises(AmbiguousColumnsError) as error:
        read(lines)
    assert error.value.candidates == ("embedding", "title_embedding")
    assert read(lines, columns=Columns(vector="title_embedding")).corpus[0, 0] == 2


@pytest.mark.parametrize(
    ("lines", "error", "message"),
    [
        ([[1, 2], [3, "x"]], FormatError, "numbers only; found 'x' in line 2"),
        ([[1, 2], [3, "4"]], FormatError, "numbers only; found '4' in line 2"),
        ([[1, 2], [3, None]], FormatError, "found None in line 2"),
        ([[1, True]], FormatError, "found True in line 1"),
        ([[1, [2]]], FormatError, "found a list in line 1"),
        ([[1, 2], [3]], VectorError, "as the first, 2; found 1 in line 2"),
        ([[], []], VectorError, "at least one component; found none in line 1"),
        ([[1, 2], {"embedding": [1, 2]}], FormatError, "of the same kind as the first; found dict in line 2"),
        (["3", "4"], FormatError, "found int in line 1"),
        ([{"embedding": [1]}, {"text": "x"}], FormatError, "must have the key 'embedding'; found none in line 2"),
        ([{"embedding": [1]}, {"embedding": "x"}], FormatError, "must be a list of numbers; found str in line 2"),
        ([{"embedding": None, "text": "x"}], FormatError, "must be a list of numbers; found NoneType"),
        ([{"embedding": [[1], [2]], "text": "x"}], FormatError, "found a list in line 1"),
        ([{"id": 1.5, "embedding": [1]}], FormatError, "whole number; found float in line 1"),
        ([{"id": 1, "embedding": [1]}, {"embedding": [1]}], FormatError, "key 'id'; found none in line 2"),
        ([{"id": 1, "embedding": [1]}, {"id": "1", "embedding": [2]}], VectorError, "every id must occur once"),
        ([{"a": 1}], FormatError, "found the keys a"),
        ([{"custom_id": "a", "method": "POST", "body": {"input": "x"}}], FormatError, "found the keys custom_id"),
        (["[1, 2]", "[1, 2"], FormatError, "one complete JSON value; found .* in line 2"),
        (["[", "1, 2", "]"], FormatError, "found .* in line 1"),
        (["[1, NaN]"], VectorError, "counted from 0: 0"),
        (["[1, 1e999]"], VectorError, "counted from 0: 0"),
        (["[1, 1e39]"], VectorError, "counted from 0: 0"),
        ([f"[1, 1{'0' * 400}]"], FormatError, "must fit into float32; found a larger one in line 1"),
        ([f"[1, 1{'0' * 5000}]"], FormatError, "a value too deep or too long in line 1"),
        (["[" * 100_000 + "]" * 100_000], FormatError, "a value too deep or too long in line 1"),
        (['{"embedding":' * 50_000], FormatError, "in line 1"),
    ],
)
def test_bad_lines_are_refused_with_their_number(lines, error, message):
    """Whatever is wrong in a line is told with the number of the line and the name of the file."""
    with pytest.raises(error, match=message) as caught:
        read(lines)
    assert str(caught.value).startswith("a.jsonl: ")


def test_lone_surrogates_are_replaced():
    """JSON can spell half a character; what no file can hold does not get into the set."""
    made = read(['{"id": "\\ud800x", "embedding": [1], "text": "\\udfff"}'])
    assert (list(made.corpus_ids), list(made.corpus_texts)) == (["?x"], ["?"])


def test_garbage_is_refused(write):
    """Bytes that are no text are told from JSON."""
    with pytest.raises(FormatError, match=r"a file named \.jsonl must hold JSON lines"):
        load_upload({"corpus": ("a.jsonl", bytes(range(256)))})


def test_openai_batch_is_ordered_by_custom_id(write, vectors):
    """Lines in any order come back by custom_id, numbers compared as numbers; lists and base64 are the same."""
    ids = ["doc-10", "doc-9", "doc-100", "doc-1", "doc-02", "doc-3"]
    order = [3, 4, 5, 1, 0, 2]
    for in_base64 in (False, True):
        made = load_upload(
            {"corpus": ("batch_output.jsonl", write.batch(vectors, ids, in_base64=in_base64))}, n_held_out=0
        )
        assert list(made.corpus_ids) == [ids[row] for row in order]
        np.testing.assert_array_equal(made.corpus, vectors[order])
        assert made.warnings == ()


def test_openai_batch_counts_failures(write, vectors):
    """Failed requests of either kind are left out, counted, and the first is quoted."""
    refused = {"status_code": 429, "body": {"error": {"message": "Rate limit reached"}}}
    lines = [
        {"id": "b", "custom_id": "x", "response": refused, "error": None},
        *write.batch(vectors, list("abcdef")).decode().splitlines(),
        {"id": "b", "custom_id": "y", "response": None, "error": {"code": "batch_expired", "message": "expired"}},
    ]
    made = read(lines)
    assert made.n_docs == 6
    assert made.warnings == ("2 of 8 requests failed and were left out; the first: x: Rate limit reached",)


def test_openai_batch_of_several_inputs_a_request():
    """A request of several inputs gives a row each, in the order of index."""
    data = [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.0]}]
    made = read([{"custom_id": "a", "response": {"status_code": 200, "body": {"data": data}}, "error": None}])
    assert list(made.corpus_ids) == ["a:0", "a:1"]
    np.testing.assert_array_equal(made.corpus, np.float32([[1], [2]]))


def response(**item):
    """Return a successful line with one item of data."""
    return {"custom_id": "a", "response": {"status_code": 200, "body": {"data": [item]}}, "error": None}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (response(embedding="AAA"), "base64 of float32; found something else in line 1"),
        (response(embedding="AAAA"), "base64 of float32"),
        (response(embedding="äöü!"), "base64 of float32"),
        (response(embedding=3), "a list or base64; found int in line 1"),
        (response(index=0), "must have an embedding; found none in line 1"),
        (response(index="0", embedding=[1]), "an index must be a whole number"),
        ({"custom_id": "a", "response": {"status_code": 200, "body": {"data": []}}}, "hold body.data"),
        ({"custom_id": "a", "response": {"status_code": 200, "body": 3}}, "hold body.data"),
        ({"custom_id": ["a"], "response": {}}, "an id must be a string"),
        ({"custom_id": "a", "response": None, "error": {"message": "no"}}, "found 1 failed, a: no"),
    ],
)
def test_odd_batch_lines_are_refused(line, message):
    """A line of batch output that is neither a success nor a failure is an error of the format."""
    with pytest.raises(FormatError, match=message):
        read([line])


def test_batch_with_a_repeated_custom_id_is_refused(write, vectors):
    """A custom_id that occurs twice cannot be matched to anything."""
    with pytest.raises(VectorError, match="every id must occur once; found 1 repeated, first 'a'"):
        load_upload({"corpus": ("b.jsonl", write.batch(vectors, list("abcdea")))})


@pytest.mark.parametrize("smaller,larger", [("2", "10"), ("a2", "a10"), ("a1b9", "a1b10"), ("a", "b"), ("1", "01")])  # noqa: PT006 -- reads as a relation
def test_natural_order(smaller, larger):
    """Numbers within texts compare as numbers, however long; equal ones by their text."""
    assert sorted([larger, smaller], key=natural_order) == ([smaller, larger] if smaller != "1" else ["01", "1"])
    assert natural_order("9" * 5000) < natural_order("1" + "0" * 5000)
