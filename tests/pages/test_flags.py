"""The page Feature flags, and the kill switch that is on every page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import FlagError
from engine.flags import FlagStore
from engine.workspace import Workspace
from pages.shell.flags import form as flags_form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.pages.conftest import App

SCRIPT = "pages/ship/flags.py"
OTHER_PAGE = "pages/data/datasets.py"
KILL = "Switch every flag to safe"


@pytest.fixture
def flags(workspace_folder: Path) -> Iterator[FlagStore]:
    """Return the flags of the app's workspace, as another process sees them."""
    with Workspace.open(workspace_folder) as workspace:
        yield FlagStore(workspace, refresh_s=0)


def errors(app: App) -> str:
    return "\n".join(element.value for element in app.at.error).replace("\\", "")


def field(app: App, kind: str, start: str) -> Any:
    return next(widget for widget in getattr(app.at, kind) if (widget.key or "").startswith(start))


def kill(app: App, word: str, *, key: str = "kill_switch") -> App:
    app.at.button(key=key).click().run()
    app.at.text_input(key="kill_reason").set_value("p99 <b>doubled</b>")
    app.at.text_input(key="kill_typed").set_value(word)
    return app.submit(KILL)


def test_an_unknown_flag_in_the_address_is_said(app: App) -> None:
    """One sentence names what is not there and what is shown instead."""
    app.show(SCRIPT, flag="gone")
    shown = app.at.selectbox(key="flag").value
    assert f"No flag of this workspace is named gone; {shown} is shown instead." in app.said()


def test_every_flag_is_listed_with_what_it_serves(app: App, flags: FlagStore) -> None:
    """The list has type, safe variant and what everybody gets now, as the store evaluates it."""
    flags.set(flags.flag("use_reduced_dims").with_percent(5), expected_version=1, actor="anna")
    app.show(SCRIPT)
    table = app.at.dataframe[0].value.set_index("flag")
    assert table.loc["use_reduced_dims", ["serves", "percent", "kind", "safe"]].tolist() == [
        "5 % on, 95 % off",
        5.0,
        "boolean",
        "off",
    ]
    assert table.loc["reduced_dim_size", "serves"] == "everybody full = 3072"


def test_a_percentage_is_saved_with_reason_and_version(app: App, flags: FlagStore) -> None:
    """What the form says is stored as one change with its reason, and the form goes on from the new version."""
    app.show(SCRIPT, flag="use_reduced_dims")
    app.submit("Save")
    assert "Nothing has changed" in app.said()
    field(app, "number_input", "percent_").set_value(12.5).run()
    assert "After saving: 12.5 % on, 87.5 % off" in app.said()
    field(app, "text_input", "why_").set_value("try it").run()
    app.submit("Save")
    stored = flags.flag("use_reduced_dims")
    assert (stored.percent, stored.version) == (12.5, 2)
    assert flags.history(key="use_reduced_dims", limit=1)[0].reason == "try it"
    assert field(app, "number_input", "percent_use_reduced_dims_2").value == 12.5
    assert not errors(app)


def test_two_people_editing_is_a_conflict_that_names_who(app: App, flags: FlagStore) -> None:
    """A form begun before somebody else's change is not saved; one sentence says who, and the newest can be taken."""
    app.show(SCRIPT, flag="use_reduced_dims")
    field(app, "number_input", "percent_").set_value(50.0).run()
    flags.set(flags.flag("use_reduced_dims").with_percent(10), expected_version=1, actor="bob")
    app.submit("Save")
    assert "somebody else changed flag use_reduced_dims" in errors(app).replace("Somebody", "somebody")
    assert "by bob" in errors(app)
    assert flags.flag("use_reduced_dims").percent == 10
    assert field(app, "number_input", "percent_").value == 50.0
    app.submit("Take the newest")
    assert field(app, "number_input", "percent_").value == 10.0
    assert not errors(app)


def test_a_form_that_nobody_touched_follows_the_newest(app: App, flags: FlagStore) -> None:
    """Without an edit of one's own, somebody else's change is simply shown."""
    app.show(SCRIPT, flag="use_reduced_dims")
    flags.set(flags.flag("use_reduced_dims").with_percent(30), expected_version=1, actor="bob")
    app.until(lambda _at: field(app, "number_input", "percent_").value == 30.0)
    assert "changed this flag while you edit it" not in app.said()


def test_the_kill_switch_takes_the_typed_word(app: App, flags: FlagStore) -> None:
    """On any page: another word is refused in one sentence; the word switches every flag, and the banner says who."""
    app.show(OTHER_PAGE)
    kill(app, "yes")
    assert 'takes the typed word "kill"; found yes' in errors(app)
    assert flags.is_killed is None
    app.at.text_input(key="kill_typed").set_value("kill")
    app.submit(KILL)
    state = flags.is_killed
    assert state is not None
    app.at.run()
    assert f"by {state.actor}: p99 <b>doubled</b>" in app.said()
    assert not [button for button in app.at.button if button.key == "kill_switch"]
    assert {flag.safe_variant for flag in flags.flags()} >= {
        flags.evaluate(key, "user").variant for key in ("use_reduced_dims", "reduced_dim_size")
    }


def test_a_kill_elsewhere_shows_on_every_page(new_tab: Callable[[], App], flags: FlagStore) -> None:
    """When another process kills, open tabs show the banner when they are drawn next, with the way to the flags."""
    tabs = [new_tab().show(script) for script in (SCRIPT, OTHER_PAGE)]
    flags.kill(actor="anna", typed="kill", reason="errors")
    for tab in tabs:
        tab.until(lambda at: any("by anna: errors" in error.value for error in at.error))
    tabs[1].at.button(key="kill_banner_flags").click().run()
    assert tabs[1].at.title[0].value == "Feature flags"
    table = tabs[1].at.dataframe[0].value
    assert table["serves"].str.endswith("(kill switch)").all()


def test_restoring_takes_a_reason_and_the_word(app: App, flags: FlagStore) -> None:
    """Without a reason or with another word the switch stays on; with both every flag is exactly as it was.

    What was edited meanwhile, and will count, is named before.
    """
    flags.set(flags.flag("use_reduced_dims").with_percent(7), expected_version=1, actor="anna")
    flags.kill(actor="anna", typed="kill")
    flags.set(flags.flag("reduced_dim_size").with_percent(3), expected_version=1, actor="bob")
    app.show(SCRIPT)
    assert "by bob: percentage none → 768 3 % / full 97 %" in app.said()
    app.at.text_input(key="restore_typed").set_value("restore")
    app.submit("Restore")
    assert "takes a reason" in errors(app)
    app.at.text_input(key="restore_reason").set_value("fixed")
    app.at.text_input(key="restore_typed").set_value("back")
    app.submit("Restore")
    assert 'typed word "restore"' in errors(app)
    assert flags.is_killed is not None
    app.at.text_input(key="restore_typed").set_value("restore")
    app.submit("Restore")
    assert flags.is_killed is None
    assert flags.flag("use_reduced_dims").percent == 7
    assert "kill switch is on" not in app.said()


def test_while_killed_the_form_says_what_moves_at_once(app: App, flags: FlagStore) -> None:
    """Another safe variant is what everybody gets as soon as it is saved; no flag can be removed from its clients."""
    flags.kill(actor="anna", typed="kill")
    app.show(SCRIPT, flag="reduced_dim_size")
    (safe,) = (box for box in app.at.selectbox if box.label == "Safe variant")
    safe.set_value("768").run()
    assert "As soon as this is saved, everybody gets 768" in app.said()
    app.press("save_flag")
    assert flags.evaluate("reduced_dim_size", "user").value == 768


def test_who_gets_what_is_the_stores_own_answer(app: App, flags: FlagStore) -> None:
    """For a typed user every flag has its variant and reason, and the percentage at which this user comes in."""
    flags.set(flags.flag("use_reduced_dims").with_percent(40), expected_version=1, actor="anna")
    app.show(SCRIPT, flags_tab="Who gets what")
    for user in ("user-1", "user-2", "user-3"):
        app.at.text_input(key="user_id").set_value(user).run()
        row = app.at.dataframe[0].value.set_index("flag").loc["use_reduced_dims"]
        assert row["variant"] == flags.evaluate("use_reduced_dims", user).variant
        assert (row["variant"] == "on") == (row["place"] < 40)
        assert row["why"] == "by percentage"


def test_the_audit_lists_changes_and_checks_the_chain(app: App, flags: FlagStore) -> None:
    """Who, what, why and from what to what are in the table, of one flag or of the kill switch alone when asked."""
    flags.set(flags.flag("use_reduced_dims").with_percent(5), expected_version=1, actor="anna", reason="start small")
    app.show(SCRIPT, flags_tab="Audit")
    newest = app.at.dataframe[0].value.iloc[0]
    assert (newest["who"], newest["key"], newest["why"]) == ("anna", "use_reduced_dims", "start small")
    assert "percentage on 0 % / off 100 % → on 5 % / off 95 %" in newest["change"]
    assert "The chain is intact" in app.said()
    flags.kill(actor="carl", typed="kill", reason="errors")
    app.at.selectbox(key="audit_about").set_value("kill").run()
    assert app.at.dataframe[0].value[["who", "what", "why"]].values.tolist() == [["carl", "kill", "errors"]]


def test_a_damaged_flag_file_is_reported(app: App, flags: FlagStore, workspace_folder: Path) -> None:
    """A file that somebody cut off is kept aside and rebuilt, and the page says so."""
    flags.path.write_text(flags.path.read_text()[:100])
    app.show(SCRIPT, flags_tab="Flag file")
    assert "was rebuilt" in app.said()
    assert json.loads(flags.path.read_text())["flags"].keys() == {flag.key for flag in flags.flags()}
    assert len(list(workspace_folder.glob("flags.flagd*"))) > 1


def test_an_import_is_planned_before_it_is_done(app: App, flags: FlagStore) -> None:
    """An uploaded flagd file first says what would change; a file that is none is refused in one sentence."""
    app.show(SCRIPT, flags_tab="Flag file")
    app.at.file_uploader(key="import_file").upload("x.json", b"{").run()
    assert "must be a flagd file in JSON" in errors(app)
    entry = {"state": "ENABLED", "variants": {"a": "x", "b": "y"}, "defaultVariant": "a"}
    document = json.dumps({"flags": {"ranker": entry}})
    app.at.file_uploader(key="import_file").upload("flags.json", document.encode()).run()
    assert "1 would be created: ranker" in app.said().replace("*", "")
    assert "ranker" not in {flag.key for flag in flags.flags()}
    app.submit("Import")
    assert flags.flag("ranker").safe_variant == "a"


def test_markup_in_a_flag_stays_text(app: App, flags: FlagStore) -> None:
    """A reason, name and description with Markdown and HTML are shown letter for letter."""
    evil = "**b** :red[r] $x$ <script>alert(1)</script>"
    flags.kill(actor=evil, typed="kill", reason=evil)
    app.show(SCRIPT)
    banner = next(error.value for error in app.at.error)
    assert "\\*\\*b\\*\\*" in banner
    assert "\\<script\\>" in banner
    assert ":red[" not in banner


@pytest.mark.parametrize(
    ("rows", "kind", "found"),
    [
        ([{"variant": "on", "value": "true"}, {"variant": None, "value": None}], "boolean", {"on": True}),
        ([{"variant": " a ", "value": "1.0"}], "string", {"a": "1.0"}),
        ([{"variant": "a", "value": '{"k": [1]}'}], "object", {"a": {"k": [1]}}),
    ],
)
def test_variants_are_json_or_text_by_the_kind_of_flag(rows: list[dict[str, Any]], kind: str, found: Any) -> None:
    """Cells hold JSON, bare text for a string flag; rows left empty do not count."""
    assert flags_form.variants_of(rows, kind=kind) == found


@pytest.mark.parametrize("rows", [[{"variant": "a", "value": "yes"}], [{"variant": "a", "value": "1"}] * 2])
def test_variants_that_are_no_json_or_twice_there_are_refused(rows: list[dict[str, Any]]) -> None:
    """A value that is no JSON, or a name twice, is refused by name."""
    with pytest.raises(FlagError, match=r"variant a|a twice"):
        flags_form.variants_of(rows, kind="integer")
