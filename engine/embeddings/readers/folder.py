"""A folder of files, on disk or zipped, behind one small class."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from engine.embeddings.paths import existing, resolve_below
from engine.embeddings.readers.source import Source, bare_name

if TYPE_CHECKING:
    from engine.embeddings.readers.archive import Archive

_MANY_ENTRIES = 100_000  # a data root that holds millions of files is no embedding set


class Folder(ABC):
    """The files directly in a folder and those in its subfolder `qrels`."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def files(self) -> tuple[str, ...]:
        """Return the names of the files, sorted, those of `qrels` with that prefix."""

    @abstractmethod
    def source(self, relative: str) -> Source:
        """Return the file that `files` calls `relative`."""

    def matching(self, pattern: str) -> tuple[str, ...]:
        """Return the names that match the regular expression `pattern` as a whole, in any case."""
        return tuple(name for name in self.files() if re.fullmatch(pattern, name, re.IGNORECASE))


class DirectoryFolder(Folder):
    """A folder on disk; with `below`, every file in it must really lie below that root, symlinks followed."""

    def __init__(self, path: Path, *, below: Path | None = None) -> None:
        super().__init__(bare_name(path.absolute()))
        self._path = path
        self._below = below

    def files(self) -> tuple[str, ...]:
        """Return the names of the files, sorted, those of `qrels` with that prefix."""
        names = []
        for folder, prefix in ((self._path, ""), (self._path / "qrels", "qrels/")):
            if not folder.is_dir():
                continue
            for count, entry in enumerate(folder.iterdir()):
                if count >= _MANY_ENTRIES:
                    break
                if entry.is_file():
                    names.append(prefix + entry.name)
        return tuple(sorted(names))

    def source(self, relative: str) -> Source:
        """Return the file that `files` calls `relative`."""
        path = self._path / relative
        found = existing(path) if self._below is None else resolve_below(self._below, path.absolute())
        return Source.of_path(found, below=self._below)


class ArchiveFolder(Folder):
    """A zipped folder: the files at the top of the archive or in its only top-level folder."""

    def __init__(self, name: str, archive: Archive) -> None:
        super().__init__(name)
        self._archive = archive
        names = archive.names()
        tops = {PurePosixPath(name).parts[0] for name in names}
        nested = len(tops) == 1 and all(len(PurePosixPath(name).parts) > 1 for name in names)
        prefix = f"{tops.pop()}/" if nested else ""
        plain = {name.replace("\\", "/").removeprefix(prefix): name for name in names}
        self._members = {
            name: member for name, member in plain.items() if re.fullmatch(r"(qrels/)?[^/]+", name) is not None
        }

    def files(self) -> tuple[str, ...]:
        """Return the names of the files, sorted, those of `qrels` with that prefix."""
        return tuple(sorted(self._members))

    def source(self, relative: str) -> Source:
        """Return the file that `files` calls `relative`."""
        return self._archive.source(self._members[relative])
