"""The bundled API reference set, and its rotation as a control without nesting."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import engine
from engine.embeddings.embedding_set import EmbeddingSet, Judgements, Vectors
from engine.embeddings.samples.docstrings import RestTexts, SummaryTexts
from engine.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DISTRIBUTIONS = {"sklearn": "scikit-learn"}
_RESTORE = "Restore the datasets folder from the repository, and install from it with: pip install -e ."


def load_api_reference(folder: Path | None = None) -> EmbeddingSet:
    """Load the bundled docstring vectors as float32 (n, 256), with 1,000 queries and their judgements.

    Texts are read from the packages on this machine when they are asked for; segments name the package.

    Raises
    ------
    FormatError
        When a file is missing, or its sha256 is not the manifest's.
    """
    bundled = Path(engine.__file__).parents[1] / "datasets" / "api-reference"
    files = _verified_files(bundled if folder is None else folder)
    corpus_ids = files["corpus_ids.txt"].decode("utf-8").splitlines()
    query_ids = files["query_ids.txt"].decode("utf-8").splitlines()
    return EmbeddingSet(
        name="API reference",
        corpus=_vectors(files["corpus.npy"]),
        queries=_vectors(files["queries.npy"]),
        corpus_ids=corpus_ids,
        query_ids=query_ids,
        corpus_texts=RestTexts(corpus_ids),
        query_texts=SummaryTexts(query_ids),
        corpus_segments=_packages(corpus_ids),
        query_segments=_packages(query_ids),
        judgements=_judgements(files["qrels.tsv"].decode("utf-8"), corpus_ids, query_ids),
    )


def rotated(embedding_set: EmbeddingSet, *, seed: int = 0) -> EmbeddingSet:
    """Return the set with corpus and queries turned by one random orthogonal matrix (Haar, seeded), as float32.

    Inner products, norms and distances at the full dimension stay; what the order of the dims meant is gone.
    """
    normal = np.random.default_rng(seed).standard_normal((embedding_set.dim, embedding_set.dim))
    orthogonal, triangular = np.linalg.qr(normal)
    orthogonal *= np.sign(np.diag(triangular))  # without it the rotations are not uniform (Mezzadri 2007)
    queries = embedding_set.queries
    return replace(
        embedding_set,
        corpus=_turned(embedding_set.corpus, orthogonal),
        queries=None if queries is None else _turned(queries, orthogonal),
    )


def _turned(vectors: Vectors, orthogonal: Vectors) -> Vectors:
    turned: Vectors = (vectors.astype(np.float64) @ orthogonal).astype(np.float32)
    turned.setflags(write=False)
    return turned


def _verified_files(folder: Path) -> Mapping[str, bytes]:
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_bytes())
        files = {name: (folder / name).read_bytes() for name in manifest["sha256"]}
    except (OSError, ValueError, KeyError) as error:
        raise FormatError("the bundled API reference set must be complete", found=error, hint=_RESTORE) from error
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != manifest["sha256"][name]:
            raise FormatError.in_file(name, "a bundled file must have the sha256 of its manifest", hint=_RESTORE)
    return files


def _vectors(content: bytes) -> Vectors:
    vectors: Vectors = np.load(io.BytesIO(content), allow_pickle=False).astype(np.float32)
    vectors.setflags(write=False)
    return vectors


def _packages(names: Sequence[str]) -> list[str]:
    packages = [name.partition(".")[0] for name in names]
    return [_DISTRIBUTIONS.get(package, package) for package in packages]


def _judgements(table: str, corpus_ids: Sequence[str], query_ids: Sequence[str]) -> Judgements:
    query_row = {name: row for row, name in enumerate(query_ids)}
    doc_row = {name: row for row, name in enumerate(corpus_ids)}
    lines = [line.split("\t") for line in table.splitlines()[1:]]
    return Judgements(
        query_rows=np.array([query_row[query] for query, _, _ in lines], dtype=np.int64),
        doc_rows=np.array([doc_row[document] for _, document, _ in lines], dtype=np.int64),
        grades=np.array([grade for _, _, grade in lines], dtype=np.float32),
    )
