"""The runbook as Markdown: complete, and harmless whatever names and notes hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from engine.present.runbook import RunbookStore, render_markdown

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.present.runbook import Runbook
    from engine.rollout import RolloutControl
    from engine.workspace import Workspace

HOSTILE = "<script>alert(1)</script> [x](javascript:y) ``` # *a* | ://evil.example \u202egnp"


def test_everything_is_in_it(workspace: Workspace, control: RolloutControl, look: Callable[..., Runbook]) -> None:
    """Checklist as a task list with who and when, triggers, steps with commands in code, and people."""
    control.create("ramp", flag_key="use_reduced_dims", actor="anna", owner="Olga")
    RunbookStore(workspace).tick("on-call", actor="bob", note="rang them", about="ramp")
    found = look()
    text = render_markdown(found)
    assert text.startswith("# Rollback runbook for rollout ramp\n")
    assert "- [x] On-call briefed (done by bob on 2026-11-22 15:30 UTC): rang them" in text
    assert len(re.findall(r"^- \[[ x]\] ", text, re.MULTILINE)) == 7
    assert len(re.findall(r"^### \d\. ", text, re.MULTILINE)) == len(found.steps)
    assert "\ndimshift flags kill --confirm kill --reason 'WHY'\n" in text
    assert "- Rollout owner: Olga" in text
    assert text.endswith("\n")


@pytest.mark.parametrize("script", ["<script>", "javascript:"])
def test_names_and_notes_cannot_write_markup(
    workspace: Workspace, control: RolloutControl, look: Callable[..., Runbook], script: str
) -> None:
    """Markup in a key, an owner or a note is escaped outside code, and no run of backticks ends a code block early."""
    key = "ramp ```` <b>x</b>"
    control.create(key, flag_key="use_reduced_dims", actor="anna", owner="[x](javascript:y) <script>")
    control.start(key, actor="anna")
    RunbookStore(workspace).tick("on-call", actor="bob", note=HOSTILE, about=key)
    text = render_markdown(look())
    outside, fence = [], ""
    for line in text.splitlines():
        mark = re.match(r"`{3,}", line)
        if not fence and mark:
            fence = mark[0]
            assert line == f"{fence}shell"
        elif fence and line == fence:
            fence = ""
        elif not fence:
            outside.append(line)
    assert fence == ""
    plain = "\n".join(outside)
    assert not re.search(r"(?<!\\)<", plain)
    assert not re.search(r"(?<!\\)\](?=\()", plain)
    assert "\u202e" not in text
    assert script.replace("<", "\\<").replace(">", "\\>") in plain
