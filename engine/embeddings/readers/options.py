"""What a caller chooses about reading, and how much a file may expand."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from engine.errors import FormatError

MAX_EXPANDED_BYTES = 4 << 30
"""What one file may take in memory once it is read; formats that are memory-mapped as they are have no limit."""

MAX_EXPANSION_RATIO = 200
"""How many times its size on disk a compressed file may take in memory; vectors rarely compress tenfold."""

FREE_EXPANSION_BYTES = 64 << 20
"""Below this size in memory the ratio is not asked."""

MAX_LINE_BYTES = 64 << 20
"""The longest line of a text format."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Choices where a file has several columns, keys, arrays or tensors that could be meant; None lets names decide.

    `vector`, `id`, `text` and `segment` name columns or keys of tables and JSON lines. `corpus` and `queries` name the
    arrays of files that hold several (npz, HDF5, safetensors); there `vector` means the same as `corpus`. Where the
    queries are a file of their own, `queries` names their vectors in it, and the other choices hold for it as far as
    it has such columns.
    """

    vector: str | None = None
    id: str | None = None
    text: str | None = None
    segment: str | None = None
    corpus: str | None = None
    queries: str | None = None

    def of_queries_file(self) -> Columns:
        """Return the choices as they stand for a file that holds only queries."""
        return replace(self, vector=self.queries or self.vector, corpus=None, queries=None)

    def without(self, name: str) -> Columns:
        """Return the choices other than `name`."""
        return replace(self, **{one.name: None for one in fields(self) if getattr(self, one.name) == name})


NO_CHOICE = Columns()


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What every reader is told: the user's `columns` and the limit on memory."""

    columns: Columns = NO_CHOICE
    max_expanded_bytes: int = MAX_EXPANDED_BYTES

    def check_expansion(self, name: str, expanded: int, *, packed: int | None = None) -> None:
        """Raise `FormatError` when `expanded` bytes exceed the limit or, with `packed` bytes given, the ratio."""
        if expanded > self.max_expanded_bytes:
            raise FormatError.in_file(
                name,
                f"a file may expand to at most {_gib(self.max_expanded_bytes)} in memory",
                found=_gib(expanded),
                hint="Save the vectors as .npy or .fbin, which are mapped and never loaded as a whole",
            )
        if packed is not None and expanded > max(FREE_EXPANSION_BYTES, MAX_EXPANSION_RATIO * packed):
            raise FormatError.in_file(
                name,
                f"a compressed file may expand to at most {MAX_EXPANSION_RATIO} times its size",
                found=f"{packed:,} bytes that expand to {expanded:,}",
                hint="Save the vectors uncompressed if they really are that uniform",
            )


def _gib(n_bytes: int) -> str:
    return f"{n_bytes / (1 << 30):,.1f} GiB"
