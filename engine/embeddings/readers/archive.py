"""Look into a zip archive without extracting it: members are read by name, into memory or as they lie in the file."""

from __future__ import annotations

import struct
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from engine.embeddings.readers.source import Source, bare_name
from engine.errors import FormatError, printable

if TYPE_CHECKING:
    from engine.embeddings.readers.options import ReadOptions

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")

_ENCRYPTED = 0x1
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_PIECE_BYTES = 1 << 20  # zipfile inflates at most as much as is asked for at once, whatever a header says


class Archive:
    """The plain members of a zip; what has been inflated so far counts towards the limit on memory."""

    def __init__(self, source: Source, options: ReadOptions) -> None:
        self._source = source
        self._options = options
        self._inflated = 0
        with source.open() as file, zipfile.ZipFile(file) as opened:
            self._members = {info.filename: info for info in opened.infolist() if _is_plain(info)}

    def names(self) -> tuple[str, ...]:
        """Return the names of the plain files inside; names that climb out of the archive are left out."""
        return tuple(self._members)

    def size(self, member: str) -> int:
        """Return how many bytes `member` has once it is inflated, as the archive says."""
        return self._members[member].file_size

    def label(self, member: str) -> str:
        """Return what messages call `member`."""
        return f"{printable(bare_name(member), longest=40)} in {self._source.name}"

    def head(self, member: str, size: int) -> bytes:
        """Return up to `size` bytes from the beginning of `member`."""
        info = self._checked(member)
        if info.compress_type == zipfile.ZIP_STORED:
            return self._stored(info).read_at(0, size)
        with self._source.open() as file, zipfile.ZipFile(file) as opened, opened.open(info) as stream:
            return stream.read(size)

    def source(self, member: str) -> Source:
        """Return `member` as a source: a part of the archive when stored, else inflated into memory.

        Raises `FormatError` when it would expand beyond the limits, before anything is inflated.
        """
        info = self._checked(member)
        if info.compress_type == zipfile.ZIP_STORED:
            return self._stored(info)
        label = self.label(member)
        self._options.check_expansion(label, info.file_size, packed=info.compress_size)
        self._inflated += info.file_size
        self._options.check_expansion(self._source.name, self._inflated)
        return Source.of_bytes(member, self._inflate(info), name=label)

    def _inflate(self, info: zipfile.ZipInfo) -> bytes:
        content = bytearray()
        with self._source.open() as file, zipfile.ZipFile(file) as opened, opened.open(info) as stream:
            while piece := stream.read(_PIECE_BYTES):
                content += piece
        if len(content) != info.file_size:
            raise FormatError.in_file(
                self.label(info.filename), "a member must be as long as its archive says", found=f"{len(content)} bytes"
            )
        return bytes(content)

    def _checked(self, member: str) -> zipfile.ZipInfo:
        info = self._members[member]
        if info.flag_bits & _ENCRYPTED:
            raise FormatError.in_file(self.label(member), "a zip member must not be encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FormatError.in_file(
                self.label(member),
                "a zip member must be stored or deflated",
                found=f"compression method {info.compress_type}",
                hint="Zip it again without further options",
            )
        return info

    def _stored(self, info: zipfile.ZipInfo) -> Source:
        label = self.label(info.filename)
        header = self._source.read_at(info.header_offset, _LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(ZIP_MAGIC[0]):
            raise FormatError.in_file(
                label, "a zip member must have a local header", found=f"none at {info.header_offset}"
            )
        _, name_size, extra_size = _LOCAL_HEADER.unpack(header)
        start = info.header_offset + _LOCAL_HEADER.size + name_size + extra_size
        return self._source.part(label, PurePosixPath(info.filename).suffix.lower(), start=start, size=info.file_size)


def _is_plain(info: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(info.filename.replace("\\", "/")).parts
    return not info.is_dir() and bool(parts) and ".." not in parts and parts[0] not in ("/", "__MACOSX")
