"""Which column of an Arrow table is the id, the vector, the payload and the moment of change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from engine.embeddings.readers.naming import ID_NAMES, choose_named, choose_vectors
from engine.errors import StoreError
from engine.migration.stores.arrow_rows import MOMENT_NAMES, declared_dim, is_vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.migration.ids import IdKind
    from engine.migration.stores.protocol import Dtype
    from engine.migration.stores.urls import StoreUrl


@dataclass(frozen=True, kw_only=True)
class ArrowLayout:
    """The roles of columns. `id` is None where rows are told by their number; `is_json`: the payload is JSON text."""

    id: str | None
    id_kind: IdKind
    vector: str
    dim: int | None
    dtype: Dtype
    payload: tuple[str, ...]
    is_json: bool
    updated_at: str | None
    left_out: tuple[str, ...]

    def columns(self, *, with_payload: bool) -> list[str]:
        """Return the columns to read."""
        wanted = [self.id, self.vector, self.updated_at, *(self.payload if with_payload else ())]
        return [column for column in wanted if column is not None]


def layout_of(schema: Any, url: StoreUrl, *, needs_id: bool) -> ArrowLayout:
    """Assign the columns of `schema`; what the URL names goes first.

    Raises
    ------
    StoreError
        When no column holds vectors, or none the ids.
    AmbiguousColumnsError, ParameterError
        When several columns could hold the vectors, or a column named in the URL is not there.
    """
    name = url.table
    kinds = {field.name: field.type for field in schema}
    vectors = [column for column, kind in kinds.items() if is_vector(kind)]
    vector = choose_vectors(name, vectors, chosen=url.option("vector"), available=kinds)
    if vector is None:
        raise StoreError(
            f"{name}: one column must hold vectors, lists of floats",
            found=", ".join(f"{column} {kind}" for column, kind in kinds.items()),
        )
    keys = [column for column, kind in kinds.items() if _id_kind(kind) is not None]
    key = choose_named(name, keys, ID_NAMES, chosen=url.option("id"))
    if key is None and needs_id:
        raise StoreError(
            f"{name}: one column must hold the ids, integers or texts",
            found=", ".join(keys) or "no such column",
            hint="Name it in the URL as ?id=column",
        )
    moments = [column for column, kind in kinds.items() if pa.types.is_timestamp(kind)]
    moment = choose_named(name, moments, MOMENT_NAMES, chosen=url.option("updated_at"))
    rest = [column for column in kinds if column not in {vector, key, moment}]
    payload, is_json = _payload(name, kinds, rest, url.option("payload"))
    return ArrowLayout(
        id=key,
        id_kind="int" if key is None else _id_kind(kinds[key]) or "text",
        vector=vector,
        dim=declared_dim(kinds[vector]),
        dtype="float16" if pa.types.is_float16(kinds[vector].value_type) else "float32",
        payload=payload,
        is_json=is_json,
        updated_at=moment,
        left_out=tuple(column for column in rest if column not in payload),
    )


def _payload(name: str, kinds: dict[str, Any], rest: Sequence[str], chosen: str | None) -> tuple[tuple[str, ...], bool]:
    if chosen is not None:
        return (choose_named(name, list(kinds), (), chosen=chosen) or chosen,), True
    moved = tuple(column for column in rest if not is_vector(kinds[column]))
    return moved, moved == ("payload",) and _is_text(kinds["payload"])


def _id_kind(kind: Any) -> IdKind | None:
    if pa.types.is_integer(kind):
        return "uint" if pa.types.is_uint64(kind) else "int"
    return "text" if _is_text(kind) else None


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
