"""Read the output of an OpenAI embeddings batch: a response a line, in any order, some of them failed."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.embeddings.readers.json_lines import identifier, parse_lines
from engine.embeddings.readers.loaded import Loaded, Rows
from engine.embeddings.readers.row_buffer import RowBuffer
from engine.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from engine.embeddings.readers.options import ReadOptions
    from engine.embeddings.readers.source import Source

_DIGITS = re.compile(r"([0-9]+)")
_OK = 200


def is_openai_batch(first: Any) -> bool:
    """Tell whether the first value of a JSON lines file is a line of batch output."""
    return isinstance(first, dict) and "custom_id" in first and ("response" in first or "error" in first)


def read_openai_batch(source: Source, options: ReadOptions) -> Loaded:
    """Read the embeddings in the order of their `custom_id`, its numbers compared as numbers.

    A request of several inputs gives ids ``custom_id:index``. Failed lines are left out and counted in a warning.
    """
    buffer = RowBuffer(source.name, options)
    keys: list[tuple[str, int]] = []
    failures: list[str] = []
    several: set[str] = set()
    for number, line in parse_lines(source):
        custom_id, data, failure = _response(source.name, line, number)
        if failure is not None:
            failures.append(f"{custom_id}: {failure}")
            continue
        for position, item in enumerate(data):
            keys.append((custom_id, _index(source.name, item, position, number)))
            _add(buffer, source.name, item, number)
        if len(data) > 1:
            several.add(custom_id)
    if not keys:
        raise FormatError.in_file(
            source.name,
            "a batch must hold at least one embedding",
            found=f"{len(failures)} failed, {failures[0]}" if failures else "none",
        )
    order = sorted(range(len(keys)), key=lambda row: (natural_order(keys[row][0]), keys[row][1]))
    ids = [f"{keys[row][0]}:{keys[row][1]}" if keys[row][0] in several else keys[row][0] for row in order]
    warnings = _warnings(failures, len(failures) + len({custom_id for custom_id, _ in keys}))
    vectors = buffer.finish()
    if order != list(range(len(order))):
        vectors = vectors[order]
    return Loaded(corpus=Rows(name=source.name, vectors=vectors, ids=ids), warnings=warnings)


def natural_order(text: str) -> tuple[tuple[Any, ...], str]:
    """Return a key that sorts numbers within texts as numbers: ``doc-2`` before ``doc-10``."""
    parts: list[Any] = []
    for position, part in enumerate(_DIGITS.split(text)):
        if position % 2:
            digits = part.lstrip("0")  # compared by length first, so that no number is too long to be parsed
            parts.append((len(digits), digits))
        else:
            parts.append(part)
    return tuple(parts), text


def _response(name: str, line: Any, number: int) -> tuple[str, list[Any], str | None]:
    if not isinstance(line, dict) or "custom_id" not in line:
        raise FormatError.in_file(name, "every line must have a custom_id", found=f"none in line {number}")
    custom_id = identifier(name, line["custom_id"], number)
    response = line.get("response")
    response = response if isinstance(response, dict) else {}
    status, body = response.get("status_code", _OK), response.get("body")
    body = body if isinstance(body, dict) else {}
    failure = line.get("error") or body.get("error")
    if failure or status != _OK:
        return custom_id, [], _message(failure, status)
    data = body.get("data")
    if not isinstance(data, list) or not data:
        raise FormatError.in_file(
            name, "every successful response must hold body.data, a list of embeddings", found=f"none in line {number}"
        )
    return custom_id, data, None


def _message(failure: Any, status: Any) -> str:
    if isinstance(failure, dict) and failure.get("message"):
        return f"{failure['message']}"
    return f"status {status}"


def _index(name: str, item: Any, position: int, number: int) -> int:
    if not isinstance(item, dict) or "embedding" not in item:
        raise FormatError.in_file(name, "every item of data must have an embedding", found=f"none in line {number}")
    index = item.get("index", position)
    if type(index) is not int:
        raise FormatError.in_file(name, "an index must be a whole number", found=f"another in line {number}")
    return index


def _add(buffer: RowBuffer, name: str, item: Mapping[str, Any], number: int) -> None:
    embedding = item["embedding"]
    if isinstance(embedding, list):
        buffer.add_numbers(embedding, f"line {number}")
    elif isinstance(embedding, str):
        buffer.add(_from_base64(name, embedding, number), f"line {number}")
    else:
        raise FormatError.in_file(
            name, "an embedding must be a list or base64", found=f"{type(embedding).__name__} in line {number}"
        )


def _from_base64(name: str, text: str, number: int) -> npt.NDArray[np.float32]:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b"?"
    if len(raw) % 4:
        raise FormatError.in_file(
            name, "an embedding given as text must be base64 of float32", found=f"something else in line {number}"
        )
    return np.frombuffer(raw, "<f4").astype(np.float32)


def _warnings(failures: list[str], n_requests: int) -> tuple[str, ...]:
    if not failures:
        return ()
    return (f"{len(failures)} of {n_requests} requests failed and were left out; the first: {failures[0][:160]}",)
