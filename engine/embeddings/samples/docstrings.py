"""Read the API reference from the packages on this machine, so that no third-party prose needs to be shipped."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import overload

PACKAGES = ("numpy", "scipy", "pandas", "sklearn")
NOT_INSTALLED = "(not installed here)"

_MISSING = object()
_MOST_ENTRIES = 8192  # all of the bundled set: fewer are forgotten before a second pass over its texts asks for them
_SIGNATURES = re.compile(r"[\w.]+\(.*\)(\s*->[^\n]*)?(\n--)?", re.DOTALL)
_SEE_ALSO = re.compile(r"^See [Aa]lso\n-{3,}\n(.*?)(?=\n[^\n]+\n-{3,}\n|\Z)", re.DOTALL | re.MULTILINE)
_UNDERLINE = re.compile(r"-{3,}|={3,}")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A docstring in three parts: the summary (the query), the rest (the document) and the See Also section.

    The section is no part of the document: judgements are made of it, and would leak into what is judged.
    """

    summary: str
    rest: str
    see_also: str


def split_docstring(docstring: str) -> Entry:
    r"""Split a cleaned numpydoc `docstring` after its first paragraph; signatures before that are left out.

    >>> split_docstring("sort(a)\n\nSort an array.\n\nIn ascending order.")
    Entry(summary='Sort an array.', rest='In ascending order.', see_also='')
    """
    section = _SEE_ALSO.search(docstring)
    if section is not None:
        docstring = docstring[: section.start()] + docstring[section.end() :].lstrip("\n")
    paragraphs = re.split(r"\n\s*\n", docstring.strip())
    while len(paragraphs) > 1 and _SIGNATURES.fullmatch(paragraphs[0]):
        del paragraphs[0]
    lines = paragraphs[0].split("\n")
    underlined = next((row for row, line in enumerate(lines) if _UNDERLINE.fullmatch(line.strip())), None)
    end = len(lines) if underlined is None else max(underlined - 1, 0)  # a heading may follow without a blank line
    rest = ["\n".join(lines[end:]), *paragraphs[1:]]
    return Entry(
        summary=" ".join(line.strip() for line in lines[:end]),
        rest="\n\n".join(paragraph for paragraph in rest if paragraph.strip()),
        see_also="" if section is None else section.group(1),
    )


def docstring_of(value: object) -> str | None:
    """Return the cleaned docstring of `value` itself; None when it has none, or only that of its type."""
    docstring = inspect.getdoc(value)
    if docstring is None or (not inspect.isclass(value) and docstring == inspect.getdoc(type(value))):
        return None
    return docstring


@lru_cache(maxsize=_MOST_ENTRIES)
def entry_of(name: str) -> Entry | None:
    """Return the entry of a public name such as ``numpy.argsort``; None when this machine has none.

    Only public names inside `PACKAGES` are looked up: another name imports nothing and has no entry.
    """
    parts = name.split(".")
    if parts[0] not in PACKAGES or not all(part.isidentifier() and not part.startswith("_") for part in parts):
        return None
    value = _find(parts)
    docstring = None if value is _MISSING else docstring_of(value)
    return None if docstring is None else split_docstring(docstring)


def _find(parts: list[str]) -> object:
    try:
        value: object = importlib.import_module(parts[0])
        for depth, part in enumerate(parts[1:], 2):
            found = getattr(value, part, _MISSING)
            if found is _MISSING and isinstance(value, ModuleType):
                found = importlib.import_module(".".join(parts[:depth]))
            value = found
    except ImportError:  # another version moved the name, or a module wants an optional package
        return _MISSING
    return value


class _LazyTexts(Sequence[str]):
    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return type(self)(self._names[index])
        entry = entry_of(self._names[index])
        return NOT_INSTALLED if entry is None else self._part(entry)

    def _part(self, entry: Entry) -> str:
        raise NotImplementedError


class SummaryTexts(_LazyTexts):
    """The summaries of `names`, each read when it is asked for."""

    def _part(self, entry: Entry) -> str:
        return entry.summary


class RestTexts(_LazyTexts):
    """What follows the summaries of `names`, each read when it is asked for."""

    def _part(self, entry: Entry) -> str:
        return entry.rest
