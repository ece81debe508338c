"""Files that a user asked for: whole, or as they were before."""

from __future__ import annotations

import os
import resource
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from engine.errors import InputError, ParameterError
from engine.outputs import output, write_output
from engine.terminal import write_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def room_for(n_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond `n_bytes`, as a disk without room would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_without_room_leaves_the_old_file(tmp_path: Path) -> None:
    """A write that is cut off is one sentence; the file is the old one, and nothing lies beside it."""
    file = tmp_path / "answer.json"
    write_json(str(file), {"n": 1})
    before = file.read_bytes()
    with room_for(10_000), pytest.raises(InputError, match=r"the output file must be writable; found answer\.json: "):
        write_json(str(file), {"n": "x" * 100_000})
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
    with room_for(10_000), pytest.raises(InputError):
        write_output(tmp_path / "new.txt", "x" * 100_000)
    assert list(tmp_path.iterdir()) == [file]


def test_what_ends_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    """An error of whoever writes goes its way, and the file stays as it was."""
    file = tmp_path / "events.csv"
    file.write_bytes(b"old")

    def interrupted() -> None:
        with output(file) as opened:
            opened.write(b"new")
            raise ParameterError("stop")

    with pytest.raises(ParameterError, match="stop"):
        interrupted()
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_and_the_rights_of_a_file_stay(tmp_path: Path) -> None:
    """What a link leads to is replaced, not the link, and a file that its owner keeps private stays so."""
    file, link = tmp_path / "real.txt", tmp_path / "link.txt"
    file.write_text("old")
    file.chmod(0o600)
    link.symlink_to(file)
    write_output(link, "né\n")
    assert link.is_symlink()
    assert file.read_bytes() == "né\n".encode()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_pipe_and_a_device_are_written_to(tmp_path: Path) -> None:
    """What is no file is not replaced by one: a pipe gets the content, and /dev/null stays a device."""
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_output(pipe, "told")
    reader.join(10)
    assert got == [b"told"]
    assert pipe.is_fifo()


@pytest.mark.parametrize("name", ["folder", "nowhere/file", "x" * 300, "a\0b"])
def test_a_name_that_cannot_be_is_one_sentence(tmp_path: Path, name: str) -> None:
    """A folder, a folder that is not there, and names that no file can have are refused by the rule given."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="--out must name a file that can be written; found"):
        write_output(tmp_path / name, "x", rule="--out must name a file that can be written")
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]
