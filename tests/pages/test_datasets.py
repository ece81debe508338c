"""The Datasets page."""

from __future__ import annotations

import io
import json
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.embeddings.samples import load_sample, sample_sets
from engine.tradeoff import save_sweep, sweep
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streamlit.testing.v1 import AppTest

    from tests.pages.conftest import App

SCRIPT = "pages/data/datasets.py"


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def vectors(n: int = 200, d: int = 16, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def parquet(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def has_ended(at: AppTest) -> bool:
    """Whether the job has ended: a set is open, or something is said about it."""
    return bool(at.header or at.error or at.get("progress") == []) and not at.get("progress")


def panel(app: App, name: str) -> App:
    app.open(SCRIPT)
    app.at.button_group(key="source").set_value(name).run()
    assert not app.at.exception
    return app


def upload(app: App, name: str, content: bytes, **others: tuple[str, bytes]) -> App:
    """Upload a corpus and perhaps queries and qrels, and press the button."""
    panel(app, "Upload")
    for role, (file_name, data) in {"corpus": (name, content), **others}.items():
        app.at.file_uploader(key=f"upload_{role}").upload(file_name, data)
    app.at.run()
    app.at.button(key="load_upload").click().run()
    return app.until(has_ended)


def metric(app: App, label: str) -> str:
    return next(shown.value for shown in app.at.metric if shown.label == label)


@pytest.mark.parametrize("info", sample_sets(), ids=lambda info: info.key)
def test_every_bundled_set_opens(app: App, info: Any) -> None:
    """Each card opens its set with its counts, its health and its first rows."""
    app.open(SCRIPT)
    app.at.button(key=f"open_{info.key}").click().run()
    app.until(lambda at: at.header)
    assert app.at.header[0].value.replace("\\", "") == info.title
    assert int(metric(app, "Documents").replace(",", "")) > 1000
    assert not app.at.error
    assert len(app.at.dataframe) == 2
    assert len(app.at.dataframe[0].value) == 50


def test_an_upload_opens_in_this_tab_only(new_tab: Callable[[], App], workspace_folder: Path) -> None:
    """An uploaded file is inspected and shown; nothing of it is stored, and another tab does not see it."""
    app = upload(new_tab(), "mine.npy", npy(vectors()))
    assert "mine" in app.at.header[0].value
    assert metric(app, "Documents") == "200"
    assert metric(app, "Dimensions") == "16"
    assert "held-out queries" in app.said()
    assert "in this tab only" in app.said()
    with Workspace.open(workspace_folder) as workspace:
        assert workspace.datasets() == ()
    other = new_tab().open(SCRIPT)
    assert not other.at.header
    assert "mine" not in other.said()


def test_corpus_queries_and_judgements_in_their_own_files(app: App) -> None:
    """A set in three files shows the counts of all three."""
    corpus = "\n".join(json.dumps({"_id": f"d{i}", "embedding": row.tolist()}) for i, row in enumerate(vectors(40)))
    queries = "\n".join(json.dumps({"_id": f"q{i}", "embedding": row.tolist()}) for i, row in enumerate(vectors(5)))
    qrels = "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\td{i}\t1\n" for i in range(5))
    upload(
        app,
        "corpus.jsonl",
        corpus.encode(),
        queries=("queries.jsonl", queries.encode()),
        qrels=("qrels.tsv", qrels.encode()),
    )
    assert not app.at.error
    assert metric(app, "Documents") == "40"
    assert metric(app, "Queries") == "5"
    assert metric(app, "Judgements") == "5"


BAD_FILES = {
    "empty": ("a.npy", b""),
    "garbage": ("a.npy", b"\x00\x01garbage" * 50),
    "truncated npy": ("a.npy", npy(vectors())[:-100]),
    "pickled npy": ("a.npy", npy(np.array([{"a": 1}], dtype=object))),
    "pickle": ("a.npy", pickle.dumps({"a": 1})),
    "NaN rows": ("a.npy", npy(np.full((5, 4), np.nan, dtype=np.float32))),
    "one-dimensional": ("a.npy", npy(np.zeros(12, dtype=np.float32))),
    "ragged rows": ("a.jsonl", b'{"embedding": [1, 2]}\n{"embedding": [1]}\n'),
    "text where numbers belong": ("a.jsonl", b'{"embedding": ["x", "y"]}\n'),
    "repeated ids": ("a.jsonl", b'{"id": "a", "embedding": [1, 2]}\n{"id": "a", "embedding": [2, 1]}\n'),
    "lying fbin": ("a.fbin", np.array([1000, 64], dtype="<u4").tobytes() + bytes(16)),
    "no parquet": ("a.parquet", b"PAR1" + bytes(40) + b"PAR1"),
    "markup in the name": ("<img src=x onerror=alert(1)>**b** $x$.npy", b"nothing"),
    "climbing name": ("../../../etc/passwd.npy", b"nothing"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_one_sentence(app: App, workspace_folder: Path, case: str) -> None:
    """Each broken file gives exactly one error of one sentence, opens nothing and stores nothing."""
    upload(app, *BAD_FILES[case])
    assert not app.at.exception
    assert len(app.at.error) == 1
    assert "Traceback" not in app.at.error[0].value
    assert "\n" not in app.at.error[0].value
    assert not app.at.header
    with Workspace.open(workspace_folder) as workspace:
        assert workspace.datasets() == ()


def test_markup_in_a_file_name_is_escaped(app: App) -> None:
    """A file name with HTML, Markdown and LaTeX is shown letter for letter in the error and as a set's name."""
    upload(app, "<b>x **y** $z$.npy", b"nothing")
    assert r"\<b\>" in app.at.error[0].value
    assert r"\*\*y\*\*" in app.at.error[0].value
    assert r"\$z\$" in app.at.error[0].value


def test_queries_of_another_dimension_are_refused(app: App) -> None:
    """Corpus and queries of different dimensions give one sentence with both numbers."""
    upload(app, "corpus.npy", npy(vectors(d=16)), queries=("queries.npy", npy(vectors(d=8))))
    assert len(app.at.error) == 1
    assert "16" in app.at.error[0].value
    assert "8" in app.at.error[0].value


def test_an_ambiguous_column_is_asked_for(app: App) -> None:
    """Two columns that could hold the vectors become a question; the answer loads the set with that column."""
    content = parquet(title_emb=list(vectors(30, 4)), text_emb=list(vectors(30, 8)), id=[str(i) for i in range(30)])
    upload_ended = panel(app, "Upload")
    app.at.file_uploader(key="upload_corpus").upload("two.parquet", content)
    app.at.run()
    app.at.button(key="load_upload").click().run()
    upload_ended.until(lambda at: any(box.key == "column" for box in at.selectbox))
    assert not app.at.error
    assert app.at.selectbox(key="column").options == ["title_emb", "text_emb"]
    app.at.selectbox(key="column").set_value("text_emb").run()
    app.at.button(key="use_column").click().run()
    app.until(has_ended)
    assert not app.at.error
    assert metric(app, "Dimensions") == "8"
    assert not any(box.key == "column" for box in app.at.selectbox)


def test_ambiguous_columns_of_corpus_and_queries_are_both_asked_for(app: App) -> None:
    """Each file may leave its vectors open; the answer for the queries does not undo the one for the corpus."""
    corpus = parquet(emb_a=list(vectors(30, 4)), emb_b=list(vectors(30, 8)), id=[str(i) for i in range(30)])
    queries = parquet(qa=list(vectors(6, 4)), qb=list(vectors(6, 8)), id=[str(i) for i in range(6)])
    panel(app, "Upload")
    app.at.file_uploader(key="upload_corpus").upload("amb_c.parquet", corpus)
    app.at.file_uploader(key="upload_queries").upload("amb_q.parquet", queries)
    app.at.run()
    app.at.button(key="load_upload").click().run()
    for offered, answer in ((["emb_a", "emb_b"], "emb_b"), (["qa", "qb"], "qb")):
        app.until(lambda at, offered=offered: [box.options for box in at.selectbox if box.key == "column"] == [offered])
        app.at.selectbox(key="column").set_value(answer).run()
        app.at.button(key="use_column").click().run()
    app.until(has_ended)
    assert not app.at.error
    assert metric(app, "Dimensions") == "8"
    assert metric(app, "Documents") == "30"
    assert metric(app, "Queries") == "6"


def test_paths_need_a_data_root(app: App) -> None:
    """Without DIMSHIFT_DATA_ROOT the page says what it is and offers no field."""
    panel(app, "Path")
    assert "DIMSHIFT_DATA_ROOT" in app.at.info[0].value
    assert not app.at.text_input


def test_a_path_below_the_root_loads_and_one_outside_does_not(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path below the root loads; `..` and a symlink out of it give one sentence."""
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setenv("DIMSHIFT_DATA_ROOT", str(root))
    (root / "corpus.npy").write_bytes(npy(vectors()))
    (tmp_path / "secret.npy").write_bytes(npy(vectors()))
    (root / "link.npy").symlink_to(tmp_path / "secret.npy")
    panel(app, "Path")
    for outside in ("../secret.npy", "link.npy", "missing.npy"):
        app.at.text_input(key="path_corpus").set_value(outside).run()
        app.at.button(key="load_path").click().run()
        app.until(has_ended)
        assert len(app.at.error) == 1
        assert not app.at.header
    app.at.text_input(key="path_corpus").set_value("corpus.npy").run()
    app.at.button(key="load_path").click().run()
    app.until(lambda at: at.header)
    assert not app.at.error
    assert metric(app, "Documents") == "200"


def test_a_synthetic_set_is_labelled(app: App) -> None:
    """A generated set has the size asked for and carries the label synthetic."""
    panel(app, "Synthetic")
    app.at.number_input(key="synthetic_n").set_value(500).run()
    app.at.number_input(key="synthetic_d").set_value(32).run()
    app.at.button(key="generate").click().run()
    app.until(lambda at: at.header)
    assert metric(app, "Documents") == "500"
    assert metric(app, "Dimensions") == "32"
    assert "synthetic" in app.said()


def test_a_kept_set_is_stored_and_can_be_opened_again(new_tab: Callable[[], App], workspace_folder: Path) -> None:
    """Keep in workspace stores the set once; another tab finds it under Stored and opens it."""
    app = upload(new_tab(), "mine.npy", npy(vectors()))
    next(button for button in app.at.button if button.label == "Keep in workspace").click().run()
    assert not app.at.exception
    assert "kept in the workspace" in app.said()
    with Workspace.open(workspace_folder) as workspace:
        (stored,) = workspace.datasets()
    assert stored.n_docs == 200
    other = panel(new_tab(), "Stored")
    other.at.button(key="open_stored").click().run()
    other.until(lambda at: at.header)
    assert metric(other, "Documents") == "200"


def test_an_open_set_goes_to_the_sweep(app: App, workspace_folder: Path) -> None:
    """Sweep this set leads to the Sweep page with the form open and the set chosen; running it opens its run."""
    with Workspace.open(workspace_folder) as workspace:
        save_sweep(workspace, sweep(load_sample("digits-pixels"), [32, 64], n_queries=50))
    upload(app, "mine.npy", npy(vectors(d=8)))
    next(button for button in app.at.button if button.label == "Sweep this set").click().run()
    assert app.at.selectbox(key="sweep_source").value == "held"
    app.at.switch_page("pages/explore/sweep.py").run()
    app.at.session_state["new_sweep"] = True
    app.at.run()
    assert app.at.selectbox(key="sweep_source").value == "held"
    app.at.button(key="run_sweep").click().run()
    app.until(lambda at: any("mine" in caption.value for caption in at.caption if "documents" in caption.value))
    assert not app.at.error


def test_a_set_that_cannot_be_scored_cannot_be_swept(app: App) -> None:
    """Where health finds a problem, or reading refuses the set, no sweep is offered."""
    broken = vectors()
    broken[3, 2] = np.inf
    upload(app, "broken.npy", npy(broken))
    offered = [button for button in app.at.button if button.label == "Sweep this set" and not button.disabled]
    assert not offered
    assert app.at.error or "number" in app.said()
