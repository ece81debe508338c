"""Read JSON lines: objects with a vector, objects with only texts (as BEIR has them), or bare arrays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.embeddings.readers.loaded import Loaded, Rows
from engine.embeddings.readers.naming import (
    ID_NAMES,
    SEGMENT_NAMES,
    TEXT_NAMES,
    TITLE_NAMES,
    choose_named,
    choose_vectors,
    looks_like_vectors,
)
from engine.embeddings.readers.row_buffer import RowBuffer
from engine.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.embeddings.readers.options import ReadOptions
    from engine.embeddings.readers.source import Source


def read_json_lines(source: Source, options: ReadOptions) -> Loaded:
    """Read a vector or a text a line; the first line decides which keys are meant."""
    first = next(parse_lines(source), None)
    if first is None:
        raise FormatError.in_file(source.name, "the file must hold at least one line", found="none")
    if isinstance(first[1], list):
        return Loaded(corpus=_read_arrays(source, options))
    if isinstance(first[1], dict):
        return Loaded(corpus=_read_objects(source, first[1], options))
    raise FormatError.in_file(
        source.name,
        "a line must be a JSON object with a vector or a text, or an array of numbers",
        found=f"{type(first[1]).__name__} in line {first[0]}",
    )


def parse_lines(source: Source) -> Iterator[tuple[int, Any]]:
    """Yield `(line number from 1, value)` of every line that is not blank; raises `FormatError` for other text."""
    for number, line in enumerate(source.lines(), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:  # deep nesting overflows the stack of the parser
            reason = error.msg if isinstance(error, json.JSONDecodeError) else "a value too deep or too long"
            raise FormatError.in_file(
                source.name,
                "every line must be one complete JSON value",
                found=f"{reason} in line {number}",
                hint="Write one object or array a line (JSON Lines); a truncated file ends within one",
            ) from None


def identifier(name: str, value: Any, number: int) -> str:
    """Return an id, a string or a whole number, as a string."""
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    raise FormatError.in_file(
        name, "an id must be a string or a whole number", found=f"{type(value).__name__} in line {number}"
    )


def _read_arrays(source: Source, options: ReadOptions) -> Rows:
    buffer = RowBuffer(source.name, options)
    for number, value in parse_lines(source):
        if not isinstance(value, list):
            raise _unlike_the_first(source.name, value, number)
        buffer.add_numbers(value, f"line {number}")
    return Rows(name=source.name, vectors=buffer.finish())


def _read_objects(source: Source, first: Mapping[str, Any], options: ReadOptions) -> Rows:
    name, columns, keys = source.name, options.columns, list(first)
    vector = _choose_vector_key(name, first, columns.vector)
    scalars = [key for key in keys if not isinstance(first[key], list | dict)]
    id_key = choose_named(name, keys if columns.id else scalars, ID_NAMES, chosen=columns.id)
    text_keys = _choose_text_keys(name, keys if columns.text else scalars, options)
    segment = choose_named(name, keys if columns.segment else scalars, SEGMENT_NAMES, chosen=columns.segment)
    if vector is None and not text_keys:
        raise FormatError.in_file(name, "an object must have a vector or a text", found=f"the keys {', '.join(keys)}")
    buffer = RowBuffer(name, options)
    ids: list[str] = []
    texts: list[str] = []
    segments: list[str] = []
    for number, value in parse_lines(source):
        if not isinstance(value, dict):
            raise _unlike_the_first(name, value, number)
        if vector is not None:
            buffer.add_numbers(_vector_of(name, value, vector, number), f"line {number}")
        if id_key is not None:
            ids.append(identifier(name, _required(name, value, id_key, number), number))
        texts.append(" ".join(part for part in (_text(value.get(key)) for key in text_keys) if part))
        segments.append(_text(value.get(segment)) if segment is not None else "")
    return Rows(
        name=name,
        vectors=None if vector is None else buffer.finish(),
        ids=ids if id_key is not None else None,
        texts=texts if text_keys else None,
        segments=segments if segment is not None else None,
    )


def _choose_vector_key(name: str, first: Mapping[str, Any], chosen: str | None) -> str | None:
    lists = [key for key, value in first.items() if isinstance(value, list)]
    numeric = [key for key in lists if first[key] and type(first[key][0]) in (int, float)]
    # A key that says vector but holds text, nested lists or null is a broken vector; such a file is no set of texts.
    broken = [key for key, value in first.items() if isinstance(value, list | None) and looks_like_vectors(key)]
    return choose_vectors(name, lists if chosen else numeric or broken, chosen=chosen, available=first)


def _choose_text_keys(name: str, keys: Sequence[str], options: ReadOptions) -> list[str]:
    if options.columns.text is not None:
        return [choose_named(name, keys, (), chosen=options.columns.text) or options.columns.text]
    text = choose_named(name, keys, TEXT_NAMES, chosen=None)
    title = choose_named(name, keys, TITLE_NAMES, chosen=None)
    return [key for key in dict.fromkeys((title, text)) if key is not None]


def _vector_of(name: str, value: Mapping[str, Any], key: str, number: int) -> list[Any]:
    vector = _required(name, value, key, number)
    if not isinstance(vector, list):
        raise FormatError.in_file(
            name, f"{key!r} must be a list of numbers", found=f"{type(vector).__name__} in line {number}"
        )
    return vector


def _required(name: str, value: Mapping[str, Any], key: str, number: int) -> Any:
    if key not in value:
        raise FormatError.in_file(name, f"every object must have the key {key!r}", found=f"none in line {number}")
    return value[key]


def _unlike_the_first(name: str, value: Any, number: int) -> FormatError:
    return FormatError.in_file(
        name, "every line must be of the same kind as the first", found=f"{type(value).__name__} in line {number}"
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
