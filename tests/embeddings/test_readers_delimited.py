"""CSV, TSV and plain text."""

import json

import numpy as np
import pytest

from engine.embeddings import Columns, encode, load_upload
from engine.errors import AmbiguousColumnsError, FormatError, ParameterError, VectorError


def read(text, name="a.csv", **options):
    """Load an upload without holding out queries."""
    content = text if isinstance(text, bytes) else text.encode()
    return load_upload({"corpus": (name, content)}, n_held_out=0, **options)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "1.5,2\n3,4e0\n"),
        ("a.csv", "d0,d1\n1.5,2\n3,4\n"),
        ("a.csv", "1.5;2\n3;4\n"),
        ("a.tsv", "x_1\tx_2\n1.5\t2\n3\t4"),
        ("a.txt", "1.5 2\n3 4\n"),
        ("a.txt", "1.5\t 2\r\n3\t4\r\n"),
        ("a.csv", "\ufeffd0,d1\n1.5, 2\n\n3,4\n"),
        ("a.csv", 'emb\n"[1.5, 2]"\n"[3, 4]"\n'),
        ("a.tsv", "emb\n[1.5, 2]\n[3, 4]\n"),
        ("a", "1.5,2\n3,4\n"),
    ],
)
def test_layouts_of_plain_vectors(name, text):
    """Delimiters, headers, byte order marks, blank lines and JSON cells all give the same vectors."""
    np.testing.assert_array_equal(read(text, name).corpus, np.float32([[1.5, 2], [3, 4]]))


def test_ids_texts_and_segments_stand_beside_components():
    """Named columns are taken as what they say; the numbered series is the vector."""
    made = read('id,title,text,segment,d0,d1,year\n7,T,"one, two",en,1,2,1999\n8,,three,de,3,4,2001\n')
    np.testing.assert_array_equal(made.corpus, np.float32([[1, 2], [3, 4]]))
    assert list(made.corpus_ids) == ["7", "8"]
    assert list(made.corpus_texts) == ["T one, two", "three"]
    assert list(made.corpus_segments) == ["en", "de"]


def test_a_series_is_ordered_by_its_numbers():
    """Components stand in numeric order, whatever the order of the columns."""
    made = read("d1,d0,d2\n2,1,3\n5,4,6\n")
    np.testing.assert_array_equal(made.corpus, np.float32([[1, 2, 3], [4, 5, 6]]))


def test_the_index_that_pandas_writes_is_the_id():
    """An unnamed first column and numbered headers come from DataFrame.to_csv."""
    made = read(",0,1,2\n10,1,2,3\n11,4,5,6\n")
    assert list(made.corpus_ids) == ["10", "11"]
    np.testing.assert_array_equal(made.corpus, np.float32([[1, 2, 3], [4, 5, 6]]))


def test_text_in_front_of_numbers_without_a_header_is_the_id():
    """Without a header, one column of text can only be ids."""
    made = read("doc-a,1,2\ndoc-b,3,4\n")
    assert list(made.corpus_ids) == ["doc-a", "doc-b"]


def test_json_vectors_with_ids():
    """A vector as JSON text in a cell, with an id and a text beside it."""
    made = read('_id,vector,text\na,"[1, 2]",x\nb,"[3, 4]",y\n')
    np.testing.assert_array_equal(made.corpus, np.float32([[1, 2], [3, 4]]))
    assert list(made.corpus_ids) == ["a", "b"]


def test_two_json_columns_are_a_question():
    """Two columns of JSON vectors named alike are listed."""
    text = 'emb,vector\n"[1]","[2]"\n'
    with pytest.raises(AmbiguousColumnsError) as error:
        read(text)
    assert error.value.candidates == ("emb", "vector")
    assert read(text, columns=Columns(vector="vector")).corpus[0, 0] == 2


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("d0,d1\n1,2\n3,abc\n", "'abc' in line 3, column d1"),
        ("d0,d1,d2\n1,abc,3\n4,abc,6\n", "'abc' in line 2, column d1"),
        ("1,2\n3,\n", "'' in line 2, column 1"),
    ],
)
def test_text_where_numbers_belong_is_named_with_its_place(text, found):
    """A component that is no number is told with its line and column."""
    with pytest.raises(FormatError, match=f"a component must be a number; found {found}"):
        read(text)


def test_a_cell_that_is_no_json_list_is_named():
    """A vector printed by NumPy is no JSON; the hint tells how to write it."""
    with pytest.raises(FormatError, match=r"found '\[3\. 4\.\]' in line 3\. Write it with json\.dumps"):
        read('id,emb\na,"[1, 2]"\nb,"[3. 4.]"\n')


@pytest.mark.parametrize("text", ["1,2\n3\n", "1,2\n3,4,5\n", "id,d0,d1\na,1,2\nb,3\n"])
def test_ragged_rows_are_refused_with_the_line(text):
    """A row with more or fewer cells is told with its line."""
    lines = text.count("\n")
    with pytest.raises(VectorError, match=f"as many cells as the first.*in line {lines}"):
        read(text)


def test_json_vectors_of_other_length_are_refused():
    """A JSON vector of another length is told with its line."""
    with pytest.raises(VectorError, match="as the first, 2; found 1 in line 3"):
        read('id,emb\na,"[1, 2]"\nb,"[3]"\n')


@pytest.mark.parametrize("number", ["nan", "inf", "1e999", "1e39"])
def test_numbers_beyond_float32_are_refused(number):
    """NaN, infinity and what float32 cannot hold are refused with the row."""
    with pytest.raises(VectorError, match="counted from 0: 1"):
        read(f"d0,d1\n1,2\n3,{number}\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must not be empty"),
        (b"\n \n", "a file named .csv|at least one row"),
        (b"id,text\n", "only a header|at least one row"),
        (b"d0,d1\n1,\xff\xfe\n", "UTF-8; found other bytes in line 2"),
        (b'd0,d1\n1,"2\n', "quotes must be closed"),
        (b"\x00\x01\x02\x03", "must hold CSV or TSV"),
    ],
)
def test_broken_files_are_refused(content, message):
    """Empty files, other encodings, open quotes and garbage are errors of the format."""
    with pytest.raises(FormatError, match=message):
        read(content)


def test_utf16_is_named():
    """Text in UTF-16, as some spreadsheets save it, is told from garbage."""
    with pytest.raises(FormatError, match="found UTF-16 text"):
        read("d0,d1\n1,2\n".encode("utf-16"))


def test_a_column_of_texts_is_encoded_and_labelled():
    """A table without vectors is encoded with the bundled encoder, and the set says so."""
    made = read("id,text\na,first text\nb,second one\n")
    np.testing.assert_array_equal(made.corpus, encode(["first text", "second one"]))
    assert list(made.corpus_ids) == ["a", "b"]
    assert made.labels == ("encoded with wordllama 0.4.0.post1 (l2_supercat)",)


def test_two_columns_of_texts_are_a_question():
    """Texts under names that say nothing are listed; the choice is followed."""
    text = "headline,lead\nA b,c d\nE f,g h\n"
    with pytest.raises(AmbiguousColumnsError, match="hold the texts") as error:
        read(text)
    assert error.value.candidates == ("headline", "lead")
    assert list(read(text, columns=Columns(text="lead")).corpus_texts) == ["c d", "g h"]


def test_texts_beside_stray_numbers_are_a_question():
    """A text and a year: nobody but the user can tell whether the year is a vector."""
    text = "id,text,year\na,one,1999\nb,two,2000\n"
    with pytest.raises(AmbiguousColumnsError) as error:
        read(text)
    assert error.value.candidates == ("text", "year")
    assert read(text, columns=Columns(text="text")).dim == 256


def test_a_column_chosen_that_is_not_there_is_refused():
    """A wrong name is answered with the names there are."""
    with pytest.raises(ParameterError, match=r"found nope\. It has id, d0, d1"):
        read("id,d0,d1\na,1,2\n", columns=Columns(id="nope"))


def test_plain_text_is_a_text_a_line():
    """Every line of a text file is a document; blank lines are none."""
    made = read("first line\n\n second line \n", "a.txt")
    assert list(made.corpus_texts) == ["first line", "second line"]
    assert made.corpus.shape == (2, 256)


def test_text_under_a_binary_extension_is_not_encoded():
    """Text in a file named .npy is a mistake, not a set of documents."""
    with pytest.raises(FormatError, match=r"a file named \.npy must hold NumPy array"):
        read("hello world\n", "a.npy")


def test_a_long_vector_in_one_cell_is_read():
    """A cell may be longer than the csv module's own limit."""
    vector = np.random.default_rng(0).standard_normal(9000)
    made = read(f'emb\n"{json.dumps(vector.tolist())}"\n')
    np.testing.assert_allclose(made.corpus[0], vector, rtol=1e-6)
