"""Read folders, on disk or zipped: BEIR, VectorDBBench, or simply a corpus file and a queries file."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.embeddings.readers.loaded import Loaded, Qrels, Rows
from engine.embeddings.readers.trec import read_qrels
from engine.errors import FormatError, VectorError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.embeddings.readers.folder import Folder
    from engine.embeddings.readers.options import ReadOptions
    from engine.embeddings.readers.source import Source

    ReadFile = Callable[[Source, ReadOptions], Loaded]

# Before the texts of a BEIR folder are encoded, vectors beside them are looked for, under these extensions.
_VECTOR_FILES = "npy|npz|parquet|feather|arrow|safetensors|fbin|u8bin|i8bin|fvecs|bvecs|h5|hdf5"
_TEXT_FILES = "jsonl|csv|tsv|txt"
_QRELS = ("qrels/test.tsv", "qrels.tsv", "qrels.txt", "qrels/dev.tsv", "qrels/train.tsv")
_SHARD = re.compile(r"train-([0-9]{1,6})-of-([0-9]{1,6})\.parquet")


def is_set(folder: Folder) -> bool:
    """Tell whether a folder holds a set that can be read."""
    return bool(_train_files(folder) or _side_files(folder, "corpus"))


def read_folder(folder: Folder, options: ReadOptions, read_file: ReadFile) -> Loaded:
    """Read the set in `folder`; `read_file` reads each of its files."""
    if _train_files(folder):
        return _read_vectordbbench(folder, options, read_file)
    if _side_files(folder, "corpus"):
        return _read_sides(folder, options, read_file)
    raise FormatError.in_file(
        folder.name,
        "a folder must hold corpus.jsonl (BEIR), train.parquet (VectorDBBench), or corpus.npy and queries.npy",
        found=", ".join(folder.files()[:8]) or "no files",
        hint="Name the file of the vectors instead",
    )


def combine(vectors: Rows, texts: Rows) -> Rows:
    """Return `vectors` with the ids, texts and segments of `texts`, which must be row-aligned with them."""
    if vectors.n != texts.n:
        raise VectorError(
            f"{vectors.name} and {texts.name} must have as many rows, for a row of one belongs to a row of the other",
            found=f"{vectors.n} and {texts.n}",
        )
    if vectors.ids is not None and texts.ids is not None and list(vectors.ids) != list(texts.ids):
        raise VectorError(f"{vectors.name} and {texts.name} must name the same ids in the same order", found="others")
    return Rows(
        name=vectors.name,
        vectors=vectors.vectors,
        ids=texts.ids if vectors.ids is None else vectors.ids,
        texts=texts.texts if vectors.texts is None else vectors.texts,
        segments=texts.segments if vectors.segments is None else vectors.segments,
    )


def _read_sides(folder: Folder, options: ReadOptions, read_file: ReadFile) -> Loaded:
    corpus = _read_side(folder, "corpus", options, read_file)
    queries = _read_side(folder, "queries", options, read_file) if _side_files(folder, "queries") else None
    if queries is not None and (corpus.corpus.vectors is None) != (queries.corpus.vectors is None):
        raise FormatError.in_file(
            folder.name,
            "vectors must stand beside both the corpus and the queries, or beside neither",
            found=f"{corpus.corpus.name} and {queries.corpus.name}",
            hint="Add the other file of vectors, made by the same model",
        )
    return Loaded(
        corpus=corpus.corpus,
        queries=corpus.queries if queries is None else queries.corpus,
        qrels=_find_qrels(folder),
        metric=corpus.metric,
        warnings=(*corpus.warnings, *(() if queries is None else queries.warnings)),
    )


def _read_side(folder: Folder, side: str, options: ReadOptions, read_file: ReadFile) -> Loaded:
    vectors = _only(folder, folder.matching(rf"{side}\.({_VECTOR_FILES})"), f"vectors of the {side}")
    texts = _only(folder, folder.matching(rf"{side}\.({_TEXT_FILES})"), f"texts of the {side}")
    if vectors is None or texts is None:
        return read_file(folder.source(vectors or texts or side), options)
    loaded = read_file(folder.source(vectors), options)
    beside = read_file(folder.source(texts), options)
    return replace(loaded, corpus=combine(loaded.corpus, beside.corpus), warnings=(*loaded.warnings, *beside.warnings))


def _find_qrels(folder: Folder) -> Qrels | None:
    present = folder.files()
    others = [name for name in present if re.fullmatch(r"qrels/.*\.(tsv|txt)", name)]
    chosen = next((name for name in (*_QRELS, *others) if name in present), None)
    if chosen is None:
        return None
    qrels = read_qrels(folder.source(chosen))
    if chosen == _QRELS[0] or len(others) < 2:
        return qrels
    choice = f"Of {len(others)} files of judgements, {printable(chosen)} was read"
    return replace(qrels, warnings=(*qrels.warnings, choice))


def _read_vectordbbench(folder: Folder, options: ReadOptions, read_file: ReadFile) -> Loaded:
    shards = [read_file(folder.source(name), options) for name in _train_files(folder)]
    test = next(iter(folder.matching(r"test\.parquet")), None)
    queries = None if test is None else read_file(folder.source(test), options)
    return Loaded(
        corpus=_concatenated(folder.name, [shard.corpus for shard in shards], options),
        queries=None if queries is None else queries.corpus,
    )


def _train_files(folder: Folder) -> Sequence[str]:
    whole = folder.matching(r"(shuffle_)?train\.parquet")
    if whole:
        return whole[-1:]  # train comes after shuffle_train: the same rows in another order
    named = ((_SHARD.fullmatch(name), name) for name in folder.files())
    shards = sorted((int(match[1]), int(match[2]), name) for match, name in named if match)
    if not shards:
        return ()
    totals = {total for _, total, _ in shards}
    numbers = [number for number, _, _ in shards]
    total = max(totals)
    if len(totals) > 1 or numbers not in (list(range(total)), list(range(1, total + 1))):
        raise FormatError.in_file(
            folder.name,
            f"all {total} shards of the corpus must be there",
            found=f"{len(shards)}: {', '.join(name for _, _, name in shards)}",
            hint="Download the missing ones, and keep shards of one split in a folder",
        )
    return [name for _, _, name in shards]


def _concatenated(name: str, parts: Sequence[Rows], options: ReadOptions) -> Rows:
    if len(parts) == 1:
        return parts[0]
    arrays = [part.vectors for part in parts if part.vectors is not None]
    if len(arrays) != len(parts) or len({array.shape[1] for array in arrays}) != 1:
        raise VectorError(
            f"{name}: all shards must hold vectors of one number of dimensions",
            found=", ".join(str(array.shape[1]) for array in arrays),
        )
    options.check_expansion(name, 2 * sum(array.nbytes for array in arrays))  # for a moment, shards and whole
    ids = None if any(part.ids is None for part in parts) else [one for part in parts for one in part.ids or ()]
    return Rows(name=name, vectors=np.concatenate(arrays), ids=ids)


def _side_files(folder: Folder, side: str) -> Sequence[str]:
    return folder.matching(rf"{side}\.({_VECTOR_FILES}|{_TEXT_FILES})")


def _only(folder: Folder, files: Sequence[str], wanted: str) -> str | None:
    if len(files) > 1:
        raise FormatError.in_file(
            folder.name,
            f"one file must hold the {wanted}",
            found=", ".join(files),
            hint="Name the file itself instead of the folder",
        )
    return files[0] if files else None
