"""Complete a single file from its namesake: vectors that have texts beside them, or texts that have vectors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.embeddings.readers.folders import combine
from engine.embeddings.readers.registry import damage_reported, read_file
from engine.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from engine.embeddings.readers.folder import DirectoryFolder
    from engine.embeddings.readers.loaded import Loaded
    from engine.embeddings.readers.options import ReadOptions

_WITHOUT_IDS = (".npy", ".fbin", ".u8bin", ".i8bin", ".fvecs", ".bvecs", ".safetensors")


def complete(loaded: Loaded, path: Path, folder: DirectoryFolder, options: ReadOptions) -> Loaded:
    """Return `loaded` with what ``corpus.jsonl`` beside ``corpus.npy`` adds, in either direction, and say so.

    Judgements name documents by the ids of the JSON lines; matched to row numbers they would be wrong without a trace.
    A namesake that does not fit is left alone, and that is said as well.
    """
    side = loaded.corpus
    if side.vectors is not None and side.ids is None and path.suffix.lower() in _WITHOUT_IDS:
        namesakes, what = [f"{path.stem}.jsonl"], "Ids and texts"
    elif side.vectors is None and path.suffix.lower() == ".jsonl":
        namesakes, what = [f"{path.stem}{suffix}" for suffix in _WITHOUT_IDS], "Vectors"
    else:
        return loaded
    beside = next((name for name in namesakes if (path.parent / name).is_file()), None)
    if beside is None:
        return loaded
    try:
        with damage_reported(beside):
            other = read_file(folder.source(beside), options).corpus
            if (other.vectors is None) == (side.vectors is None):
                return loaded
            vectors, texts = (side, other) if other.vectors is None else (other, side)
            both = combine(vectors, texts)
    except InputError as error:
        return replace(loaded, warnings=(*loaded.warnings, f"{beside} beside {path.name} was not used: {error}"))
    said = f"{what} were taken from {beside} beside {path.name}"
    return replace(loaded, corpus=both, warnings=(*loaded.warnings, said))
