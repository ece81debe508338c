"""What a slide is: a headline, one figure or a few big numbers, one line beneath."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.present.report.blocks import Card, Chart
from engine.present.report.wording import harmless, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.present.report.blocks import Block
    from engine.present.report.sources import Sources
    from engine.tradeoff.results import Verdict

MOST_NUMBERS = 4
LONGEST_HEADLINE = 180
_LONGEST_BELOW = 360
_LONGEST_NAME = 60


@dataclass(frozen=True, eq=False, kw_only=True)
class Slide:
    """One message: `key` is its name in an address, `section` what it is about, `labels` say ``simulated`` and so on.

    Every text is plain: harmless to read, still to be escaped where it is put into markup.
    """

    key: str
    section: str
    headline: str
    below: str = ""
    numbers: tuple[Card, ...] = ()
    chart: Chart | None = None
    labels: tuple[str, ...] = ()
    verdict: Verdict | None = None

    @property
    def words(self) -> str:
        """Everything that the slide says, for somebody who hears it."""
        numbers = [f"{card.name}: {card.value}{f' ({card.below})' if card.below else ''}." for card in self.numbers]
        said = [] if self.verdict is None else [f"Verdict: {self.verdict}."]
        return " ".join([f"{self.headline.rstrip('.')}.", *said, *numbers, self.below]).strip()


def slide(
    key: str,
    section: str,
    headline: str,
    *,
    below: str = "",
    numbers: Sequence[Card] = (),
    chart: Chart | None = None,
    labels: Sequence[str] = (),
    verdict: Verdict | None = None,
) -> Slide:
    """Make a slide, its texts cut to what a screen holds and harmless."""
    shown = tuple(Card(name=sentence(n.name), value=sentence(n.value), below=sentence(n.below)) for n in numbers)
    return Slide(
        key=key,
        section=_short(section, LONGEST_HEADLINE),
        headline=_short(headline, LONGEST_HEADLINE).rstrip("."),
        below=_short(below, _LONGEST_BELOW),
        numbers=shown[:MOST_NUMBERS],
        chart=chart,
        labels=tuple(harmless(label, longest=_LONGEST_NAME) for label in labels),
        verdict=verdict,
    )


def charts_of(build: Callable[[Sources], tuple[Block, ...]], sources: Sources) -> tuple[Chart, ...]:
    """Return the charts that a section of the report draws, in its order."""
    return tuple(block for block in build(sources) if isinstance(block, Chart))


def name_of(text: str) -> str:
    """Return a name that a person or a file gave, short enough for a heading."""
    return harmless(text, longest=_LONGEST_NAME)


def _short(text: str, longest: int) -> str:
    return sentence(harmless(text, longest=longest))
