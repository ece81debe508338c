"""What a worker does, called directly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.errors import PathError
from engine.tradeoff.distributed import storage, tasks
from engine.tradeoff.distributed.parts import describe_parts

if TYPE_CHECKING:
    from collections.abc import Iterator


def _question(on_disk, **changes: object) -> tasks.Question:
    asked = {
        "parts": describe_parts([str(on_disk.corpus)]),
        "queries": np.load(on_disk.queries)[:5],
        "dims": (8, 48),
        "k": 10,
        "metric": "cosine",
        "recipe": "prefix",
        "exclude": None,
        "cut_for_threads": 2,
        "wants_digest": True,
    }
    return tasks.Question(**{**asked, **changes})


def _failing(errors: list[OSError]) -> object:
    reading = tasks.read_rows

    def read_rows(*arguments: object) -> Iterator[np.ndarray]:
        if errors:
            raise errors.pop()
        yield from reading(*arguments)

    return read_rows


def test_storage_that_fails_for_a_moment_is_asked_again(on_disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two failures to read change nothing; three are an error that names what the storage said."""
    question = _question(on_disk)
    expected = tasks.score(question, 1024, 4096)
    slept: list[float] = []
    monkeypatch.setattr(storage.time, "sleep", slept.append)
    monkeypatch.setattr(tasks, "read_rows", _failing([TimeoutError("slow"), ConnectionResetError("gone")]))
    found = tasks.score(question, 1024, 4096)
    assert slept == [1.0, 2.0]
    np.testing.assert_array_equal(found.best.ids, expected.best.ids)
    assert found.digests == expected.digests
    monkeypatch.setattr(tasks, "read_rows", _failing([TimeoutError("still slow")] * 3))
    with pytest.raises(PathError, match="corpus.npy: the storage .* found 3 failures, the last one still slow"):
        tasks.score(question, 1024, 4096)


def test_what_will_not_change_is_not_asked_again(on_disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is an error at once."""
    slept: list[float] = []
    monkeypatch.setattr(storage.time, "sleep", slept.append)
    monkeypatch.setattr(tasks, "read_rows", _failing([PermissionError(13, "Permission denied")] * 2))
    with pytest.raises(PathError, match="it must be readable on every worker; found Permission denied"):
        tasks.score(_question(on_disk), 0, 4096)
    assert not slept


def test_the_digest_is_of_the_rows_however_they_are_stored(on_disk) -> None:
    """A digest a tile of 1,024 rows, the same for one file and for parts, and another where one number differs."""
    whole = _question(on_disk)
    files = sorted(on_disk.parts.iterdir(), key=lambda path: int(path.stem.split("-")[1]))
    parts = _question(on_disk, parts=describe_parts([str(file) for file in files]))
    digests = tasks.score(whole, 0, 20_001).digests
    assert len(digests) == 20 * 32
    assert tasks.score(parts, 0, 20_001).digests == digests
    assert tasks.score(parts, 4096, 8192).digests == digests[4 * 32 : 8 * 32]
    assert tasks.score(_question(on_disk, wants_digest=False), 0, 4096).digests == b""
