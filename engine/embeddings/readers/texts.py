"""Read plain text, a line each; the bundled encoder makes vectors of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.embeddings.readers.loaded import Loaded, Rows
from engine.errors import FormatError

if TYPE_CHECKING:
    from engine.embeddings.readers.options import ReadOptions
    from engine.embeddings.readers.source import Source


def read_texts(source: Source, options: ReadOptions) -> Loaded:
    """Read every line that is not blank as a text."""
    options.check_expansion(source.name, source.size)
    texts = [line.strip() for line in source.lines() if line.strip()]
    if not texts:
        raise FormatError.in_file(source.name, "the file must hold at least one line of text", found="none")
    return Loaded(corpus=Rows(name=source.name, texts=texts))
