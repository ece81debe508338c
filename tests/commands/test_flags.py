"""`dimshift flags` as a shell sees it: exit status, streams, tables and JSON."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from engine.flags import FlagStore
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the workspace's folder."""
    return tmp_path / "workspace"


@pytest.fixture
def flags(dimshift: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that runs `dimshift flags` as anna."""
    return partial(dimshift, "flags")


def test_list_shows_every_flag(flags: Callable[..., Any]) -> None:
    """A row a flag with kind, default, safe variant and who gets what; the JSON holds the same."""
    done = flags("list")
    assert (done.returncode, done.stderr) == (0, "")
    header, *rows = done.stdout.splitlines()
    assert header.split()[:5] == ["flag", "kind", "default", "safe", "version"]
    assert [row.split()[0] for row in rows] == ["enable_new_index", "reduced_dim_size", "use_reduced_dims"]
    assert rows[2].endswith("everybody off")
    answer = flags("list", "--json", "-").json
    assert answer["killed"] is None
    assert answer["flags"][1]["variants"] == {"full": 3072, "768": 768}


def test_set_and_get_tell_what_a_user_gets(flags: Callable[..., Any]) -> None:
    """A percentage set in the shell is published at once, and get says which variant a user has and why."""
    done = flags(
        "set", "use_reduced_dims", "--percent", "100", "--owner", "search", "--reason", "all in", "--by", "bob"
    )
    assert done.returncode == 0, done.stderr
    assert "everybody on" in done.stdout
    shown = flags("get", "use_reduced_dims", "--user", "anna")
    assert "user anna: on = true (split)" in shown.stdout
    assert "owner: search" in shown.stdout
    answer = flags("get", "use_reduced_dims", "--user", "anna", "--json", "-").json
    assert answer["evaluation"]["value"] is True
    assert (answer["flag"]["percent"], answer["flag"]["version"]) == (100.0, 2)
    assert "the caller's own default" in flags("get", "use_reduced_dims").stdout
    event = flags("audit", "--key", "use_reduced_dims", "--json", "-").json[0]
    assert (event["actor"], event["reason"]) == ("bob", "all in")
    assert event["change"] == "owner none -> search, percentage on 0 % / off 100 % -> on 100 % / off 0 %"


def test_kill_and_restore_take_their_word(flags: Callable[..., Any], folder: Path) -> None:
    """Without the typed word nothing happens and the status is 1; with it everything is safe until the restore."""
    flags("set", "use_reduced_dims", "--percent", "100")
    for wrong in ((), ("--confirm", "yes")):
        done = flags("kill", *wrong)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith('dimshift: switching every flag to safe takes the typed word "kill"')
        assert done.stderr.count("\n") == 1
    killed = flags("kill", "--confirm", "kill", "--reason", "p99 doubled")
    assert killed.returncode == 0
    assert "KILL SWITCH ON since" in killed.stdout
    assert "by anna: p99 doubled" in killed.stdout
    assert "user x: off = false (the kill switch)" in flags("get", "use_reduced_dims", "--user", "x").stdout
    listed = flags("list").stdout
    assert listed.startswith("KILL SWITCH ON")
    assert listed.count("(kill switch)") == 3
    assert "everybody on" not in listed
    assert "after the restore: everybody on" in flags("get", "use_reduced_dims").stdout
    assert json.loads((folder / "flags.flagd.json").read_text())["metadata"]["isKilled"] is True
    assert "takes a reason" in flags("restore", "--confirm", "restore").stderr
    assert flags("set", "reduced_dim_size", "--percent", "5", "--by", "bob").stderr == ""
    assert "everybody has the new safe variant at once" in flags("set", "reduced_dim_size", "--safe", "768").stderr
    restored = flags("restore", "--confirm", "restore", "--reason", "fine")
    assert restored.returncode == 0
    first, edit, *_ = restored.stdout.splitlines()
    assert first == "Changed while the kill switch was on, and in force now:"
    assert "bob " in edit
    assert edit.endswith("reduced_dim_size  percentage none -> 768 5 % / full 95 %")
    assert "user x: on = true (split)" in flags("get", "use_reduced_dims", "--user", "x").stdout
    assert [line.split()[3:5] for line in flags("audit", "--key", "kill").stdout.splitlines()] == [
        ["anna", "restore"],
        ["anna", "kill"],
    ]


def test_create_edit_and_remove(flags: Callable[..., Any]) -> None:
    """Flags of every kind are made from variants in JSON; names that are no JSON are strings; removal is final."""
    assert flags("create", "banner").returncode == 0
    made = flags("create", "model", "--kind", "string", "--value", "a=small", "--value", 'b="large"', "--safe", "a")
    assert made.returncode == 0, made.stderr
    assert 'b = "large"' in made.stdout
    assert "takes --safe" in flags("create", "x", "--kind", "integer", "--value", "a=1").stderr
    assert (
        'must be of that kind; found a = "x"'
        in flags("create", "x", "--kind", "integer", "--value", "a=x", "--safe", "a").stderr
    )
    assert "found version 1, create by anna" in flags("create", "banner").stderr
    grown = flags("set", "model", "--value", "c=huge", "--percent", "12.5", "--variant", "c", "--json", "-").json
    assert grown["flag"]["split"]["shares"] == [["c", 12500], ["a", 87500]]
    fixed = flags("set", "model", "--default", "b", "--safe", "b", "--disable", "--json", "-").json["flag"]
    assert (fixed["split"], fixed["default_variant"], fixed["safe_variant"], fixed["is_enabled"]) == (
        None,
        "b",
        "b",
        False,
    )
    assert flags("remove", "model", "--json", "-").json == {"removed": "model"}
    assert "no such flag" in flags("get", "model").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("set", "use_reduced_dims", "--percent", "101"), "a percentage must be from 0 to 100; found 101"),
        (("set", "use_reduced_dims", "--percent", "nan"), "a percentage must be from 0 to 100; found nan"),
        (("set", "use_reduced_dims"), "a change must name what changes"),
        (("set", "use_reduced_dims", "--variant", "on"), "it takes --percent"),
        (("set", "use_reduced_dims", "--percent", "5", "--variant", "no"), "must be one of its variants; found no"),
        (("set", "use_reduced_dims", "--default", "on", "--expected-version", "7"), "you started from version 7"),
        (("set", "use_reduced_dims", "--value", "on"), "--value takes a name, = and a value"),
        (("set", "nope", "--percent", "5"), "no such flag is in this workspace; found nope"),
        (("remove", "nope"), "no such flag"),
        (("restore", "--confirm", "restore", "--reason", "x"), "the kill switch is off"),
        (("import", "missing.json"), "the flag file must be readable"),
    ],
)
def test_refusals_are_one_line_and_status_1(
    flags: Callable[..., Any], arguments: tuple[str, ...], message: str
) -> None:
    """What the engine refuses is one sentence on stderr, nothing on stdout, and changes nothing."""
    done = flags(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert len(flags("audit", "--json", "-").json) == 4


def test_wrong_usage_is_status_2(flags: Callable[..., Any]) -> None:
    """Unknown verbs and missing arguments are usage errors."""
    for arguments in (("flip",), ("set",), ("get", "a", "b"), ("set", "use_reduced_dims", "--percent", "many")):
        assert flags(*arguments).returncode == 2


def test_an_export_goes_round(flags: Callable[..., Any], tmp_path: Path) -> None:
    """Definitions are exported even while killed, the live file says that it is not them; an import gives them back."""
    flags("set", "use_reduced_dims", "--percent", "5")
    live = flags("export").json
    assert live["flags"]["use_reduced_dims"]["targeting"]["fractional"][1] == ["on", 5000]
    flags("kill", "--confirm", "kill")
    killed = flags("export", "--out", tmp_path / "live.json")
    assert killed.stderr.startswith("Note: the kill switch is on")
    assert "targeting" not in (tmp_path / "live.json").read_text()
    assert "was written while the kill switch was on" in flags("import", tmp_path / "live.json").stderr
    assert flags("export", "--definitions", "--out", tmp_path / "defs.json").stderr == ""
    assert flags("export", "--definitions", "--json", "-").json == json.loads((tmp_path / "defs.json").read_text())
    assert "cannot be removed while the kill switch is on" in flags("remove", "use_reduced_dims").stderr
    flags("restore", "--confirm", "restore", "--reason", "fine")
    flags("remove", "use_reduced_dims")
    dry = flags("import", tmp_path / "defs.json", "--dry-run")
    assert "would be created: use_reduced_dims" in dry.stdout
    assert flags("import", tmp_path / "defs.json", "--json", "-").json["created"] == ["use_reduced_dims"]
    assert flags("get", "use_reduced_dims", "--json", "-").json["flag"]["percent"] == 5
    assert "--out must name a file" in flags("export", "--out", tmp_path).stderr


def test_a_damaged_file_is_mended_and_told_once(flags: Callable[..., Any], folder: Path) -> None:
    """Any verb mends the file and says so on stderr; check tells it on stdout and ends with 0."""
    flags("list")
    file = folder / "flags.flagd.json"
    file.write_text(file.read_text()[:100])
    told = flags("list", "--json", "-")
    assert told.stderr.startswith("Note: flags.flagd.json was rebuilt from the database, because it is cut off")
    assert len(told.json["flags"]) == 3
    file.write_text(file.read_text().replace("off", "on"))
    checked = flags("check")
    assert checked.returncode == 0, checked.stderr
    assert "edited by hand; the old one is flags.flagd.json.damaged-2" in checked.stdout
    answer = flags("check", "--json", "-").json
    assert (answer["is_intact"], answer["file_agrees"], answer["rebuilt"]) == (True, True, [])


def test_a_changed_log_fails_the_check(flags: Callable[..., Any], folder: Path) -> None:
    """When somebody rewrote the database, check ends with 1 and names the first event that is not as it was."""
    flags("list")
    with Workspace.open(folder) as workspace, workspace.writing() as session:
        connection = session.connection()
        connection.exec_driver_sql("DROP TRIGGER audit_events_refuse_update")
        connection.exec_driver_sql("UPDATE audit_events SET actor = 'nobody' WHERE seq = 2")
    done = flags("check", "--json", "-")
    assert done.returncode == 1
    assert (done.json["is_intact"], done.json["first_broken"]) == (False, 2)
    assert "the audit log must be as it was written; found event 2 was altered" in done.stderr


def test_text_of_others_cannot_draw_on_the_terminal(flags: Callable[..., Any], folder: Path) -> None:
    """A reason or a name with control characters prints as one harmless line."""
    with Workspace.open(folder) as workspace:
        FlagStore(workspace).kill(actor="carl", typed="kill", reason="all\x1b[2J\nfine")
    for done in (flags("list"), flags("audit")):
        assert "\x1b" not in done.stdout
    assert flags("list").stdout.splitlines()[0].endswith("by carl: all [2J fine")


def test_every_option_has_a_help_text(flags: Callable[..., Any]) -> None:
    """Each verb's help says what it does and what each option is for."""
    verbs = ("list", "get", "set", "create", "remove", "kill", "restore", "export", "import", "audit", "check")
    for verb in verbs:
        lines = [line.strip() for line in flags(verb, "--help").stdout.splitlines()]
        options = [line for line in lines if line.startswith("--")]
        assert {"--json", "--workspace", "--seed"} <= {line.split()[0] for line in options}
        assert all(len(line.split("  ")) > 1 or line.endswith("]") for line in options), options
    listed = flags("--help").stdout
    assert all(verb in listed for verb in verbs)
