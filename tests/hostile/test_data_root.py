"""Races on the folder that a server may read: what was checked is what is opened, or nothing is."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from engine.embeddings import load
from engine.embeddings.paths import identity_below, resolve_below
from engine.embeddings.readers import loading
from engine.embeddings.readers.source import Source
from engine.errors import PathError
from engine.experiment import logs
from engine.experiment.logs import log_columns, read_log

LOG = b"user_id,timestamp,variation_id,clicked\na,2026-01-05,control,1\nb,2026-01-05,treatment,0\n"
SECRET = np.full((3, 2), 42, np.float32)
OPEN = np.arange(1, 7, dtype=np.float32).reshape(3, 2)


def _hdf5(array, *, chunked):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("train", data=array, chunks=(1, 2) if chunked else None)
    return buffer.getvalue()


def _npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _parquet(array):
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(pa.table({"emb": pa.array(list(array), pa.list_(pa.float32()))}), buffer)
    return buffer.getvalue()


WRITERS = {
    "a.npy": _npy,
    "a.parquet": _parquet,
    "a.jsonl": lambda array: "\n".join(json.dumps(row.tolist()) for row in array).encode(),
    "contiguous.hdf5": lambda array: _hdf5(array, chunked=False),
    "chunked.hdf5": lambda array: _hdf5(array, chunked=True),
}


@pytest.fixture
def root(tmp_path):
    """Make a data root with a secret beside it."""
    (tmp_path / "root" / "inner").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    return tmp_path / "root"


def _swap(path: Path, secret: Path) -> None:
    """Put a symlink in the place of `path`, in one step, as an attacker would."""
    link = path.with_name("link")
    link.symlink_to(secret)
    link.replace(path)


@pytest.mark.parametrize("name", WRITERS)
def test_a_symlink_swapped_in_after_the_check_reads_nothing(root, monkeypatch, name):
    """Between the check of a path and its opening a symlink to a secret takes its place: refused, never read."""
    path, secret = root / name, root.parent / "secret" / name
    path.write_bytes(WRITERS[name](OPEN))
    secret.write_bytes(WRITERS[name](SECRET))
    assert load(name, below=root, n_held_out=0).corpus.tolist() == OPEN.tolist()

    def resolved(*paths):
        found = resolve_below(*paths)
        _swap(path, secret)
        return found

    monkeypatch.setattr(loading, "resolve_below", resolved)
    with pytest.raises(PathError, match="must not be replaced while it is opened"):
        load(name, below=root, n_held_out=0)


@pytest.mark.parametrize("name", WRITERS)
def test_a_symlink_swapped_in_while_a_file_is_read_is_never_followed(root, monkeypatch, name):
    """A swap after the file was opened once gives its own values or an error: every opening asks again."""
    path, secret = root / name, root.parent / "secret" / name
    path.write_bytes(WRITERS[name](OPEN))
    secret.write_bytes(WRITERS[name](SECRET))
    of_path = Source.of_path

    def then_swapped(*given, **options):
        source = of_path(*given, **options)
        _swap(path, secret)
        return source

    monkeypatch.setattr(Source, "of_path", then_swapped)
    with pytest.raises(PathError, match="must not be replaced while it is opened"):
        load(name, below=root, n_held_out=0)


def test_a_folder_swapped_for_a_symlink_is_not_entered(root):
    """Not only the file: no folder on the way to it may have become a symlink since the path was checked."""
    (root / "inner" / "a.npy").write_bytes(_npy(OPEN))
    (root.parent / "secret" / "a.npy").write_bytes(_npy(SECRET))
    found = resolve_below(root, "inner/a.npy")
    (root / "inner").rename(root / "moved")
    (root / "inner").symlink_to(root.parent / "secret")
    with pytest.raises(PathError, match="must not be replaced"):
        Source.of_path(found, below=root)


def test_a_pipe_swapped_in_is_refused_without_waiting(root):
    """A named pipe in the place of a file neither blocks the server nor is read."""
    (root / "a.npy").write_bytes(b"x")
    found = resolve_below(root, "a.npy")
    found.unlink()
    os.mkfifo(found)
    with pytest.raises(PathError, match="must not be replaced"):
        identity_below(root, found)


def test_a_log_swapped_between_the_form_and_the_job_is_refused(root, monkeypatch):
    """A log is asked about and read by its path below the root, and the file must not change under either."""
    (root / "log.csv").write_bytes(LOG)
    (root.parent / "secret" / "log.csv").write_bytes(LOG.replace(b"clicked", b"secret_"))
    assert log_columns(Path("log.csv"), below=root).names[-1] == "clicked"
    assert read_log(Path("log.csv"), below=root).n_rows == 2
    for relative in ("../secret/log.csv", root.parent / "secret" / "log.csv"):
        with pytest.raises(PathError, match="below the data root"):
            read_log(Path(relative), below=root)

    def resolved(*paths):
        found = resolve_below(*paths)
        _swap(root / "log.csv", root.parent / "secret" / "log.csv")
        return found

    monkeypatch.setattr(logs, "resolve_below", resolved)
    with pytest.raises(PathError, match="must not be replaced"):
        read_log(Path("log.csv"), below=root)


def test_a_set_that_is_mapped_keeps_its_values_when_its_file_is_replaced(root):
    """A file written anew under the same name does not change a set that is open: the mapping holds the former one."""
    (root / "a.npy").write_bytes(_npy(OPEN))
    made = load("a.npy", below=root, n_held_out=0)
    (root / "new.npy").write_bytes(_npy(SECRET))
    (root / "new.npy").replace(root / "a.npy")
    assert made.corpus.tolist() == OPEN.tolist()
