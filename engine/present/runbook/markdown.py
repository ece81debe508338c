"""The runbook as Markdown, to print or to keep beside the pager; every text in it is harmless to what renders it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.present.report.markdown import escaped
from engine.present.report.wording import harmless, moment, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.present.runbook.building import Runbook
    from engine.present.runbook.checks import Check
    from engine.present.runbook.steps import Step

_BOXES = {"done": "[x]", "stale": "[ ]", "not met": "[ ]", "open": "[ ]"}
_BACKTICKS = re.compile("`+")


def render_markdown(runbook: Runbook) -> str:
    """Return `runbook` as Markdown with a task list, as GitHub and most wikis show it."""
    subject = f" for rollout {runbook.rollout}" if runbook.rollout else ""
    labels = f" ({', '.join(runbook.labels)})" if runbook.labels else ""
    parts = [f"# {_text(f'Rollback runbook{subject}{labels}')}", _facts(runbook)]
    parts += [_text(said) for said in runbook.situation]
    parts += ["## Checklist", _text(runbook.readiness), "\n".join(_item(check) for check in runbook.checks)]
    triggers = "\n".join(f"- **{_text(one.name)}**: {_text(one.sentence)}" for one in runbook.triggers)
    parts += ["## Triggers", _text(runbook.triggers_are), triggers]
    parts += ["## Steps", *(part for step in runbook.steps for part in _step(step))]
    if runbook.on_call:
        people = "\n".join(f"- {_text(one.role)}: {_text(one.name)}" for one in runbook.on_call)
        parts += ["## Who to call", people]
    return "\n\n".join(parts) + "\n"


def _facts(runbook: Runbook) -> str:
    flag = f"flag {runbook.flag_key}, safe variant {runbook.safe_variant}" if runbook.flag_key else "no flag yet"
    stale = f"stale after {runbook.days_until_stale:,} days"
    return " · ".join(_text(part) for part in (f"as of {moment(runbook.made_at)}", flag, stale))


def _item(check: Check) -> str:
    state = "" if check.state == "done" else f" **{check.state}**"
    who = f" by {check.said_by}" if check.said_by else ""
    when = f" on {moment(check.said_at)}" if check.said_at is not None else ""
    said = f" ({_text(f'{check.state}{who}{when}')})" if who or when else ""
    line = f"- {_BOXES[check.state]} {_text(check.spec.title)}{state}{said}: {_text(check.reason)}"
    tick = check.tick
    if tick is not None and not check.is_by_tick:
        line += f"\n  - {_text(f'ticked by {tick.by} on {moment(tick.at)}: {tick.note}')}"
    return line


def _step(step: Step) -> Iterator[str]:
    state = "" if step.state == "to do" else f" ({step.state})"
    yield f"### {step.number}. {_text(step.title)}{state}"
    yield _text(step.text)
    if step.commands:
        yield _code(step.commands)


def _code(commands: tuple[str, ...]) -> str:
    lines = "\n".join(harmless(command) for command in commands)
    # A key may hold backticks; a fence longer than any run of them ends only where it should.
    fence = "`" * max(3, 1 + max((len(run) for run in _BACKTICKS.findall(lines)), default=0))
    return f"{fence}shell\n{lines}\n{fence}"


def _text(text: str) -> str:
    return escaped(sentence(text))
