"""Relevance judgements and runs."""

import numpy as np
import pytest

from engine.embeddings import inspect_health, load_upload
from engine.embeddings.readers.source import Source
from engine.embeddings.readers.trec import read_run
from engine.errors import FormatError, ParameterError


@pytest.fixture
def judged(write, vectors):
    """Return a function that loads documents a..f and queries x, y with the judgements given."""
    corpus = write.json_lines(vectors, id=list("abcdef"))
    queries = write.json_lines(vectors[:2], id=["x", "y"])

    def read(text, name="qrels.tsv"):
        files = {"corpus": ("c.jsonl", corpus), "queries": ("q.jsonl", queries), "qrels": (name, text.encode())}
        return load_upload(files)

    return read


@pytest.mark.parametrize(
    "text",
    [
        "query-id\tcorpus-id\tscore\nx\tb\t2\ny\ta\t1\n",
        "x\tb\t2\ny\ta\t1\n",
        "x 0 b 2\ny 0 a 1\n",
        "x\tQ0\tb\t2\ny\tQ0\ta\t1",
        "x b 2\r\n\r\ny a 1.0\r\n",
    ],
)
def test_beir_and_trec_are_the_same_judgements(judged, text):
    """Three columns or four, a header or none, tabs or blanks: the same rows."""
    judgements = judged(text).judgements
    assert judgements.query_rows.tolist() == [0, 1]
    assert judgements.doc_rows.tolist() == [1, 0]
    assert judgements.grades.tolist() == [2.0, 1.0]
    assert (judgements.unknown_queries, judgements.unknown_docs) == (0, 0)


def test_unknown_ids_are_counted_and_warned(judged):
    """Judgements of unknown queries are left out, those of unknown documents stay with row -1; both are told."""
    made = judged("x\tb\t1\nx\tnowhere\t1\nnobody\ta\t1\n")
    assert made.judgements.doc_rows.tolist() == [1, -1]
    assert (made.judgements.unknown_queries, made.judgements.unknown_docs) == (1, 1)
    said = [finding.message for finding in inspect_health(made).findings if finding.severity == "warning"]
    assert "1 relevance judgement naming queries that are not in the set." in said
    assert "1 relevance judgement naming documents that are not in the set." in said


def test_judgements_of_other_queries_leave_the_set_without(judged):
    """When no query is known there is no quality to measure, and that is said."""
    made = judged("nobody\ta\t1\n")
    assert made.judgements is None
    assert "no judgement names a query of the set" in made.warnings[-1]


def test_repeated_judgements_keep_the_last(judged):
    """A pair judged twice counts once, with a warning."""
    made = judged("x\tb\t1\nx\tb\t2\n")
    assert made.judgements.grades.tolist() == [2.0]
    assert made.warnings == ("1 judgements in qrels.tsv are repeated; the last of each was kept",)


def test_row_numbers_stand_in_for_ids_with_a_warning(write, vectors):
    """Without ids judgements match row numbers from 0, never other spellings of a number."""
    qrels = b"q\td\ts\n0\t5\t1\n1\t05\t1\n1\t6\t1\n1\t-1\t1\n"
    files = {"corpus": ("c.npy", write.npy(vectors)), "queries": ("q.npy", write.npy(vectors[:2]))}
    made = load_upload({**files, "qrels": ("r.tsv", qrels)})
    assert made.judgements.doc_rows.tolist() == [5, -1, -1, -1]
    assert made.warnings[0] == "c.npy has no ids: judgements were matched to row numbers, counted from 0"


def test_ids_with_blanks_need_tabs(judged, write, vectors):
    """BEIR ids may hold blanks; tabs keep them whole."""
    corpus = write.json_lines(vectors, id=[f"doc {letter}" for letter in "abcdef"])
    queries = write.json_lines(vectors[:2], id=["query x", "query y"])
    files = {"corpus": ("c.jsonl", corpus), "queries": ("q.jsonl", queries)}
    made = load_upload({**files, "qrels": ("r.tsv", b"query y\tdoc c\t1\n")})
    assert (made.judgements.query_rows.tolist(), made.judgements.doc_rows.tolist()) == ([1], [2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "at least one; found none"),
        ("q\td\ts\n", "at least one; found none"),
        ("x\tb\n", "found 2 columns in line 1"),
        ("x\tb\t1\nx 0 b 1\n", "found 4 columns in line 2"),
        ("x\tb\t1\ny\ta\thigh\n", "a grade must be a number; found 'high' in line 2"),
        ("x 0 b high\n", "a grade must be a number; found 'high' in line 1"),
        ("x\tb\t1\ny\ta\tnan\n", "found 'nan' in line 2"),
        ("x\tb\t1\ny\ta\t1e99\n", "found '1e99' in line 2"),
    ],
)
def test_broken_judgements_are_refused(judged, text, message):
    """Other numbers of columns and grades that are no numbers are told with their line."""
    with pytest.raises(FormatError, match=message) as error:
        judged(text)
    assert str(error.value).startswith("qrels.tsv: ")


def test_judgements_without_queries_are_refused(write, vectors):
    """Held-out queries cannot have been judged."""
    with pytest.raises(ParameterError, match="judgements need the queries that they judge"):
        load_upload({"corpus": ("c.npy", write.npy(vectors)), "qrels": ("r.tsv", b"0\t1\t1\n")})


def run_of(text):
    """Read `text` as a run."""
    return read_run(Source.of_bytes("run.txt", text.encode()))


def test_run_is_read_in_file_order():
    """A TREC run comes back column by column."""
    run = run_of("q1 Q0 d3 1 9.5 tag\nq1 Q0 d1 2 -1e-3 tag\n")
    assert (list(run.query_ids), list(run.doc_ids), list(run.tags)) == (["q1", "q1"], ["d3", "d1"], ["tag", "tag"])
    np.testing.assert_array_equal(run.ranks, [1, 2])
    np.testing.assert_array_equal(run.scores, [9.5, -0.001])


@pytest.mark.parametrize("text", ["", "q1 Q0 d3 1 9.5\n", "q1 Q0 d3 first 9.5 tag\n", "q1 Q0 d3 1 high tag\n"])
def test_broken_run_is_refused(text):
    """A line of other columns, or text where numbers belong, is told."""
    with pytest.raises(FormatError, match=r"run\.txt: a"):
        run_of(text)
