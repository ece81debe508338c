"""The sections of a report: which there are, in which order, and which of them a reader asked for."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

from engine.errors import ParameterError
from engine.present.report import decision, measured, method, planning, shipping, storage
from engine.present.report.comparison import comparison
from engine.present.report.wording import harmless

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.present.report.blocks import Block
    from engine.present.report.sources import Sources

_LONGEST_TITLE = 200


@dataclass(frozen=True, kw_only=True)
class SectionKind:
    """One section that a report may have; what it builds is empty where the workspace holds nothing for it."""

    key: str
    title: str
    build: Callable[[Sources], tuple[Block, ...]]


@dataclass(frozen=True, kw_only=True)
class SectionChoice:
    """A section that was asked for, under a `title` of one's own or, without, the usual one.

    Raises
    ------
    ParameterError
        For an unknown section, or a title that is empty or longer than 200 characters.
    """

    key: str
    title: str | None = None

    def __post_init__(self) -> None:
        if self.key not in _KINDS:
            raise ParameterError(f"a section is one of {', '.join(_KINDS)}", found=self.key)
        if self.title is not None and not 0 < len(self.title.strip()) <= _LONGEST_TITLE:
            raise ParameterError(
                f"the title of a section has 1 to {_LONGEST_TITLE} characters", found=self.title or "nothing"
            )

    @property
    def kind(self) -> SectionKind:
        """What is asked for."""
        return _KINDS[self.key]

    @property
    def shown_title(self) -> str:
        """The title that the reader sees."""
        return self.kind.title if self.title is None else harmless(self.title)


SECTIONS: tuple[SectionKind, ...] = (
    SectionKind(key="verdict", title="Verdict", build=decision.verdict),
    SectionKind(key="curves", title="What every dimension keeps", build=measured.curves),
    SectionKind(key="comparison", title="Beside other runs", build=comparison),
    SectionKind(key="latency", title="Latency", build=measured.latency),
    SectionKind(key="storage", title="Bytes", build=storage.storage),
    SectionKind(key="cost", title="Cost", build=decision.cost),
    SectionKind(key="losers", title="Who loses", build=decision.losers),
    SectionKind(key="nesting", title="Does it nest?", build=measured.nesting),
    SectionKind(key="growth", title="As the corpus grows", build=measured.growth),
    SectionKind(key="cutoff", title="Score scale and cut-offs", build=measured.cutoff),
    SectionKind(key="plan", title="Plan", build=planning.plan),
    SectionKind(key="ab", title="A/B tests", build=shipping.experiments),
    SectionKind(key="rollout", title="Rollout", build=shipping.rollouts),
    SectionKind(key="migration", title="Migration", build=shipping.migrations),
    SectionKind(key="runbook", title="Runbook", build=planning.runbook),
    SectionKind(key="method", title="Method", build=method.method),
    SectionKind(key="provenance", title="Seeds, digests and machine", build=method.provenance),
    SectionKind(key="assumptions", title="Assumptions and limits", build=method.assumptions),
)
"""Every section, in the order of a report that chooses nothing."""

_KINDS = {one.key: one for one in SECTIONS}


def parse_sections(text: str) -> tuple[SectionChoice, ...]:
    """Read sections in the order wanted with commas between, as ``verdict,curves=What we keep,ab``.

    A title with a comma in it takes quotes: ``verdict,"curves=Kept, and lost"``. Raises ParameterError.

    >>> [one.shown_title for one in parse_sections("ab, curves=What we keep")]
    ['A/B tests', 'What we keep']
    """
    try:
        (parts,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):  # ValueError: more than one line
        parts = []
    if not parts:
        raise ParameterError(
            "sections are listed with commas between", found=text or "nothing", hint="Write verdict,curves=Our title"
        )
    return tuple(_parsed(part) for part in parts)


def format_sections(choices: tuple[SectionChoice, ...]) -> str:
    """Write sections as `parse_sections` reads them.

    >>> format_sections((SectionChoice(key="ab"), SectionChoice(key="curves", title="Kept, and lost")))
    'ab,"curves=Kept, and lost"'
    """
    written = StringIO()
    parts = [one.key if one.title is None else f"{one.key}={harmless(one.title.strip())}" for one in choices]
    csv.writer(written, lineterminator="").writerow(parts)
    return written.getvalue()


def checked_sections(choices: tuple[SectionChoice, ...]) -> tuple[SectionChoice, ...]:
    """Return the sections to build, every one where none was chosen. Raises ParameterError when one is there twice."""
    if not choices:
        return tuple(SectionChoice(key=kind.key) for kind in SECTIONS)
    keys = [choice.key for choice in choices]
    repeated = next((key for place, key in enumerate(keys) if key in keys[:place]), None)
    if repeated is not None:
        raise ParameterError("a section is in a report once", found=f"{repeated} twice")
    return choices


def _parsed(part: str) -> SectionChoice:
    key, equals, title = part.partition("=")
    return SectionChoice(key=key.strip(), title=title.strip() if equals else None)
