"""Walking over memory-mapped arrays while somebody is at the file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.embeddings import load
from engine.embeddings.paging import blocks
from engine.errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path

N, DIM = 6000, 8


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write some pages of vectors."""
    path = tmp_path / "corpus.npy"
    np.save(path, np.arange(N * DIM, dtype=np.float32).reshape(N, DIM) + 1)
    return path


def test_a_file_that_is_shortened_is_refused_before_its_end_is_read(file: Path) -> None:
    """The walk ends in one sentence with both sizes at the next block, instead of ending the process."""
    walk = blocks(load(file).corpus[100:], 1000)
    assert next(walk)[1][0, 0] == 801
    size = file.stat().st_size
    os.truncate(file, size // 2)
    sentence = (
        rf"^corpus\.npy: a file must not be shortened while it is read; found {size // 2:,} bytes where {size:,} were"
    )
    with pytest.raises(FormatError, match=sentence):
        next(walk)


def test_a_file_may_grow_or_be_replaced(file: Path) -> None:
    """What is mapped keeps its values when the file grows, or another one is put in its place."""
    corpus = load(file).corpus
    expected = np.array(corpus)
    walk = blocks(corpus, 1000)
    got = [next(walk)[1].copy()]
    with file.open("ab") as opened:
        opened.write(b"more")
    got.append(next(walk)[1].copy())
    other = file.with_name("other.npy")
    np.save(other, np.zeros((2, DIM), np.float32))
    other.replace(file)
    got += [block.copy() for _, block in walk]
    assert np.array_equal(np.concatenate(got), expected)


def test_an_array_in_memory_is_walked_over() -> None:
    """Blocks of an array that is in no file are its rows in order."""
    array = np.arange(10)[:, None]
    assert [(start, block[:, 0].tolist()) for start, block in blocks(array, 4)] == [
        (0, [0, 1, 2, 3]),
        (4, [4, 5, 6, 7]),
        (8, [8, 9]),
    ]
