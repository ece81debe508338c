"""A disk that is full, for real where this user may mount one: one sentence, nothing half done, all well afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from engine.embeddings.samples import synthetic
from engine.errors import EngineError, WorkspaceError
from engine.flags import FlagStore
from engine.present.report.building import build_report
from engine.present.report.files import write_report, write_tables
from engine.tradeoff import save_sweep, sweep
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SIZE = 3 << 20


class SmallDisk:
    """A folder with room for 3 MiB; `fill` leaves none, `free` gives it back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Take all the room there is."""
        with pytest.raises(OSError, match="No space left"):
            self._take()

    def _take(self) -> None:
        with self._filler.open("wb", buffering=0) as filler:
            while filler.write(bytes(4096)):
                pass

    def free(self) -> None:
        """Make room again."""
        self._filler.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Mount a disk of 3 MiB in memory; skip where this user may mount none."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    made = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no disk can be mounted here: {made.stderr.decode().strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["/bin/umount", "--lazy", str(folder)], check=True)


def _is_one_sentence(error: EngineError) -> bool:
    words = str(error)
    return "\n" not in words and "Traceback" not in words and any(word in words for word in ("room", "full", "writ"))


def test_a_sweep_on_a_full_disk_is_refused_whole(small_disk: SmallDisk) -> None:
    """Neither run nor folder is left of what had no room; with room the same sweep is kept, its log intact."""
    found = synthetic(300, 16, n_queries=40, seed=1)
    result = sweep(found, (4, 8, 16), (1, 10))
    with Workspace.open(small_disk.folder / "workspace") as workspace:
        kept = save_sweep(workspace, result)
        small_disk.fill()
        for work in (
            lambda: save_sweep(workspace, result),
            lambda: workspace.save_dataset(found),
        ):
            with pytest.raises(WorkspaceError) as refusal:
                work()
            assert _is_one_sentence(refusal.value)
        assert [run.id for run in workspace.runs()] == [kept.id]
        assert workspace.datasets() == ()
        assert {path.name for path in (workspace.folder / "runs").iterdir()} == {kept.id}
        folders = workspace.folder / "datasets"
        assert not folders.exists() or list(folders.iterdir()) == []
        small_disk.free()
        again = save_sweep(workspace, result)
        workspace.save_dataset(found)
        assert {run.id for run in workspace.runs()} == {kept.id, again.id}
        assert workspace.load_dataset(found.sha256).n_docs == 300


def _write_notes(workspace: Workspace, written: list[str]) -> None:
    for number in range(200):  # what the database has at hand of itself still takes some changes
        with workspace.recording() as ledger:
            ledger.put("note", str(number), {"text": "x" * 3000}, expected_version=0, actor="a", action="set")
        written.append(str(number))


@pytest.mark.sqlite
def test_a_change_on_a_full_disk_is_kept_or_not_and_says_which(small_disk: SmallDisk) -> None:
    """A flag, a kill and records are whole or absent, and the log that tells of them stays intact."""
    with Workspace.open(small_disk.folder / "workspace") as workspace:
        flags = FlagStore(workspace, refresh_s=0)
        before = flags.flag("enable_new_index")
        small_disk.fill()
        written: list[str] = []
        with pytest.raises(WorkspaceError) as refused:
            _write_notes(workspace, written)
        assert _is_one_sentence(refused.value)
        with pytest.raises(EngineError) as refusal:
            flags.set(before.with_percent(50), expected_version=before.version, actor="ann", reason="x" * 1500)
        assert _is_one_sentence(refusal.value)
        small_disk.free()
        now = FlagStore(workspace, refresh_s=0).flag("enable_new_index")
        with workspace.records() as ledger:
            kept = {record.key for record in ledger.all("note")}
        assert kept == set(written)
        assert now.version in {before.version, before.version + 1}
        assert workspace.check_audit().is_intact
        flags.set(now.with_percent(25), expected_version=now.version, actor="ann")
        assert flags.check().file_agrees


def test_a_report_on_a_full_disk_leaves_no_half_of_it(small_disk: SmallDisk, tmp_path: Path) -> None:
    """The report that was there stays as it was, or none is there; nothing unfinished lies beside it."""
    with Workspace.open(tmp_path / "workspace") as workspace:
        run = save_sweep(workspace, sweep(synthetic(300, 16, n_queries=40, seed=1), (4, 8, 16), (1, 10)))
        report = build_report(workspace, run.id)
    target = small_disk.folder / "report.md"
    target.write_text("the earlier one")
    small_disk.fill()
    page = small_disk.folder / "report.html"
    with pytest.raises(EngineError) as refusal:
        write_report(report, page)
    assert _is_one_sentence(refusal.value)
    with pytest.raises(EngineError) as refusal:
        write_tables(report, small_disk.folder / "tables")
    assert not page.exists()
    assert target.read_text() == "the earlier one"
    left = {path.name for path in small_disk.folder.rglob("*") if path.is_file()}
    assert left <= {"report.md", "filler"}
