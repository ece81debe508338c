"""One query in both stores: the old, the new and the fused ranking side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError
from engine.migration import fuse
from engine.migration.cut_over import serves_new
from engine.migration.ids import shown_id
from pages.shell.services import services
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from engine.migration import DualAnswer, DualSettings, Fused
    from engine.migration.dual_search import SideAnswer
    from pages.shell.migration.dual_pair import DualPair
    from pages.shell.migration.queries import Queries

_KS = (5, 10, 20)
_USER = "user-1"


def show(pair: DualPair, queries: Queries, settings: DualSettings) -> None:
    """Ask both stores the chosen query and show what each finds, and what a user gets."""
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    k = left.segmented_control("Results", _KS, default=10, required=True, key="dual_k")
    user = right.text_input("User", _USER, key="dual_user", max_chars=200, help="The flag decides by user.")
    try:
        found = pair.beside.search(queries.vectors[queries.chosen], int(k))
    except EngineError as error:
        st.error(sentence(error))
        return
    gets = _served(settings, user)
    st.markdown(_summary(found, int(k)))
    fused = _fused(found, settings)[: int(k)]
    listed = [one for side in (found.old, found.new) if side is not None for one in side.ids or ()]
    texts = _texts(pair, list(dict.fromkeys(listed)))
    columns = st.columns(3, gap="medium")
    sides = (("Old", "old", found.old, found.new), ("New", "new", found.new, found.old))
    for column, (title, side, here, there) in zip(columns, sides, strict=False):
        with column:
            _title(f"{title}, {pair.source_dim if side == 'old' else pair.target_dim:,} dims", is_served=side == gets)
            _side(here, there, side=side, texts=texts)
    with columns[2]:
        _title(f"Fused, weight {settings.weight:g}", is_served=gets == "both")
        _fused_list(fused, texts)
    st.caption(f"Ranks are fused, never scores: those of different dims cannot be compared. k = {settings.rrf_k:g}.")


def _served(settings: DualSettings, user: str) -> str:
    """Return which list this user gets: the one of the mode where the flag lets the new store answer, else the old."""
    if settings.mode in {"old only", "shadow"} or not serves_new(services().flags, user):
        return "old"
    return "new" if settings.mode == "new only" else "both"


def _summary(found: DualAnswer, k: int) -> str:
    parts = []
    if found.overlap is not None:
        parts.append(f"**{round(found.overlap * k):,} of {k:,}** results in common")
    if found.rank_shift is not None:
        parts.append(f"those are {found.rank_shift:.1f} ranks apart on average")
    for name, side in (("old", found.old), ("new", found.new)):
        if side is not None and side.latency_ms is not None:
            parts.append(f"{name} {side.latency_ms:.1f} ms")
    return " · ".join(parts)


def _fused(found: DualAnswer, settings: DualSettings) -> tuple[Fused[Hashable], ...]:
    """Fuse what came; where one store did not answer, the other's ranking stands alone."""
    rankings = [() if side is None or side.ids is None else side.ids for side in (found.old, found.new)]
    weights = (1 - settings.weight, settings.weight) if all(rankings) else (1.0, 1.0)
    return fuse(rankings, weights=weights, k=settings.rrf_k)


def _texts(pair: DualPair, ids: Sequence[Hashable]) -> Mapping[Hashable, str]:
    try:
        return pair.texts(ids) if ids else {}
    except EngineError:
        return {}  # the rankings stand without their texts


def _title(words: str, *, is_served: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{words}**", width="content")
        if is_served:
            st.badge("this user gets", color="green")


def _side(here: SideAnswer | None, there: SideAnswer | None, *, side: str, texts: Mapping[Hashable, str]) -> None:
    if here is None or here.ids is None:
        why = "it was not asked" if here is None else here.why or here.outcome
        st.warning(sentence(f"No answer: {why}."), icon=":material/cloud_off:")
        return
    others = () if there is None or there.ids is None else there.ids
    places = {one: rank for rank, one in enumerate(others, 1)}
    lines = [_line(rank, one, _move(rank, places.get(one), side), texts) for rank, one in enumerate(here.ids, 1)]
    st.markdown("\n\n".join(lines) or "Nothing found.")


def _move(rank: int, other: int | None, side: str) -> str:
    if other is None:
        return ":red-badge[only here]" if side == "old" else ":green-badge[only here]"
    if other == rank:
        return ":gray-badge[same]"
    name = "new" if side == "old" else "old"
    return f":blue-badge[{name} {other:,}]"


def _fused_list(fused: Sequence[Fused[Hashable]], texts: Mapping[Hashable, str]) -> None:
    lines = []
    for rank, one in enumerate(fused, 1):
        where = " · ".join(
            f"{name} {'–' if place is None else place}" for name, place in zip(("old", "new"), one.ranks, strict=True)
        )
        lines.append(_line(rank, one.id, f":gray-badge[{where}]", texts))
    st.markdown("\n\n".join(lines) or "Nothing found.")


def _line(rank: int, one: Hashable, badge: str, texts: Mapping[Hashable, str]) -> str:
    name = one if isinstance(one, str) else shown_id(one)  # type: ignore[arg-type]  # searches return ids
    head = f"**{rank}** · **{plain(name, longest=80)}** {badge}"
    text = texts.get(one)
    return head if not text else f"{head}  \n:small[:gray[{plain(text, longest=90)}]]"
