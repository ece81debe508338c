"""BEIR and VectorDBBench folders, zipped or not, and files that complete each other."""

import json

import numpy as np
import pyarrow as pa
import pytest

from engine.embeddings import encode, load, load_upload
from engine.errors import FormatError, PathError, VectorError

DOCS = ["lift of wings", "drag in water", "heat in metal", "sound of air"]
QUERIES = ["why do wings lift", "how hot is metal"]
QRELS = "query-id\tcorpus-id\tscore\nq0\td0\t1\nq1\td2\t2\n"


def beir_files():
    """Return the files of a small BEIR set."""
    corpus = [{"_id": f"d{row}", "title": "", "text": text, "metadata": {}} for row, text in enumerate(DOCS)]
    queries = [{"_id": f"q{row}", "text": text} for row, text in enumerate(QUERIES)]
    return {
        "corpus.jsonl": "\n".join(map(json.dumps, corpus)),
        "queries.jsonl": "\n".join(map(json.dumps, queries)),
        "qrels/test.tsv": QRELS,
    }


def written(folder, files):
    """Write `files` below `folder` and return it."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def check_beir(made):
    """Check everything but the vectors of the set that `beir_files` makes."""
    assert list(made.corpus_ids) == ["d0", "d1", "d2", "d3"]
    assert list(made.query_ids) == ["q0", "q1"]
    assert list(made.corpus_texts) == DOCS
    assert list(made.query_texts) == QUERIES
    assert made.judgements.doc_rows.tolist() == [0, 2]
    assert made.judgements.grades.tolist() == [1, 2]


def test_beir_folder_is_encoded(tmp_path):
    """Texts become vectors of the bundled encoder, and the set says so."""
    made = load(written(tmp_path / "wings", beir_files()))
    check_beir(made)
    assert made.name == "wings"
    assert made.labels == ("encoded with wordllama 0.4.0.post1 (l2_supercat)",)
    np.testing.assert_array_equal(made.corpus, encode(DOCS))
    np.testing.assert_array_equal(made.queries, encode(QUERIES))


@pytest.mark.parametrize("top", ["", "wings/"])
def test_beir_zip_is_read_without_being_extracted(write, top):
    """A zip, with or without a top-level folder, gives the same set."""
    files = {"__MACOSX/._corpus.jsonl": "junk"} if top else {}
    files |= {top + name: content for name, content in beir_files().items()}
    made = load_upload({"corpus": ("wings.zip", write.zip(files))})
    check_beir(made)
    np.testing.assert_array_equal(made.corpus, encode(DOCS))


def test_vectors_beside_the_texts_win_over_encoding(write, tmp_path, vectors):
    """corpus.npy and queries.npy, row-aligned with the texts, are the vectors; ids and texts stay."""
    files = {**beir_files(), "corpus.npy": write.npy(vectors[:4]), "queries.npy": write.npy(vectors[4:])}
    made = load(written(tmp_path, files))
    check_beir(made)
    assert isinstance(made.corpus, np.memmap)
    np.testing.assert_array_equal(made.corpus, vectors[:4])
    assert made.labels == ()


def test_vectors_within_the_lines_are_taken(write, tmp_path, vectors):
    """A BEIR layout whose lines carry embeddings needs no encoder."""
    corpus = write.json_lines(vectors[:4], _id=["d0", "d1", "d2", "d3"], text=DOCS)
    queries = write.json_lines(vectors[4:], _id=["q0", "q1"], text=QUERIES)
    files = {"corpus.jsonl": corpus, "queries.jsonl": queries, "qrels/test.tsv": QRELS}
    made = load(written(tmp_path, files))
    check_beir(made)
    np.testing.assert_array_equal(made.queries, vectors[4:])


def test_vectors_beside_one_side_only_are_refused(write, tmp_path, vectors):
    """Queries encoded by another model than the corpus could not be compared with it."""
    with pytest.raises(FormatError, match="beside both the corpus and the queries, or beside neither"):
        load(written(tmp_path, {**beir_files(), "corpus.npy": write.npy(vectors[:4])}))


def test_vectors_of_another_length_are_refused(write, tmp_path, vectors):
    """Row-aligned means as many rows."""
    files = {**beir_files(), "corpus.npy": write.npy(vectors[:3]), "queries.npy": write.npy(vectors[4:])}
    with pytest.raises(VectorError, match=r"corpus\.npy and corpus\.jsonl must have as many rows.*found 3 and 4"):
        load(written(tmp_path, files))


def test_two_files_of_vectors_are_refused(write, tmp_path, vectors):
    """Two files that could be the corpus are listed."""
    files = {"corpus.npy": write.npy(vectors), "corpus.fbin": write.bin(vectors)}
    with pytest.raises(FormatError, match=r"found corpus\.fbin, corpus\.npy\. Name the file itself"):
        load(written(tmp_path, files))


def test_a_folder_of_vectors_alone(write, tmp_path, vectors):
    """Corpus and queries in any format make a folder a set; without queries they are held out."""
    files = {"corpus.fbin": write.bin(vectors), "queries.npz": write.npz(queries=vectors[:2])}
    made = load(written(tmp_path / "both", files))
    np.testing.assert_array_equal(made.queries, vectors[:2])
    alone = load(written(tmp_path / "alone", {"corpus.npy": write.npy(vectors)}), n_held_out=3)
    assert (alone.n_queries, alone.labels) == (3, ("held-out queries",))


def test_judgements_other_than_test_are_a_choice_that_is_told(tmp_path):
    """Without test.tsv another file is read, and named when there are several."""
    files = beir_files()
    del files["qrels/test.tsv"]
    files |= {"qrels/dev.tsv": QRELS, "qrels/train.tsv": "q\td\ts\nq0\td1\t1\n"}
    made = load(written(tmp_path, files))
    check_beir(made)
    assert made.warnings == ("Of 2 files of judgements, qrels/dev.tsv was read",)


def test_a_folder_of_something_else_is_refused(tmp_path):
    """The error lists what was found and what would have been read."""
    with pytest.raises(FormatError, match=r"a folder must hold corpus\.jsonl.*found notes\.md"):
        load(written(tmp_path, {"notes.md": "x"}))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="found no files"):
        load(tmp_path / "empty")


def test_errors_within_a_folder_name_the_file(tmp_path):
    """What is wrong in a file of a folder is told with that file's name."""
    with pytest.raises(FormatError, match=r"^queries\.jsonl: every line must be one complete JSON value"):
        load(written(tmp_path, {**beir_files(), "queries.jsonl": "{"}))


def test_a_member_that_climbs_out_is_never_read_or_written(write, tmp_path, monkeypatch):
    """Names with ../ in a zip are left out, and nothing is written anywhere."""
    monkeypatch.chdir(tmp_path)
    files = {"../corpus.jsonl": '{"_id": "x", "text": "y"}', "/etc/corpus.npy": b"x"}
    with pytest.raises(FormatError, match="found no files"):
        load_upload({"corpus": ("a.zip", write.zip(files))})
    assert list(tmp_path.parent.glob("corpus.*")) == list(tmp_path.iterdir()) == []


def test_a_zip_that_expands_too_far_is_refused(write):
    """A member that inflates to a thousand times its size is refused by what the archive declares."""
    files = {**beir_files(), "corpus.jsonl": " " * (100 << 20)}
    with pytest.raises(FormatError, match=r"^corpus\.jsonl in a\.zip: .* at most 200 times"):
        load_upload({"corpus": ("a.zip", write.zip(files))})


def test_members_together_must_stay_within_the_limit(write):
    """The limit on memory is for the archive, not for each of its members."""
    files = beir_files()
    each = max(len(content) for content in files.values())
    with pytest.raises(FormatError, match=r"^a\.zip: a file may expand to at most"):
        load_upload({"corpus": ("a.zip", write.zip(files))}, max_expanded_bytes=each)


@pytest.mark.parametrize("place", [0x06, 0x08])
def test_encrypted_and_oddly_packed_members_are_refused(write, place):
    """Members that are encrypted, or packed by a method other than deflate, are told."""
    content = bytearray(write.zip({"corpus.jsonl": beir_files()["corpus.jsonl"]}))
    content[content.index(b"PK\x01\x02") + place + 2] = 1 if place == 0x06 else 99
    with pytest.raises(FormatError, match=r"^corpus\.jsonl in a\.zip: a zip member must"):
        load_upload({"corpus": ("a.zip", bytes(content))})


def shard(write, vectors, rows):
    """Return a VectorDBBench file of some rows."""
    return write.parquet(pa.table({"id": list(rows), "emb": [vectors[row].tolist() for row in rows]}))


def test_vectordbbench_folder(write, tmp_path, vectors):
    """train, test and neighbours of VectorDBBench; ids are those of the files."""
    neighbors = write.parquet(pa.table({"id": [0, 1], "neighbors_id": [[0, 1], [1, 0]]}))
    files = {
        "train.parquet": shard(write, vectors, range(6)),
        "test.parquet": shard(write, vectors, range(2)),
        "neighbors.parquet": neighbors,
    }
    made = load(written(tmp_path, files))
    np.testing.assert_allclose(made.corpus, vectors)
    assert (made.n_queries, made.query_id(1), made.doc_id(5)) == (2, "1", "5")
    np.testing.assert_array_equal(load_upload({"corpus": ("a.zip", write.zip(files))}).corpus, made.corpus)


@pytest.mark.parametrize("first", [0, 1])
def test_vectordbbench_shards_are_joined_in_order(write, tmp_path, vectors, first):
    """Shards are ordered by their number, not by their name."""
    wide = np.arange(24, dtype=np.float32).reshape(12, 2)
    files = {f"train-{number + first}-of-12.parquet": shard(write, wide, [number]) for number in range(12)}
    made = load(written(tmp_path, files))
    np.testing.assert_array_equal(made.corpus, wide)
    assert list(made.corpus_ids) == [str(row) for row in range(12)]


def test_a_missing_shard_is_refused(write, tmp_path, vectors):
    """A corpus with a hole would give wrong results without a trace."""
    files = {f"train-{number:02d}-of-03.parquet": shard(write, vectors, [number]) for number in (0, 2)}
    with pytest.raises(FormatError, match="all 3 shards of the corpus must be there; found 2"):
        load(written(tmp_path, files))


def test_shards_of_other_dims_are_refused(write, tmp_path, vectors):
    """Shards that hold vectors of different models do not make a corpus."""
    files = {
        "train-00-of-02.parquet": shard(write, vectors, [0]),
        "train-01-of-02.parquet": shard(write, vectors[:, :3], [1]),
    }
    with pytest.raises(VectorError, match="vectors of one number of dimensions; found 4, 3"):
        load(written(tmp_path, files))


@pytest.mark.parametrize("name", ["corpus.npy", "corpus.jsonl"])
def test_a_file_is_completed_by_its_namesake(write, tmp_path, vectors, name):
    """corpus.npy takes ids and texts from corpus.jsonl beside it, and the other way round, and says so."""
    written(tmp_path, {**beir_files(), "corpus.npy": write.npy(vectors[:4]), "queries.npy": write.npy(vectors[4:])})
    queries = tmp_path / name.replace("corpus", "queries")
    made = load(tmp_path / name, queries=queries, qrels=tmp_path / "qrels")
    check_beir(made)
    np.testing.assert_array_equal(made.corpus, vectors[:4])
    assert all("were taken from" in warning for warning in made.warnings)
    assert len(made.warnings) == 2


def test_a_namesake_that_does_not_fit_is_left_alone_and_told(write, tmp_path, vectors):
    """Other numbers of rows, or a broken file, cost a warning and nothing else."""
    written(tmp_path, {"corpus.npy": write.npy(vectors), "corpus.jsonl": beir_files()["corpus.jsonl"]})
    made = load(tmp_path / "corpus.npy")
    assert made.corpus_ids is None
    assert "corpus.jsonl beside corpus.npy was not used" in made.warnings[0]


def test_texts_for_vectors_of_another_model_are_refused(write, tmp_path, vectors):
    """Queries of text cannot be encoded for a corpus of other dims than the bundled encoder's."""
    written(tmp_path, {"c.npy": write.npy(vectors), "q.txt": "a question\n"})
    with pytest.raises(FormatError, match=r"^q\.txt: texts can only be encoded to 256.*found 4 dimensions in c\.npy"):
        load(tmp_path / "c.npy", queries=tmp_path / "q.txt")


def test_nothing_outside_the_data_root_is_read(write, tmp_path, vectors):
    """With a root, neither a path, nor a member of a folder, nor a namesake may lead out of it."""
    root = written(
        tmp_path / "root", {"set/queries.npy": write.npy(vectors[:2]), "good/corpus.npy": write.npy(vectors)}
    )
    written(tmp_path, {"secret.npy": write.npy(vectors), "secret.jsonl": beir_files()["corpus.jsonl"]})
    (root / "set" / "corpus.npy").symlink_to(tmp_path / "secret.npy")
    (root / "good" / "corpus.jsonl").symlink_to(tmp_path / "secret.jsonl")
    for path in ("../secret.npy", "set", "set/corpus.npy", "good", str(tmp_path / "secret.npy")):
        with pytest.raises(PathError, match="below the data root"):
            load(path, below=root)
    for options in ({"queries": "../secret.npy"}, {"queries": "set/queries.npy", "qrels": "../secret.npy"}):
        with pytest.raises(PathError, match="below the data root"):
            load("set/queries.npy", below=root, **options)
    alone = load("good/corpus.npy", below=root)
    assert alone.corpus_ids is None
    assert "was not used" in alone.warnings[0]
