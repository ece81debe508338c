"""Load embedding sets from paths and from uploads."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from engine.embeddings.encoder import ENCODER_DIM, ENCODER_NAME, encode
from engine.embeddings.paths import existing, resolve_below
from engine.embeddings.readers.assemble import assemble
from engine.embeddings.readers.beside import complete
from engine.embeddings.readers.folder import DirectoryFolder
from engine.embeddings.readers.folders import read_folder
from engine.embeddings.readers.options import MAX_EXPANDED_BYTES, NO_CHOICE, Columns, ReadOptions
from engine.embeddings.readers.registry import damage_reported, read_file
from engine.embeddings.readers.source import Source, bare_name
from engine.embeddings.readers.trec import read_qrels
from engine.errors import AmbiguousColumnsError, FormatError, ParameterError
from engine.progress import Cancelled, Progress, ignore_progress, never_cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.embeddings.embedding_set import EmbeddingSet, Metric, Recipe
    from engine.embeddings.readers.loaded import Loaded, Qrels, Rows

ROLES = ("corpus", "queries", "qrels")


def load(
    path: str | Path,
    *,
    queries: str | Path | None = None,
    qrels: str | Path | None = None,
    columns: Columns = NO_CHOICE,
    metric: Metric | None = None,
    recipe: Recipe = "prefix",
    n_held_out: int = 1000,
    seed: int = 0,
    name: str | None = None,
    below: str | Path | None = None,
    max_expanded_bytes: int = MAX_EXPANDED_BYTES,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> EmbeddingSet:
    """Load the set at `path`, a file or a folder in any of `formats()`, told by content.

    Files of one side take their queries and judgements from `queries` and `qrels`, which also replace those of a
    one-file set. Without any queries, `n_held_out` corpus rows are held out by `seed` (0 leaves the set without). With
    `below`, paths are relative to that folder and nothing outside it is read. Files without vectors are encoded with
    the bundled encoder, and the set is labelled so. `metric` overrides the one that a file names; without either it is
    cosine. What is not memory-mapped may take `max_expanded_bytes`.

    Raises
    ------
    PathError
        When a path does not exist, is no file or folder, or leaves `below`.
    FormatError
        When a file is not what it claims to be; `AmbiguousColumnsError` when `columns` must choose.
    VectorError
        When vectors are ragged, not finite, of unequal dims, or ids repeat.
    ParameterError
        When a column chosen does not exist, or judgements come without queries.
    """
    root = None if below is None else Path(below)
    options = ReadOptions(columns=columns, max_expanded_bytes=max_expanded_bytes)
    corpus = _read_path(path, root, options if queries is None else _of_corpus_file(options))
    asked = None if queries is None else _read_queries(lambda told: _read_path(queries, root, told), options)
    judged = None if qrels is None else _read_qrels_path(qrels, root)
    finish = _Finish(metric, recipe, n_held_out, seed, progress, cancelled)
    return finish(corpus, asked, judged, name=name or _stem(str(Path(path).absolute())))


def load_upload(
    files: Mapping[str, tuple[str, bytes | BinaryIO]],
    *,
    columns: Columns = NO_CHOICE,
    metric: Metric | None = None,
    recipe: Recipe = "prefix",
    n_held_out: int = 1000,
    seed: int = 0,
    name: str | None = None,
    max_expanded_bytes: int = MAX_EXPANDED_BYTES,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> EmbeddingSet:
    """Load a set from uploaded `files`: role (corpus, queries or qrels) to file name and content.

    File names are printed and asked for their extension, never used as paths. Everything else is as in `load`.
    """
    unknown = set(files) - set(ROLES)
    if unknown or "corpus" not in files:
        raise ParameterError(
            "uploads must be a corpus, and perhaps queries and qrels", found=", ".join(sorted(files)) or "nothing"
        )
    options = ReadOptions(columns=columns, max_expanded_bytes=max_expanded_bytes)
    sources = {role: Source.of_bytes(raw_name, _content(data)) for role, (raw_name, data) in files.items()}
    asked_for = sources.get("queries")
    corpus = read_file(sources["corpus"], options if asked_for is None else _of_corpus_file(options))
    asked = None if asked_for is None else _read_queries(lambda told: read_file(asked_for, told), options)
    judged = _read_qrels(sources["qrels"]) if "qrels" in sources else None
    finish = _Finish(metric, recipe, n_held_out, seed, progress, cancelled)
    return finish(corpus, asked, judged, name=name or _stem(files["corpus"][0]))


@dataclass(frozen=True)
class _Finish:
    """What turns loaded parts into a set: encode texts, check, hold out."""

    metric: Metric | None
    recipe: Recipe
    n_held_out: int
    seed: int
    progress: Progress
    cancelled: Cancelled

    def __call__(self, corpus: Loaded, queries: Loaded | None, qrels: Qrels | None, *, name: str) -> EmbeddingSet:
        loaded = corpus
        if queries is not None:
            # Judgements of a one-file set belong to its own queries.
            loaded = replace(
                loaded,
                queries=queries.queries or queries.corpus,
                qrels=None,
                warnings=(*loaded.warnings, *queries.warnings),
            )
        if qrels is not None:
            if loaded.queries is None:
                raise ParameterError(
                    "judgements need the queries that they judge", found=qrels.name, hint="Give the queries as well"
                )
            loaded = replace(loaded, qrels=qrels)
        loaded, labels = self._encoded(loaded)
        made = assemble(loaded, name=name, metric=self.metric, recipe=self.recipe, labels=labels)
        if made.queries is None and self.n_held_out:
            return made.with_held_out_queries(self.n_held_out, seed=self.seed)
        return made

    def _encoded(self, loaded: Loaded) -> tuple[Loaded, tuple[str, ...]]:
        corpus, queries = loaded.corpus, loaded.queries
        corpus_is_text = corpus.vectors is None
        if queries is not None and queries.vectors is None and not corpus_is_text:
            _check_encodable(corpus, queries)
        if queries is not None and queries.vectors is not None and corpus_is_text:
            _check_encodable(queries, corpus)
        if not corpus_is_text and (queries is None or queries.vectors is not None):
            return loaded, ()
        encoded = replace(
            loaded, corpus=self._with_vectors(corpus), queries=None if queries is None else self._with_vectors(queries)
        )
        return encoded, (f"encoded with {ENCODER_NAME}",)

    def _with_vectors(self, side: Rows) -> Rows:
        if side.vectors is not None:
            return side
        return replace(side, vectors=encode(list(side.texts or ()), progress=self.progress, cancelled=self.cancelled))


def _of_corpus_file(options: ReadOptions) -> ReadOptions:
    return replace(options, columns=replace(options.columns, queries=None))


def _read_queries(read: Callable[[ReadOptions], Loaded], options: ReadOptions) -> Loaded:
    """Read a file of queries; choices that were made for the corpus and that it does not have are dropped."""
    columns = options.columns.of_queries_file()
    while True:
        try:
            loaded = read(replace(options, columns=columns))
        except AmbiguousColumnsError as error:
            error.role = "queries"
            raise
        except ParameterError as error:
            wrong = error.found
            if wrong is None or wrong == options.columns.queries or columns.without(wrong) == columns:
                raise
            columns = columns.without(wrong)
        else:
            return loaded if options.columns.queries is None else replace(loaded, queries=None)


def _check_encodable(vectors: Rows, texts: Rows) -> None:
    dim = 0 if vectors.vectors is None else vectors.vectors.shape[1]
    if dim != ENCODER_DIM:
        raise FormatError.in_file(
            texts.name,
            f"texts can only be encoded to {ENCODER_DIM} dimensions, with the bundled encoder",
            found=f"{dim} dimensions in {vectors.name}",
            hint="Give a file of vectors made by the same model",
        )


def _read_path(path: str | Path, root: Path | None, options: ReadOptions) -> Loaded:
    found = existing(path) if root is None else resolve_below(root, path)
    with damage_reported(bare_name(found)):
        if found.is_dir():
            return read_folder(DirectoryFolder(found, below=root), options, read_file)
        loaded = read_file(Source.of_path(found, name=bare_name(path), below=root), options)
        return complete(loaded, found, DirectoryFolder(found.parent, below=root), options)


def _read_qrels_path(path: str | Path, root: Path | None) -> Qrels:
    found = existing(path) if root is None else resolve_below(root, path)
    if found.is_dir():
        tests = found / "test.tsv"
        found = existing(tests, named=f"{path}/test.tsv") if root is None else resolve_below(root, tests)
    return _read_qrels(Source.of_path(found, below=root))


def _read_qrels(source: Source) -> Qrels:
    with damage_reported(source.name):
        return read_qrels(source)


def _content(data: bytes | BinaryIO) -> bytes | memoryview:
    if isinstance(data, io.BytesIO):
        return data.getvalue()
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    data.seek(0)
    return data.read()


def _stem(raw_name: str) -> str:
    return PurePosixPath(bare_name(raw_name)).stem or "unnamed"
