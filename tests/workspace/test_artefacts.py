"""Array files: whole or absent, and the ones that were saved."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sqlalchemy import update

from engine.errors import ParameterError, WorkspaceError
from engine.workspace import Run, Workspace
from engine.workspace.models import RunRow

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

_DAY_S = 86_400


def _age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.float16).reshape(2, 3, 4),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        np.arange(20, dtype=np.int64)[::-2],
        np.arange(6, dtype=">i4"),
        np.array(3.5),
        np.zeros((0, 7), dtype=np.float32),
        np.array([True, False]),
        np.array(["a", "längste"]),
        np.random.default_rng(0).random((700, 300)),
    ],
    ids=["f2", "fortran", "strided", "big-endian", "scalar", "empty", "bool", "text", "mapped"],
)
def test_arrays_come_back_equal_and_read_only(
    workspace: Workspace, save: Callable[..., Run], array: np.ndarray[Any, Any]
) -> None:
    """Values, dtype and shape survive, whatever the memory order, and nobody can write into a stored array."""
    stored = workspace.arrays(save(arrays={"a": array}).id)["a"]
    np.testing.assert_array_equal(stored, array)
    assert (stored.dtype, stored.shape) == (array.dtype, array.shape)
    assert not stored.flags.writeable


def test_large_arrays_are_mapped(workspace: Workspace, save: Callable[..., Run]) -> None:
    """A large array is not read into memory; a file is plain .npy that NumPy opens on its own."""
    run = save(arrays={"large": np.ones((1024, 1024), np.float32), "small": np.ones(3)})
    arrays = workspace.arrays(run.id)
    assert isinstance(arrays["large"], np.memmap)
    assert not isinstance(arrays["small"], np.memmap)
    assert np.load(workspace.folder / "runs" / run.id / "large.npy").sum() == 1024 * 1024


def test_only_the_named_arrays_are_read(workspace: Workspace, save: Callable[..., Run]) -> None:
    """A view that needs one array does not read, or stumble over, the others; an unknown name is refused."""
    run = save(arrays={"a": np.ones(2), "b": np.zeros(2)})
    (workspace.folder / "runs" / run.id / "b.npy").unlink()
    assert list(workspace.arrays(run.id, names=["a"])) == ["a"]
    with pytest.raises(ParameterError, match="no such arrays; found c"):
        workspace.arrays(run.id, names=["a", "c"])


@pytest.mark.parametrize("n", [4, 300_000])
def test_altered_value_is_noticed(workspace: Workspace, save: Callable[..., Run], n: int) -> None:
    """One changed byte of a small or a mapped array is refused with the run and the file."""
    run = save(arrays={"a": np.arange(n)})
    path = workspace.folder / "runs" / run.id / "a.npy"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(WorkspaceError, match=rf"run {run.id} must be as they were saved; found a.npy was altered"):
        workspace.arrays(run.id)


def test_missing_truncated_and_foreign_files_are_noticed(workspace: Workspace, save: Callable[..., Run]) -> None:
    """A file that is gone, cut off or a folder is refused, each with what is wrong; the run itself stays readable."""
    run = save(arrays={"a": np.arange(10)})
    path = workspace.folder / "runs" / run.id / "a.npy"
    content = path.read_bytes()
    for spoil, problem in (
        (lambda: path.write_bytes(content[:-1]), "has another size"),
        (path.unlink, "is missing"),
        (path.mkdir, "cannot be read"),
        (lambda: shutil.rmtree(path.parent), "is missing"),
    ):
        spoil()
        with pytest.raises(WorkspaceError, match=rf"{run.id}.*a.npy {problem}"):
            workspace.arrays(run.id)
    assert workspace.run(run.id) == run


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["DIMSHIFT_TEST_BOMB"],)


def test_pickles_are_never_loaded(
    workspace: Workspace,
    save: Callable[..., Run],
    tamper: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pickle in place of an array is not run, even when the database was made to expect exactly that file."""
    monkeypatch.setenv("DIMSHIFT_TEST_BOMB", str(tmp_path / "exploded"))
    np.save(tmp_path / "bomb.npy", np.array([_Bomb()], dtype=object), allow_pickle=True)
    for content in ((tmp_path / "bomb.npy").read_bytes(), pickle.dumps(_Bomb())):
        run = save(arrays={"a": np.arange(10)})
        (workspace.folder / "runs" / run.id / "a.npy").write_bytes(content)
        expected = {"n_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        with workspace.reading() as session:
            [file] = session.get(RunRow, run.id).files
        tamper(update(RunRow).where(RunRow.id == run.id).values(files=[{**file, **expected}]))
        with pytest.raises(WorkspaceError, match=r"a\.npy cannot be read"):
            workspace.arrays(run.id)
    assert not (tmp_path / "exploded").exists()


_CRASH = """
    import os, sys
    import numpy as np
    from sqlalchemy import Engine, event
    from engine.workspace import Workspace

    class Killer(dict):
        def items(self):
            yield "first", np.zeros(1000)
            os._exit(9)

    workspace = Workspace.open(sys.argv[1])
    arrays = {"first": np.zeros(1000)}
    if sys.argv[2] == "during the arrays":
        arrays = Killer(arrays)
    else:
        event.listen(Engine, "commit", lambda connection: os._exit(9))
    workspace.save_run(kind="sweep", dataset={}, parameters={}, seed=0, summary={}, arrays=arrays, elapsed_s=0)
"""


@pytest.mark.parametrize(("moment", "left"), [("during the arrays", ".partial-*"), ("before the commit", "2*")])
def test_crash_leaves_nothing_visible(
    workspace: Workspace,
    save: Callable[..., Run],
    start_python: Callable[..., subprocess.Popen[str]],
    moment: str,
    left: str,
) -> None:
    """A process that dies while it saves leaves no run; its files are kept a day, in case it lives, then removed."""
    kept = save()
    process = start_python(_CRASH, workspace.folder, moment)
    assert process.wait(60) == 9
    runs = workspace.folder / "runs"
    [orphan] = [path for path in runs.glob(left) if path.name != kept.id]
    with Workspace.open(workspace.folder) as again:
        assert again.runs() == (kept,)
        assert orphan.is_dir()
    _age(orphan, 1.1 * _DAY_S)
    _age(runs / kept.id, 30 * _DAY_S)
    with Workspace.open(workspace.folder) as again:
        assert not orphan.exists()
        assert again.runs() == (kept,)
        assert list(again.arrays(kept.id)) == ["recall"]


def test_sweep_spares_what_is_not_ours(workspace: Workspace, save: Callable[..., Run], tmp_path: Path) -> None:
    """Folders of a second database on the same folder, and a user's own, stay, however old they are."""
    save()
    elsewhere = f"sqlite:///{tmp_path / 'second.db'}"
    with Workspace.open(workspace.folder, database_url=elsewhere) as second:
        theirs = second.save_run(
            kind="sweep", dataset={}, parameters={}, seed=0, summary={}, arrays={"a": np.ones(2)}, elapsed_s=0
        )
    own = workspace.folder / "runs" / "20200101-000000-my notes"
    own.mkdir()
    (own / "manifest.json").write_text("[]")
    for path in workspace.folder.glob("runs/*"):
        _age(path, 30 * _DAY_S)
    before = sorted(workspace.folder.glob("runs/*"))
    for url in (None, elsewhere):
        Workspace.open(workspace.folder, database_url=url).close()
    assert sorted(workspace.folder.glob("runs/*")) == before
    with Workspace.open(workspace.folder, database_url=elsewhere) as second:
        assert list(second.arrays(theirs.id)) == ["a"]
