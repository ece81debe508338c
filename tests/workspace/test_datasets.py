"""Stored data sets: what goes in comes out, mapped, and only while the files are what they were."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engine.embeddings import EmbeddingSet, Judgements
from engine.errors import RunNotFoundError, WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.workspace import Workspace


def _full_set(n: int = 6, dim: int = 4) -> EmbeddingSet:
    rng = np.random.default_rng(0)
    return EmbeddingSet(
        name="tiny",
        corpus=rng.standard_normal((n, dim)).astype(np.float32),
        queries=rng.standard_normal((2, dim)).astype(np.float32),
        corpus_ids=[f"d{i}" for i in range(n)],
        query_ids=["q1", "q2"],
        corpus_texts=[f"text {i} \ud800 <b>" for i in range(n)],
        query_texts=["one", ""],
        corpus_segments=["even", "odd"] * (n // 2),
        query_segments=["de", "en"],
        judgements=Judgements(
            query_rows=np.array([0, 0, 1]),
            doc_rows=np.array([1, -1, 2]),
            grades=np.array([1, 2, 1], np.float32),
            unknown_queries=3,
            unknown_docs=1,
        ),
        query_corpus_rows=np.array([-1, 3]),
        metric="ip",
        recipe="layer_norm",
        labels=("synthetic",),
        warnings=("two rows were empty",),
    )


def _sha256_anew(embedding_set: EmbeddingSet) -> str:
    return replace(embedding_set).sha256


def test_everything_in_a_set_comes_back(workspace: Workspace) -> None:
    """Vectors, ids, texts, segments, judgements and every fact survive, under the same digest."""
    given = _full_set()
    stored = workspace.save_dataset(given)
    loaded = workspace.load_dataset(stored.sha256)
    for name in ("corpus", "queries", "query_corpus_rows"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(given, name))
        assert getattr(loaded, name).dtype == getattr(given, name).dtype
    for name in ("corpus_ids", "query_ids", "corpus_texts", "query_texts", "corpus_segments", "query_segments"):
        assert list(getattr(loaded, name)) == getattr(given, name)
    for name in ("name", "metric", "recipe", "labels", "warnings"):
        assert getattr(loaded, name) == getattr(given, name)
    assert loaded.judgements is not None
    assert given.judgements is not None
    for name in ("query_rows", "doc_rows", "grades"):
        np.testing.assert_array_equal(getattr(loaded.judgements, name), getattr(given.judgements, name))
    assert (loaded.judgements.unknown_queries, loaded.judgements.unknown_docs) == (3, 1)
    assert loaded.sha256 == _sha256_anew(loaded) == given.sha256


def test_facts_of_a_stored_set(workspace: Workspace) -> None:
    """The list of data sets tells sizes, labels and what a set has, without opening its files."""
    stored = workspace.save_dataset(_full_set())
    assert (stored.n_docs, stored.n_queries, stored.dim, stored.dtype) == (6, 2, 4, "float32")
    assert (stored.metric, stored.recipe, stored.labels) == ("ip", "layer_norm", ("synthetic",))
    assert (stored.has_texts, stored.has_segments, stored.has_judgements) == (True, True, True)
    shutil.rmtree(workspace.folder / "datasets")
    assert workspace.datasets() == (stored,)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint8"])
def test_a_bare_corpus_comes_back(workspace: Workspace, dtype: str) -> None:
    """A set of vectors only, of any dtype, has neither queries nor ids nor texts afterwards."""
    given = EmbeddingSet(name="bare", corpus=np.asfortranarray(np.arange(12).reshape(3, 4).astype(dtype)))
    stored = workspace.save_dataset(given)
    loaded = workspace.load_dataset(stored.sha256)
    assert _sha256_anew(loaded) == given.sha256
    assert loaded.corpus.dtype == dtype
    absent = (loaded.queries, loaded.corpus_ids, loaded.corpus_texts, loaded.corpus_segments, loaded.judgements)
    assert absent == (None,) * 5
    assert (stored.has_texts, stored.has_segments, stored.has_judgements) == (False, False, False)


def test_large_vectors_and_texts_are_mapped(workspace: Workspace) -> None:
    """Vectors are mapped read-only, and texts are decoded only when they are asked for."""
    n = 50_000
    given = EmbeddingSet(
        name="large",
        corpus=np.ones((n, 8), np.float32),
        corpus_ids=[str(i) for i in range(n)],
        corpus_texts=[f"the text of document {i}" for i in range(n)],
    )
    loaded = workspace.load_dataset(workspace.save_dataset(given).sha256)
    assert isinstance(loaded.corpus, np.memmap)
    assert not loaded.corpus.flags.writeable
    assert not isinstance(loaded.corpus_texts, list)
    assert loaded.corpus_texts is not None
    assert loaded.corpus_texts[n - 1] == f"the text of document {n - 1}"
    sample = loaded.with_held_out_queries(10)
    assert list(sample.query_texts or ()) == [f"the text of document {row}" for row in sample.query_ids or ()]
    again = workspace.load_dataset(workspace.save_dataset(sample).sha256)
    assert list(again.query_texts or ()) == list(sample.query_texts or ())


def test_saving_again_changes_nothing(workspace: Workspace) -> None:
    """The same set is stored once, under the moment it was first stored."""
    first = workspace.save_dataset(_full_set())
    assert workspace.save_dataset(_full_set()) == first
    assert workspace.save_dataset(workspace.load_dataset(first.sha256)) == first
    assert workspace.datasets() == (first,)
    assert len(list(workspace.folder.glob("datasets/*"))) == 1


def test_saving_again_repairs_missing_files(workspace: Workspace) -> None:
    """A stored set whose files are gone is stored anew from the set at hand."""
    first = workspace.save_dataset(_full_set())
    shutil.rmtree(workspace.folder / "datasets")
    again = workspace.save_dataset(_full_set())
    assert again.sha256 == first.sha256
    assert workspace.check_dataset(first.sha256) == again
    assert len(list(workspace.folder.glob("datasets/*"))) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"name": "renamed"},
        {"labels": ()},
        {"query_texts": ["uno", "due"]},
        {"corpus_segments": None, "query_segments": None},
    ],
)
def test_new_details_take_the_place_of_the_old(workspace: Workspace, change: dict[str, Any]) -> None:
    """The same vectors with other texts or segments replace the stored set, whose files go."""
    workspace.save_dataset(_full_set())
    changed = workspace.save_dataset(replace(_full_set(), **change))
    assert workspace.datasets() == (changed,)
    loaded = workspace.load_dataset(changed.sha256)
    for name, value in change.items():
        found = getattr(loaded, name)
        assert (list(found) if isinstance(value, list) else found) == value
    assert len(list(workspace.folder.glob("datasets/*"))) == 1


def test_threads_that_store_one_set_store_it_once(workspace: Workspace) -> None:
    """Six threads storing the same set at once leave one row and one folder, and all of them get an answer."""
    barrier = threading.Barrier(6)
    answers = []

    def work() -> None:
        barrier.wait()
        answers.append(workspace.save_dataset(_full_set()).sha256)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [_full_set().sha256] * 6
    [stored] = workspace.datasets()
    assert len(list(workspace.folder.glob("datasets/*"))) == 1
    assert workspace.check_dataset(stored.sha256) == stored


def test_deleted_set_is_gone_and_its_runs_stay(workspace: Workspace) -> None:
    """Deleting removes row and files; a run on the set is still there."""
    stored = workspace.save_dataset(_full_set())
    run = workspace.save_run(
        kind="sweep",
        dataset={"sha256": stored.sha256},
        parameters={},
        seed=0,
        summary={},
        arrays={},
        elapsed_s=0,
    )
    workspace.delete_dataset(stored.sha256)
    assert workspace.datasets() == ()
    assert list(workspace.folder.glob("datasets/*")) == []
    assert workspace.runs(dataset_sha256=stored.sha256) == (run,)
    for ask in (workspace.load_dataset, workspace.check_dataset, workspace.delete_dataset):
        with pytest.raises(RunNotFoundError, match="no such data set"):
            ask(stored.sha256)


@pytest.mark.parametrize("sha256", ["", "..", "../" * 20, "a" * 64, "A" * 64, "a" * 63 + "\n", "a" * 100_000])
def test_unknown_and_hostile_digests_are_not_found(workspace: Workspace, sha256: str) -> None:
    """A digest from a URL that is no stored set's is not found and removes nothing."""
    for ask in (workspace.load_dataset, workspace.check_dataset, workspace.delete_dataset):
        with pytest.raises(RunNotFoundError):
            ask(sha256)
    assert workspace.folder.is_dir()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _unlink(path: Path) -> None:
    path.unlink()


def _swap_shape(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"(6, 4)", b"(4, 6)"))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [(_cut, "has another size"), (_swap_shape, "has another header"), (_unlink, "is missing")],
)
def test_cut_swapped_and_missing_files_are_noticed_on_loading(
    workspace: Workspace, spoil: Callable[[Path], None], problem: str
) -> None:
    """A file of another size or shape, or none, is refused by name of the data set."""
    stored = workspace.save_dataset(_full_set())
    [path] = workspace.folder.glob("datasets/*/corpus.npy")
    spoil(path)
    with pytest.raises(WorkspaceError, match=rf"data set tiny must be as they were saved; found corpus.npy {problem}"):
        workspace.load_dataset(stored.sha256)


def test_one_changed_byte_is_noticed_by_the_check(workspace: Workspace) -> None:
    """Loading looks at sizes only; the full check finds a single changed bit in any file."""
    stored = workspace.save_dataset(_full_set())
    assert workspace.check_dataset(stored.sha256) == stored
    for path in workspace.folder.glob("datasets/*/*.npy"):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(WorkspaceError, match=f"{path.name} was altered"):
            workspace.check_dataset(stored.sha256)
        path.write_bytes(content)


def test_hostile_names_are_stored_as_text(workspace: Workspace) -> None:
    """A name with path parts, markup, control characters or half a surrogate pair is kept readable and harmless."""
    name = "../../etc\x00/<script>\u202eevil\ud800" + "x" * 500
    stored = workspace.save_dataset(replace(_full_set(), name=name))
    assert stored.name.startswith("../../etc /<script> evil\ufffdx")
    assert len(stored.name) == 200
    assert workspace.datasets() == (stored,)
    [folder] = workspace.folder.glob("datasets/*")
    assert folder.name.startswith(stored.sha256)
