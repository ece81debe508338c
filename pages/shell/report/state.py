"""What a browser tab remembers of the report that it puts together: sections, their order and titles, what beside."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import streamlit as st

from engine.present.report.sections import SECTIONS, SectionChoice

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

BESIDE_KEY = "beside"
"""The runs that stand beside the report's own, with commas between; also the name in the URL."""

_CHOICE = "_report_choice"


@dataclass(frozen=True, kw_only=True)
class ReportChoice:
    """The reader's choice: every section in `order`, those that are `hidden`, and `titles` where they are one's own."""

    order: tuple[str, ...] = tuple(kind.key for kind in SECTIONS)
    hidden: frozenset[str] = frozenset()
    titles: Mapping[str, str] = field(default_factory=dict)
    title: str = ""

    def sections(self, available: Collection[str]) -> tuple[SectionChoice, ...]:
        """Return what is in the report of those `available`. Raises ParameterError for a title that is too long."""
        keys = [key for key in self.order if key in available and key not in self.hidden]
        return tuple(SectionChoice(key=key, title=self.titles.get(key)) for key in keys)

    @property
    def is_usual(self) -> bool:
        """Whether every section is in it, in the usual order and under its usual title."""
        return replace(self, title="") == ReportChoice()


def choice() -> ReportChoice:
    """Return what this tab chose."""
    chosen: ReportChoice = st.session_state.get(_CHOICE, ReportChoice())
    return chosen


def choose(chosen: ReportChoice) -> None:
    """Remember what this tab chose."""
    st.session_state[_CHOICE] = chosen


def typed(key: str) -> str:
    """Return what stands in the text field `key`."""
    return str(st.session_state.get(key) or "").strip()


def ticked(key: str) -> bool:
    """Tell whether the box `key` is ticked."""
    return bool(st.session_state.get(key))


def set_title() -> None:
    """Take the title out of its field."""
    choose(replace(choice(), title=typed("report_title")))


def show_section(key: str) -> None:
    """Take out of its box whether a section is in the report."""
    chosen = choice()
    is_in = ticked(f"report_in_{key}")
    choose(replace(chosen, hidden=chosen.hidden - {key} if is_in else chosen.hidden | {key}))


def name_section(key: str) -> None:
    """Take the title of a section out of its field; an empty one means the usual title."""
    chosen, name = choice(), typed(f"report_name_{key}")
    others = {known: title for known, title in chosen.titles.items() if known != key}
    choose(replace(chosen, titles={**others, key: name} if name else others))


def move_section(key: str, *, past: str) -> None:
    """Put a section where `past` is, which makes room in the direction that it came from."""
    chosen = choice()
    order = list(chosen.order)
    place = order.index(past)
    order.remove(key)
    order.insert(place, key)
    choose(replace(chosen, order=tuple(order)))


def reset_sections() -> None:
    """Choose every section again, in the usual order and under its usual title."""
    chosen = choice()
    for key in chosen.order:
        for widget in (f"report_in_{key}", f"report_name_{key}"):
            st.session_state.pop(widget, None)
    choose(ReportChoice(title=chosen.title))
