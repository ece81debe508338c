"""What holds for every format: detection, queries, judgements, names, and the list of bad input."""

import io

import numpy as np
import pytest

from engine.embeddings import Columns, formats, load, load_upload
from engine.errors import CancelledError, FormatError, InputError, ParameterError, PathError, VectorError


@pytest.fixture
def files(write, vectors):
    """Return a file of each format that holds `vectors`, as name and content."""
    table = write.table(vectors)
    return {
        "a.npy": write.npy(vectors),
        "a.npz": write.npz(corpus=vectors),
        "a.parquet": write.parquet(table),
        "a.feather": write.arrow(table, compression="lz4"),
        "a.arrow": write.arrow(table, stream=True),
        "a.hdf5": write.hdf5(train=vectors),
        "a.fvecs": write.vecs(vectors),
        "a.fbin": write.bin(vectors),
        "a.safetensors": write.safetensors(corpus=vectors),
        "batch.jsonl": write.batch(vectors, range(6)),
        "a.jsonl": write.json_lines(vectors),
        "a.csv": write.csv(vectors),
        "a.tsv": write.csv(vectors).replace(b",", b"\t"),
        "b.csv": write.json_csv(vectors),
    }


def test_every_format_gives_the_same_vectors(files, vectors, tmp_path):
    """Whatever the format, from disk or uploaded, the vectors are the same."""
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        for made in (load(tmp_path / name, n_held_out=0), load_upload({"corpus": (name, content)}, n_held_out=0)):
            np.testing.assert_array_equal(made.corpus, vectors, err_msg=name)
            assert made.queries is None


def test_any_two_formats_make_a_set(files, vectors):
    """Corpus and queries may come in different formats."""
    names = list(files)
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        made = load_upload({"corpus": (name, files[name]), "queries": (other, files[other])})
        np.testing.assert_array_equal(made.queries, vectors, err_msg=f"{name} with {other}")


def test_content_tells_the_format_when_the_extension_does_not(files, vectors):
    """Formats with a magic of their own are recognised under any name."""
    for name in ("a.npy", "a.npz", "a.parquet", "a.feather", "a.arrow", "a.hdf5", "a.safetensors", "a.jsonl"):
        for other in ("upload", "upload.bin", "upload.dat"):
            made = load_upload({"corpus": (other, files[name])}, n_held_out=0)
            np.testing.assert_array_equal(made.corpus, vectors, err_msg=f"{name} as {other}")


def test_truncated_and_garbage_files_of_every_format_are_refused(files):
    """Empty, cut and random content is an input error that begins with the name of the file."""
    garbage = np.random.default_rng(5).integers(0, 256, 500, dtype=np.uint8).tobytes()
    for name, content in files.items():
        half = content[: len(content) // 2 - 1]  # not where a record of fvecs ends, which nobody could notice
        cut = half if b"\0" in content else half + b"~"  # half a text file may end with a whole line
        for broken in (b"", cut, garbage, content[:5]):
            with pytest.raises(InputError) as error:
                load_upload({"corpus": (name, broken)})
            assert str(error.value).startswith(name), str(error.value)


def test_infinite_values_are_refused_in_every_format(write, vectors):
    """NaN in an upload is told with its row, whatever the format."""
    vectors[3, 1] = np.nan
    contents = {
        "a.npy": write.npy(vectors),
        "a.parquet": write.parquet(write.table(vectors)),
        "a.hdf5": write.hdf5(train=vectors),
        "a.fvecs": write.vecs(vectors),
        "a.fbin": write.bin(vectors),
        "a.safetensors": write.safetensors(corpus=vectors),
        "a.jsonl": write.json_lines(vectors),
        "a.csv": write.csv(vectors),
    }
    for name, content in contents.items():
        with pytest.raises(VectorError, match="NaN or infinity in 1 rows, counted from 0: 3"):
            load_upload({"corpus": (name, content)})


def test_memory_mapped_values_are_left_to_the_health_summary(write, tmp_path, vectors):
    """A mapped file is not read through at load; loading it stays instant however large it is."""
    vectors[3, 1] = np.nan
    (tmp_path / "a.npy").write_bytes(write.npy(vectors))
    assert np.isnan(load(tmp_path / "a.npy", n_held_out=0).corpus[3, 1])


def test_without_queries_a_seeded_sample_is_held_out(write, vectors):
    """Held-out queries are labelled, never retrieve themselves, and depend on the seed alone."""
    content = {"corpus": ("a.npy", write.npy(vectors))}
    made = load_upload(content, n_held_out=3, seed=4)
    again = load_upload(content, n_held_out=3, seed=4)
    assert made.labels == ("held-out queries",)
    np.testing.assert_array_equal(made.queries, made.corpus[made.query_corpus_rows])
    np.testing.assert_array_equal(made.query_corpus_rows, again.query_corpus_rows)


def test_queries_given_replace_those_of_a_one_file_set(write, vectors):
    """A separate file of queries wins, and judgements go with the queries."""
    one_file = write.npz(corpus=vectors, queries=vectors[:1])
    made = load_upload({"corpus": ("a.npz", one_file), "queries": ("q.npy", write.npy(vectors[2:]))})
    np.testing.assert_array_equal(made.queries, vectors[2:])
    other = load_upload({"corpus": ("a.npy", write.npy(vectors)), "queries": ("q.npz", one_file)})
    np.testing.assert_array_equal(other.queries, vectors[:1])


def test_metric_recipe_and_name_are_the_callers(write, vectors):
    """What the caller says is what the set says; the name is the file's otherwise."""
    content = {"corpus": ("glove.npy", write.npy(vectors))}
    made = load_upload(content, metric="l2", recipe="layer_norm", name="mine")
    assert (made.metric, made.recipe, made.name) == ("l2", "layer_norm", "mine")
    assert (load_upload(content).metric, load_upload(content).name) == ("cosine", "glove")


def test_dims_that_differ_name_both_files(write, vectors):
    """Corpus and queries of different models are refused with both names and dims."""
    files = {"corpus": ("c.npy", write.npy(vectors)), "queries": ("q.npy", write.npy(vectors[:, :3]))}
    with pytest.raises(VectorError, match=r"found 4 in c\.npy and 3 in q\.npy"):
        load_upload(files)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd.npy", "passwd.npy"),
        ("C:\\Users\\me\\secret.npy", "secret.npy"),
        ("a\nb\x1b[31m\u202e.npy", "a b [31m .npy"),
        ("<b onmouseover=alert(1)>.npy", "<b onmouseover=alert(1)>.npy"),
        ("", "unnamed"),
        ("x" * 300 + ".npy", "x" * 79 + "…"),
    ],
)
def test_odd_file_names_are_printed_bare_and_on_one_line(tmp_path, monkeypatch, name, shown):
    """Only the last part of an uploaded name is shown, without control characters, and no path is ever touched."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError) as error:
        load_upload({"corpus": (name, b"\x93NUMPY garbage")})
    assert str(error.value).startswith(f"{shown}: ")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_uploads_may_be_open_files(write, vectors, tmp_path):
    """Bytes, BytesIO wherever it stands, and open files are read alike."""
    content = write.npy(vectors)
    (tmp_path / "a.npy").write_bytes(content)
    moved = io.BytesIO(content)
    moved.read()
    with (tmp_path / "a.npy").open("rb") as file:
        for data in (content, bytearray(content), memoryview(content), moved, file):
            made = load_upload({"corpus": ("a.npy", data)}, n_held_out=0)
            np.testing.assert_array_equal(made.corpus, vectors)
            assert not made.corpus.flags.writeable


@pytest.mark.parametrize("roles", [("queries",), ("corpus", "index"), ()])
def test_uploads_need_known_roles(roles):
    """An upload without a corpus, or with a role nobody knows, is refused."""
    with pytest.raises(ParameterError, match="uploads must be a corpus"):
        load_upload(dict.fromkeys(roles, ("a.npy", b"")))


@pytest.mark.parametrize("path", ["nothing.npy", "a\0b.npy"])
def test_a_path_where_nothing_is_is_refused(tmp_path, path):
    """A missing file is a path error that names it."""
    with pytest.raises(PathError, match="a file or folder must be at the path"):
        load(f"{tmp_path}/{path}")


def test_archives_of_other_kinds_are_named():
    """Compressed files are told what to do with."""
    with pytest.raises(FormatError, match=r"found a gzip file\. Decompress it first"):
        load_upload({"corpus": ("a.jsonl.gz", b"\x1f\x8b\x08" + bytes(50))})


def test_an_unreadable_column_choice_is_refused_by_one_array_files(write, vectors):
    """A choice of columns does not hide what is wrong elsewhere."""
    with pytest.raises(ParameterError, match="found nope"):
        load_upload({"corpus": ("a.npz", write.npz(corpus=vectors))}, columns=Columns(queries="nope"))


def test_choices_hold_for_both_files_as_far_as_they_go(write, vectors):
    """A column chosen for the corpus is used for queries that have it, and not missed where they do not."""
    corpus = write.json_lines(vectors, key=list("abcdef"), title_embedding=[[9.0]] * 6)
    queries = write.json_lines(vectors[:2], key=["x", "y"])
    choices = Columns(vector="embedding", id="key")
    files = {"corpus": ("c.jsonl", corpus), "queries": ("q.jsonl", queries)}
    assert list(load_upload(files, columns=choices).query_ids) == ["x", "y"]
    files["queries"] = ("q.npz", write.npz(first=vectors[:1], second=vectors[:2]))
    made = load_upload(files, columns=Columns(vector="embedding", id="key", queries="second"))
    assert (made.n_queries, made.query_ids) == (2, None)
    with pytest.raises(ParameterError, match="found third"):
        load_upload(files, columns=Columns(vector="embedding", queries="third"))
    with pytest.raises(ParameterError, match="found nope"):
        load_upload(files, columns=Columns(vector="nope", queries="second"))


def test_encoding_can_be_cancelled():
    """Cancelling while texts are encoded ends the load."""
    with pytest.raises(CancelledError):
        load_upload({"corpus": ("a.txt", b"some text\n")}, cancelled=lambda: True)


def test_formats_are_described():
    """Every format has a name and a description; every usual extension is listed."""
    listed = formats()
    assert all(one.name and one.description.endswith(".") for one in listed)
    extensions = {extension for one in listed for extension in one.extensions}
    expected = ".npy .npz .parquet .arrow .feather .csv .tsv .jsonl .hdf5 .h5 .fvecs .bvecs .ivecs .fbin .u8bin .i8bin"
    assert {*expected.split(), ".ibin", ".zip", ".safetensors", ".txt"} <= extensions
