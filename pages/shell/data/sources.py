"""Where a data set can come from: bundled, uploaded, a path on the server, synthetic, or stored in the workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.embeddings import METRICS, RECIPES, formats
from engine.embeddings.samples import sample_sets
from engine.sizes import written_size
from pages.shell import state
from pages.shell.company.allowed import shown
from pages.shell.data import loading
from pages.shell.services import data_root, services
from pages.shell.sweep.form import RECIPE_NAMES
from pages.shell.text import local_time, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.embeddings import Metric, Recipe
    from pages.shell.data.loading import Loading

_FROM_FILE = "as the file says, else cosine"


def choose() -> Loading | None:
    """Offer every source; return what was asked for in this run of the page."""
    kind = st.segmented_control(
        "Source",
        list(_PANELS),
        default=next(iter(_PANELS)),
        required=True,
        key="source",
        label_visibility="collapsed",
        on_change=state.set_notice,
        args=("load", None),
    )
    return _PANELS[kind]()


def _bundled() -> Loading | None:
    asked = None
    samples = sample_sets()
    for start in range(0, len(samples), 2):
        for column, info in zip(st.columns(2, gap="medium"), samples[start : start + 2], strict=False):
            with column.container(border=True, height="stretch"):
                with st.container(horizontal=True, vertical_alignment="center"):
                    st.markdown(f"**{plain(info.title)}**", width="content")
                    for label in info.labels:
                        st.badge(plain(label), color="gray")
                st.markdown(plain(info.description))
                st.space("stretch")
                if st.button("Open", key=f"open_{info.key}", **shown("job", "start")):
                    asked = loading.bundled(info.key, info.title)
    return asked


def _upload() -> Loading | None:
    corpus = st.file_uploader(
        "Corpus vectors, or one file that holds everything",
        key="upload_corpus",
        help="The content tells the format, not the file's name. Nothing is stored until you keep it.",
    )
    left, right = st.columns(2, gap="medium")
    queries = left.file_uploader(
        "Queries (optional)",
        key="upload_queries",
        help="Without queries, documents of the corpus are held out as such.",
    )
    qrels = right.file_uploader(
        "Relevance judgements (optional)", key="upload_qrels", help="BEIR TSV with a header, or TREC qrels."
    )
    _formats()
    metric, recipe = _comparison("upload")
    if (
        not st.button("Load", type="primary", key="load_upload", **shown("job", "start", disabled=corpus is None))
        or corpus is None
    ):
        return None
    given = {"corpus": corpus, "queries": queries, "qrels": qrels}
    files = {role: (file.name, file) for role, file in given.items() if file is not None}
    return loading.uploaded(files, metric=metric, recipe=recipe)


def _path() -> Loading | None:
    root = data_root()
    if root is None:
        st.info(
            "Large sets are read from the server's disk, memory-mapped. To allow it, start Dimshift with "
            "`DIMSHIFT_DATA_ROOT` set to the folder that may be read.",
            icon=":material/folder_off:",
        )
        return None
    st.caption(f"Paths start at {plain(root)}")
    corpus = st.text_input("Corpus, or a file or folder that holds everything", key="path_corpus", max_chars=1000)
    left, right = st.columns(2, gap="medium")
    queries = left.text_input("Queries (optional)", key="path_queries", max_chars=1000)
    qrels = right.text_input("Relevance judgements (optional)", key="path_qrels", max_chars=1000)
    _formats()
    metric, recipe = _comparison("path")
    if not st.button("Load", type="primary", key="load_path", **shown("job", "start", disabled=not corpus)):
        return None
    return loading.below_root(root, corpus, queries=queries, qrels=qrels, metric=metric, recipe=recipe)


def _synthetic() -> Loading | None:
    st.caption("Vectors drawn from clusters, to try sizes that no bundled set has. They say nothing about your model.")
    columns = st.columns(3, gap="medium")
    n = columns[0].number_input("Documents", 100, 1_000_000, 10_000, 1000, key="synthetic_n")
    d = columns[1].number_input("Dimensions", 2, 3072, 768, key="synthetic_d")
    n_queries = columns[2].number_input("Queries", 30, 10_000, 500, 100, key="synthetic_queries")
    spectrum = columns[0].number_input(
        "Spectrum",
        0.0,
        4.0,
        1.0,
        0.1,
        help="The variance of dimension j falls as j to the minus this: 0 is flat, 1 is like a Matryoshka model.",
    )
    clusters = columns[1].number_input("Clusters", 1, 10_000, 50)
    seed = columns[2].number_input("Seed", 0, 2**31, 0, key="synthetic_seed")
    if not st.button("Generate", type="primary", key="generate", **shown("job", "start")):
        return None
    return loading.generated(n, d, n_queries=n_queries, spectrum=spectrum, clusters=clusters, seed=seed)


def _stored() -> Loading | None:
    workspace = services().workspace
    kept = {found.sha256: found for found in workspace.datasets()}
    if not kept:
        st.info("No data set is kept in this workspace yet.", icon=":material/inventory_2:")
        return None
    zone = st.context.timezone
    sha256 = st.selectbox(
        "Data set",
        list(kept),
        format_func=lambda key: (
            f"{kept[key].name} · {kept[key].n_docs:,} × {kept[key].dim:,} · "
            f"{written_size(kept[key].n_bytes)} · {local_time(kept[key].created_at, zone)}"
        ),
        label_visibility="collapsed",
    )
    return (
        loading.stored(workspace, sha256, kept[sha256].name)
        if st.button("Open", key="open_stored", **shown("job", "start"))
        else None
    )


def _comparison(where: str) -> tuple[Metric | None, Recipe]:
    left, right = st.columns(2, gap="medium")
    from_file: Metric | None = None
    metric = left.selectbox(
        "Metric", [from_file, *METRICS], format_func=lambda name: name or _FROM_FILE, key=f"{where}_metric"
    )
    recipe = right.selectbox(
        "Recipe",
        RECIPES,
        format_func=lambda name: RECIPE_NAMES[name],
        key=f"{where}_recipe",
        help="How the model wants its vectors truncated; its card says so.",
    )
    return metric, recipe


def _formats() -> None:
    with st.expander("Formats", icon=":material/description:"):
        lines = (
            f"- **{plain(info.name)}** {plain(', '.join(info.extensions))}  \n  {plain(info.description)}"
            for info in formats()
        )
        st.markdown("\n".join(lines))


_PANELS: dict[str, Callable[[], Loading | None]] = {
    "Bundled": _bundled,
    "Upload": _upload,
    "Path": _path,
    "Synthetic": _synthetic,
    "Stored": _stored,
}


def answer() -> Loading | None:
    """Ask which column is meant when a file leaves that open; return the request with the answer."""
    asked, question = state.loading(), state.question()
    if asked is None or question is None:
        return None
    with st.container(border=True):
        st.markdown(plain(question.sentence))
        column = st.selectbox(f"Column of the {plain(question.wanted)}", question.candidates, key="column")
        if not st.button("Use this column", type="primary", key="use_column", **shown("job", "start")):
            return None
    return asked.with_column(question, column)
