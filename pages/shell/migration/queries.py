"""What both stores are asked with: a set's queries, typed text, rows of the source, or uploaded vectors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from engine.embeddings import encode, load_upload
from engine.embeddings.encoder_check import made_by_bundled_encoder
from engine.errors import VectorError
from pages.shell.migration import sweeps as migration_sweeps
from pages.shell.services import services
from pages.shell.text import plain

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.embeddings import EmbeddingSet
    from pages.shell.migration.dual_pair import DualPair
    from pages.shell.migration.view import View

_ITS, _TYPED, _ROWS, _UPLOADED = "Its queries", "Typed text", "Rows of the source", "Uploaded vectors"
_MOST_LISTED = 500
_LONGEST_QUERY = 2000
_EXAMPLE = "sort an array in place"


@dataclass(frozen=True, eq=False, kw_only=True)
class Queries:
    """Vectors (q, D) to ask with and a name for each; `chosen` is the row that the reader picked."""

    names: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    chosen: int


def choose(view: View, pair: DualPair) -> Queries | None:
    """Let the reader choose what to ask with; None until there is something. Raises EngineError."""
    found = _set(view, pair)
    options = [_ITS] if found is not None else []
    if found is not None and _takes_text(found.sha256, found):
        options.append(_TYPED)
    kind = st.segmented_control(
        "Ask with", [*options, _ROWS, _UPLOADED], default=(*options, _ROWS)[0], required=True, key="dual_source"
    )
    if kind == _TYPED:
        return _typed()
    if kind == _UPLOADED:
        return _uploaded(pair)
    if kind == _ROWS or found is None:
        names, vectors = _sampled(_key(view), pair)
        return _picked(names, vectors, label="Row of the source", key="dual_row")
    names = _names(found)
    return _picked(names, np.asarray(found.queries, dtype=np.float32), label="Query", key="dual_query")


def _set(view: View, pair: DualPair) -> EmbeddingSet | None:
    sweep = None if view.fields is None else view.fields.sweep
    found = migration_sweeps.embedding_set(sweep, is_demonstration=view.is_demonstration)
    return found if found is not None and found.dim == pair.source_dim and found.n_queries else None


def _names(found: EmbeddingSet) -> tuple[str, ...]:
    texts, ids = found.query_texts, found.query_ids
    rows = range(found.n_queries)
    if texts is not None:
        return tuple(texts[row] for row in rows)
    return tuple(str(row) if ids is None else ids[row] for row in rows)


def _picked(names: tuple[str, ...], vectors: npt.NDArray[np.float32], *, label: str, key: str) -> Queries:
    rows = range(min(len(names), _MOST_LISTED))
    row = st.selectbox(label, rows, format_func=lambda place: names[place], key=key)
    return Queries(names=names, vectors=vectors, chosen=int(row or 0))


def _typed() -> Queries | None:
    text = st.text_input("Query", _EXAMPLE, type="search", max_chars=_LONGEST_QUERY, key="dual_text")
    if not text.strip():
        st.caption("Type something to search for.")
        return None
    vectors = encode([text])
    if not vectors.any():
        st.info("The encoder knows no word of this query, so there is nothing to search with.", icon=":material/block:")
        return None
    return Queries(names=(text,), vectors=vectors, chosen=0)


def _uploaded(pair: DualPair) -> Queries | None:
    file = st.file_uploader(
        f"Query vectors of {pair.source_dim:,} dims: npy, Parquet, fvecs, …",
        key="dual_upload",
        help="Nothing of it is stored.",
    )
    if file is None:
        return None
    vectors = load_upload({"corpus": (file.name, file)}, n_held_out=0).corpus
    if vectors.shape[1] != pair.source_dim:
        raise VectorError(f"the queries must have the source's {pair.source_dim:,} dims", found=f"{vectors.shape[1]:,}")
    found = np.ascontiguousarray(vectors[:_MOST_LISTED], dtype=np.float32)
    if len(vectors) > _MOST_LISTED:
        st.caption(f"The first {_MOST_LISTED:,} of {len(vectors):,}, from {plain(file.name, longest=80)}.")
    return _picked(tuple(f"row {row:,}" for row in range(len(found))), found, label="Query", key="dual_upload_row")


def _key(view: View) -> str:
    return json.dumps([services().workspace.id, view.pair.source, view.job and view.job.run_id])


@st.cache_resource(max_entries=8, show_spinner="Reading rows of the source")
def _sampled(key: str, _pair: DualPair) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:  # noqa: ARG001
    return _pair.sampled()


@st.cache_data(max_entries=64, show_spinner="Loading the text encoder")
def _takes_text(sha256: str, _found: EmbeddingSet) -> bool:  # noqa: ARG001
    return made_by_bundled_encoder(_found)
