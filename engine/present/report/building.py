"""Build a report of one stored sweep and everything in its workspace that belongs to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engine import __version__
from engine.errors import ParameterError
from engine.present.report.blocks import Report, Section
from engine.present.report.sections import checked_sections
from engine.present.report.sources import read_sources
from engine.present.report.wording import harmless
from engine.progress import ignore_progress, never_cancelled, stop_if
from engine.tradeoff.run_comparison import compare_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.present.report.sections import SectionChoice
    from engine.progress import Cancelled, Progress
    from engine.workspace import Workspace

_LONGEST_TITLE = 200
_READ = 0.85  # of the time; the rest puts sections together


def _utc_now() -> datetime:
    return datetime.now(UTC)


def build_report(
    workspace: Workspace,
    run_id: str,
    *,
    sections: Sequence[SectionChoice] = (),
    title: str | None = None,
    compared_with: Sequence[str] = (),
    clock: Callable[[], datetime] = _utc_now,
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> Report:
    """Return the report of the stored sweep `run_id`: verdict first, then everything that was measured and done.

    `sections` chooses, orders and titles; without, every section is in it that has data. `compared_with` names other
    sweeps to set beside this one. Nothing is measured, nothing in the workspace changes.

    Raises
    ------
    RunNotFoundError
        When the workspace has no such run.
    WorkspaceError
        When a run is no sweep, or damaged.
    ParameterError
        When no chosen section has data, one is there twice, the title is empty or too long, or runs cannot be compared.
    CancelledError
        When `cancelled` said so.
    """
    chosen = checked_sections(tuple(sections))
    shown_title = None if title is None else _checked_title(title)
    comparison = compare_runs(workspace, (run_id, *compared_with)) if compared_with else None
    sources = read_sources(
        workspace,
        run_id,
        comparison=comparison,
        progress=lambda share, message: progress(_READ * share, message),
        cancelled=cancelled,
    )
    built = []
    for place, choice in enumerate(chosen):
        stop_if(cancelled)
        progress(_READ + (1 - _READ) * place / len(chosen), f"Writing {choice.kind.title}")
        built.append((choice, choice.kind.build(sources)))
    left_out = tuple(choice.key for choice, blocks in built if not blocks)
    _check_some(left_out, chosen)
    info = sources.sweep.dataset
    return Report(
        title=shown_title or f"How few dimensions can {harmless(info.name, longest=80)} keep?",
        subject=info.name,
        labels=info.labels,
        run_id=run_id,
        made_at=clock(),
        version=__version__,
        sections=tuple(
            Section(key=choice.key, title=choice.shown_title, blocks=blocks) for choice, blocks in built if blocks
        ),
        left_out=left_out if sections else (),
    )


def arranged(report: Report, *, sections: Sequence[SectionChoice], title: str | None = None) -> Report:
    """Return `report` with the chosen of its sections only, in that order and under those titles; nothing is read.

    Raises
    ------
    ParameterError
        When `report` has none of the chosen sections, one is there twice, or the title is empty or too long.
    """
    chosen = checked_sections(tuple(sections))
    blocks = {section.key: section.blocks for section in report.sections}
    left_out = tuple(choice.key for choice in chosen if choice.key not in blocks)
    _check_some(left_out, chosen)
    return replace(
        report,
        title=report.title if title is None else _checked_title(title),
        sections=tuple(
            Section(key=choice.key, title=choice.shown_title, blocks=blocks[choice.key])
            for choice in chosen
            if choice.key in blocks
        ),
        left_out=left_out if sections else (),
    )


def _check_some(left_out: Sequence[str], chosen: Sequence[SectionChoice]) -> None:
    if len(left_out) == len(chosen):
        raise ParameterError(
            "at least one chosen section must have data", found=", ".join(left_out), hint="Choose verdict or curves too"
        )


def _checked_title(title: str) -> str:
    if not 0 < len(title.strip()) <= _LONGEST_TITLE:
        raise ParameterError(f"the title has 1 to {_LONGEST_TITLE} characters", found=title or "nothing")
    return harmless(title.strip())
