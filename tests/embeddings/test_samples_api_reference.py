"""The bundled API reference set and its rotated control."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import engine
from engine.embeddings import EmbeddingSet, encode, load_sample
from engine.embeddings.samples.api_reference import load_api_reference
from engine.embeddings.samples.docstrings import (
    NOT_INSTALLED,
    PACKAGES,
    Entry,
    RestTexts,
    SummaryTexts,
    entry_of,
    split_docstring,
)
from engine.errors import FormatError

FOLDER = Path(engine.__file__).parents[1] / "datasets" / "api-reference"
DIMS = (16, 32, 64, 128, 256)
# Measured for the design, with other versions of the packages.
DESIGN_NDCG = (0.05, 0.12, 0.19, 0.26, 0.28)
DESIGN_RECALL = (0.12, 0.29, 0.50, 0.70, 1.0)


@pytest.fixture(scope="module")
def api() -> EmbeddingSet:
    return load_sample("api-reference")


@pytest.fixture(scope="module")
def control() -> EmbeddingSet:
    return load_sample("api-reference-rotated")


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    values = vectors.astype(np.float64)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def _figures(embedding_set: EmbeddingSet, parts: list[slice]) -> npt.NDArray[np.float64]:
    """Naive nDCG@10 and recall@10 against the full dimension, a row for each choice of dims."""
    judged = embedding_set.judgements
    assert judged is not None
    gains = np.zeros((embedding_set.n_queries, embedding_set.n_docs), dtype=np.float32)
    gains[judged.query_rows, judged.doc_rows] = judged.grades
    discounts = 1 / np.log2(np.arange(2, 12))
    ideal = -np.sort(-gains, axis=1)[:, :10] @ discounts
    full = _top10(embedding_set, slice(None))
    figures = []
    for part in parts:
        found = _top10(embedding_set, part)
        dcg = np.take_along_axis(gains, found, axis=1) @ discounts
        hits = [len(set(a) & set(b)) / 10 for a, b in zip(found, full, strict=True)]
        figures.append((np.mean(dcg / ideal), np.mean(hits)))
    return np.array(figures)


def _top10(embedding_set: EmbeddingSet, part: slice) -> npt.NDArray[np.int64]:
    assert embedding_set.queries is not None
    scores = _unit(embedding_set.queries[:, part]) @ _unit(embedding_set.corpus[:, part]).T
    best = np.argpartition(-scores, 10, axis=1)[:, :10]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1)


def test_figures_are_those_of_the_card(api: EmbeddingSet, control: EmbeddingSet):
    """A naive sweep of the set and of its control gives the card's figures, near those of the design."""
    card = (FOLDER / "README.md").read_text()
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", card, re.MULTILINE)
    assert tuple(int(row[0]) for row in rows) == DIMS
    prefixes = [slice(dim) for dim in DIMS]
    measured = np.hstack([_figures(api, prefixes), _figures(control, prefixes)])
    np.testing.assert_allclose(measured, np.array(rows, dtype=float)[:, 1:], atol=6e-4)
    np.testing.assert_allclose(measured[:, 0], DESIGN_NDCG, atol=0.04)
    np.testing.assert_allclose(measured[:, 1], DESIGN_RECALL, atol=0.04)


def test_every_query_is_judged_on_its_own_entry(api: EmbeddingSet):
    """A query names a corpus entry of the same package, which is its only grade 2; other grades are 1."""
    judged = api.judgements
    assert judged is not None
    assert api.corpus_ids is not None
    assert api.query_ids is not None
    own = {(q, d) for q, d, g in zip(judged.query_rows, judged.doc_rows, judged.grades, strict=True) if g == 2}
    assert own == {(row, list(api.corpus_ids).index(name)) for row, name in enumerate(api.query_ids)}
    assert set(judged.grades.tolist()) == {1.0, 2.0}
    pairs = set(zip(judged.query_rows.tolist(), judged.doc_rows.tolist(), strict=True))
    assert len(pairs) == len(judged.grades)
    assert set(api.query_segments or ()) == {"numpy", "scipy", "pandas", "scikit-learn"}


def test_the_folder_holds_names_and_numbers_only(api: EmbeddingSet):
    """No third-party prose is shipped: every line of the text files is a public name, or two and a grade."""
    name = r"(numpy|scipy|pandas|sklearn)(\.[A-Za-z]\w*)+"
    for file in ("corpus_ids.txt", "query_ids.txt"):
        assert all(re.fullmatch(name, line) for line in (FOLDER / file).read_text().splitlines())
    judgements = (FOLDER / "qrels.tsv").read_text().splitlines()
    assert judgements[0] == "query-id\tcorpus-id\tscore"
    assert all(re.fullmatch(f"{name}\t{name}\t[12]", line) for line in judgements[1:])
    assert sum(file.stat().st_size for file in FOLDER.glob("*.npy")) < 6_000_000
    known = {"corpus.npy", "queries.npy", "corpus_ids.txt", "query_ids.txt", "qrels.tsv"}
    known |= {"README.md", "build.py", "manifest.json", ".gitattributes"}
    assert {file.name for file in FOLDER.iterdir() if file.is_file()} == known


def test_the_card_tells_the_manifest(api: EmbeddingSet):
    """The card quotes every digest, version and count of the manifest, and the set has those counts."""
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    card = (FOLDER / "README.md").read_text()
    counts = [f"{manifest[key]:,}" for key in ("n_docs", "n_queries", "n_judgements")]
    for text in [*manifest["sha256"].values(), *manifest["versions"].values(), *counts]:
        assert text in card
    assert api.judgements is not None
    assert [api.n_docs, api.n_queries, len(api.judgements.grades)] == [
        manifest["n_docs"],
        manifest["n_queries"],
        manifest["n_judgements"],
    ]


def test_rotation_keeps_the_full_dimension(api: EmbeddingSet, control: EmbeddingSet):
    """Cosines, inner products and norms at 256 dims stay within 1e-5; nothing else about the set changes."""
    assert api.queries is not None
    assert control.queries is not None
    np.testing.assert_allclose(control.queries @ control.corpus.T, api.queries @ api.corpus.T, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(
        _unit(control.queries) @ _unit(control.corpus).T, _unit(api.queries) @ _unit(api.corpus).T, atol=1e-5
    )
    assert control.labels == ("control",)
    assert control.corpus_ids == api.corpus_ids
    assert control.corpus.dtype == api.corpus.dtype == np.float32
    assert not np.array_equal(control.corpus, api.corpus)


def test_rotation_takes_the_order_of_the_dims_away(api: EmbeddingSet, control: EmbeddingSet):
    """The first 64 dims keep clearly more neighbours than the last 64 before the rotation, and as many after it."""
    trained, turned = (_figures(part, [slice(64), slice(192, 256)])[:, 1] for part in (api, control))
    assert trained[0] > trained[1] + 0.05
    assert turned[0] == pytest.approx(turned[1], abs=0.02)


@pytest.mark.parametrize("file", ["corpus.npy", "queries.npy", "corpus_ids.txt", "query_ids.txt", "qrels.tsv"])
def test_an_altered_file_is_refused(tmp_path: Path, file: str):
    """One changed byte in any file is refused with the file's name."""
    copy = shutil.copytree(FOLDER, tmp_path / "copy")
    content = bytearray((copy / file).read_bytes())
    content[-2] ^= 1
    (copy / file).write_bytes(content)
    with pytest.raises(FormatError, match=f"{re.escape(file)}: a bundled file must have the sha256"):
        load_api_reference(copy)


@pytest.mark.parametrize("damage", ["no folder", "no vectors", "garbage manifest", "manifest without digests"])
def test_an_incomplete_folder_is_refused(tmp_path: Path, damage: str):
    """A missing or unreadable part is refused with the way to restore it."""
    copy = tmp_path / "copy"
    if damage != "no folder":
        shutil.copytree(FOLDER, copy)
    if damage == "no vectors":
        (copy / "corpus.npy").unlink()
    if damage == "garbage manifest":
        (copy / "manifest.json").write_bytes(b"\xff{")
    if damage == "manifest without digests":
        (copy / "manifest.json").write_text("{}")
    with pytest.raises(FormatError, match="must be complete.*Restore the datasets folder"):
        load_api_reference(copy)


def test_the_same_copy_loads_elsewhere(api: EmbeddingSet, tmp_path: Path):
    """An unaltered copy of the folder loads to the same fingerprint."""
    assert load_api_reference(shutil.copytree(FOLDER, tmp_path / "copy")).sha256 == api.sha256


def test_texts_are_read_from_the_installed_packages(api: EmbeddingSet):
    """The document and the query of numpy.argsort are the two parts of its docstring."""
    assert api.corpus_ids is not None
    assert api.corpus_texts is not None
    row = list(api.corpus_ids).index("numpy.argsort")
    assert "indices that would sort" in SummaryTexts(["numpy.argsort"])[0]
    assert "Perform an indirect sort" in api.corpus_texts[row]
    assert "indices that would sort an array" not in api.corpus_texts[row]
    assert "See Also" not in api.corpus_texts[row]


def test_stored_vectors_are_those_of_the_texts(api: EmbeddingSet):
    """Encoding the texts of this machine gives the stored vectors, where the versions are those of the build."""
    _skip_unless_versions_match()
    rows = np.random.default_rng(7).choice(api.n_queries, size=50, replace=False)
    for texts, vectors in ((api.corpus_texts, api.corpus), (api.query_texts, api.queries)):
        assert texts is not None
        assert vectors is not None
        np.testing.assert_allclose(encode([texts[row] for row in rows]), vectors[rows], rtol=1e-3, atol=1e-3)


def test_every_listed_name_has_a_text(api: EmbeddingSet):
    """All names resolve without a warning, where the versions are those of the build, and each is read once."""
    _skip_unless_versions_match()
    assert api.corpus_texts is not None
    assert NOT_INSTALLED not in api.corpus_texts
    n_read = entry_of.cache_info().misses
    assert all(api.corpus_texts)
    assert entry_of.cache_info().misses == n_read


def test_loading_imports_none_of_the_packages():
    """A new process loads the set without importing what the texts come from, and imports it when one is read."""
    code = """
import sys
from engine.embeddings import load_sample
api = load_sample("api-reference")
print(any(name in sys.modules for name in ("scipy", "pandas", "sklearn")))
print(api.corpus_texts[list(api.corpus_ids).index("scipy.fft.fft")][:10] != "", "scipy.fft" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\nTrue True\n"


@pytest.mark.parametrize(
    "name",
    [
        "this.s",
        "os.path.join",
        "numpy._core.multiarray.array",
        "numpy.__loader__",
        "numpy.no_such_name",
        "numpy.argsort.no_such_name",
        "scipy.no_such_module.thing",
        "sklearn..svm",
        "numpy.",
        "",
        "numpy.linalg; import this",
    ],
)
def test_other_names_import_nothing(name: str):
    """A name outside the four packages, private, malformed or unknown has no text and brings no new module in."""
    before = set(sys.modules)
    assert entry_of(name) is None
    assert RestTexts([name])[0] == NOT_INSTALLED
    new = {module for module in set(sys.modules) - before if module.partition(".")[0] not in PACKAGES}
    assert "this" not in new
    assert not {module for module in new if module in name}


def test_lazy_texts_are_a_sequence():
    """Length, slices, negative rows, iteration and a row past the end behave as in a list."""
    texts = SummaryTexts(["numpy.sort", "nowhere.at_all", "numpy.argsort"])
    assert isinstance(texts, Sequence)
    assert len(texts) == 3
    assert texts[1] == NOT_INSTALLED
    assert list(texts[1:]) == [NOT_INSTALLED, texts[-1]]
    assert texts[-1] == texts[2] != texts[0]
    with pytest.raises(IndexError):
        texts[3]


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Sort it.", Entry(summary="Sort it.", rest="", see_also="")),
        (
            "Sort it\n  now.\n\nMore.\n\nEven more.",
            Entry(summary="Sort it now.", rest="More.\n\nEven more.", see_also=""),
        ),
        ("sort(a, b=1)\n--\n\nSort it.\n\nMore.", Entry(summary="Sort it.", rest="More.", see_also="")),
        ("f(a)\ng(a,\n  b) -> int\n\nDo it.", Entry(summary="Do it.", rest="", see_also="")),
        ("f(x) is zero.\n\nMore.", Entry(summary="f(x) is zero.", rest="More.", see_also="")),
        ("sort(a)", Entry(summary="sort(a)", rest="", see_also="")),
        (
            "Sort it.\nParameters\n----------\na : array",
            Entry(summary="Sort it.", rest="Parameters\n----------\na : array", see_also=""),
        ),
        (
            "Sort it.\n\nSee Also\n--------\nargsort : Indices.\n\nNotes\n-----\nFast.",
            Entry(summary="Sort it.", rest="Notes\n-----\nFast.", see_also="argsort : Indices.\n"),
        ),
        (
            "Sort it.\n\nStable.\n\nSee also\n--------\nargsort, lexsort",
            Entry(summary="Sort it.", rest="Stable.", see_also="argsort, lexsort"),
        ),
    ],
)
def test_docstrings_are_split_as_numpydoc_means_them(docstring: str, expected: Entry):
    """Signatures go, the first paragraph is the summary, See Also is set apart, the rest stays in order."""
    assert split_docstring(docstring) == expected


def _skip_unless_versions_match() -> None:
    built_with = json.loads((FOLDER / "manifest.json").read_text())["versions"]
    here = {name: version({"sklearn": "scikit-learn"}.get(name, name)) for name in built_with}
    if here != built_with:
        pytest.skip(f"the set was built with {built_with}, installed are {here}")
