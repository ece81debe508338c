"""The form that changes a flag: nothing of somebody else's change is lost, and nothing is saved without a click."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from engine.errors import EngineError, FlagError
from engine.flags.wording import named, serves
from pages.shell import state
from pages.shell.company.allowed import shown
from pages.shell.flags import actor as flags_actor
from pages.shell.flags import state as flags_state
from pages.shell.flags import view as flags_view
from pages.shell.services import services
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.flags import Flag

EVERYBODY, PERCENTAGE, AS_IT_IS = "Everybody the same", "A percentage", "As imported"


@dataclass(frozen=True, kw_only=True)
class Fields:
    """What the form holds; `variants` are rows with the name of a variant and its value as it is typed."""

    mode: str
    default: str | None
    growing: str | None
    percent: float
    variants: Sequence[Mapping[str, Any]]
    safe: str
    owner: str
    description: str
    is_enabled: bool


def show(flag: Flag) -> None:
    """Draw the form of one flag, begun from the version that was stored when the reader began."""
    edit = flags_state.edited_flag(flag.key)
    if edit is None:
        edit = flags_state.FlagEdit(base=flag)
        flags_state.edit_flag(edit)
    flags_view.driver(edit.base)
    is_killed = services().flags.is_killed is not None
    if is_killed:
        st.caption(
            ":material/emergency_home: A change is kept, but nobody sees it before the flags are restored; only the "
            "safe variant moves at once."
        )
    changed: Flag | None = None
    try:
        changed = built(edit.base, _fields(edit))
        problem = ""
    except EngineError as error:
        problem = str(error)
    if flag.version != edit.base.version:
        if changed == edit.base:
            _begin_anew(flag)
        _overtaken(flag)
    _save(edit, changed, problem, is_killed=is_killed)


def built(base: Flag, fields: Fields) -> Flag:
    """Return `base` as the form says. Raises FlagError or ParameterError; what was not touched stays as it is."""
    flag = replace(
        base,
        variants=variants_of(fields.variants, kind=base.kind),
        safe_variant=fields.safe,
        owner=fields.owner.strip(),
        description=fields.description.strip(),
        is_enabled=fields.is_enabled,
        **_default_of(base, fields),
    )
    if fields.mode != PERCENTAGE or _is_same_split(base, fields):
        return flag
    return flag.with_percent(fields.percent, variant=fields.growing)


def variants_of(rows: Sequence[Mapping[str, Any]], *, kind: str) -> dict[str, Any]:
    """Return the variants that the table holds: JSON values, or bare text for a string flag. Raises FlagError."""
    found: dict[str, Any] = {}
    for row in rows:
        name, typed = _name(row), str(row.get("value") or "").strip()
        if not name and not typed:
            continue
        if name in found:
            raise FlagError("every variant has a name of its own", found=f"{name} twice")
        found[name] = typed if kind == "string" else _json(typed, name)
    return found


def _default_of(base: Flag, fields: Fields) -> dict[str, Any]:
    if fields.mode == EVERYBODY:
        return {"default_variant": fields.default, "split": None, "rules": None}
    return {"default_variant": base.default_variant}


def _is_same_split(base: Flag, fields: Fields) -> bool:
    return base.split is not None and (base.percent, base.treatment) == (fields.percent, fields.growing)


def _fields(edit: flags_state.FlagEdit) -> Fields:
    """Draw the widgets and return what they hold; keys name version and round, so that an edit begun anew is fresh."""
    flag, mark = edit.base, f"{edit.base.key}_{edit.base.version}_{edit.round}"
    is_driven = flag.driven_by is not None
    above = st.container()  # what stands above needs the names of the variants, which are edited below
    with st.expander("Variants", icon=":material/list:", key="variants_fold"):
        rows = _variants(flag, mark, is_driven=is_driven)
    names = list(dict.fromkeys(name for row in rows if (name := _name(row)))) or [flag.safe_variant]
    left, right = above.columns(2, gap="large")
    with left:
        mode, default, growing, percent = _who_gets_it(flag, mark, names, is_driven=is_driven)
    with right:
        safe = st.selectbox(
            "Safe variant",
            names,
            names.index(flag.safe_variant) if flag.safe_variant in names else 0,
            key=f"safe_{mark}",
            disabled=is_driven,
            help="What everybody gets while the kill switch is on.",
        )
        is_enabled = st.toggle(
            "Enabled",
            flag.is_enabled,
            key=f"enabled_{mark}",
            disabled=is_driven,
            help="Disabled, callers get the default in their own code. To stop a flag, use its safe variant instead.",
        )
    owner, description = above.columns([1, 2], gap="large")
    return Fields(
        mode=mode,
        default=default,
        growing=growing,
        percent=percent,
        variants=rows,
        safe=safe,
        owner=owner.text_input("Owner", flag.owner, key=f"owner_{mark}", max_chars=200),
        description=description.text_input("Description", flag.description, key=f"description_{mark}", max_chars=2000),
        is_enabled=is_enabled,
    )


def _who_gets_it(
    flag: Flag, mark: str, names: Sequence[str], *, is_driven: bool
) -> tuple[str, str | None, str | None, float]:
    is_plain = flag.rules is None and (flag.split is None or len(flag.split.shares) == 2)
    present = AS_IT_IS if not is_plain else EVERYBODY if flag.split is None else PERCENTAGE
    modes = [EVERYBODY, PERCENTAGE] if is_plain else [AS_IT_IS, EVERYBODY, PERCENTAGE]
    mode = st.segmented_control(
        "Who gets what", modes, default=present, required=True, key=f"mode_{mark}", disabled=is_driven
    )
    if mode == EVERYBODY:
        options: list[str | None] = [None, *names] if flag.default_variant is None else [*names]
        default = st.selectbox(
            "Everybody gets",
            options,
            options.index(flag.default_variant) if flag.default_variant in options else 0,
            format_func=lambda name: "the caller's own default" if name is None else name,
            key=f"default_{mark}",
            disabled=is_driven,
        )
        return mode, default, None, 0.0
    if mode != PERCENTAGE:
        st.caption(plain(serves(flag, is_killed=False)))
        return str(mode), None, None, 0.0
    growing, percent = _percentage(flag, mark, names, is_driven=is_driven)
    return mode, None, growing, percent


def _percentage(flag: Flag, mark: str, names: Sequence[str], *, is_driven: bool) -> tuple[str, float]:
    unsafe = [name for name in names if name != flag.safe_variant] or list(names)
    growing = st.selectbox(
        "Variant that grows",
        unsafe,
        unsafe.index(flag.treatment) if flag.treatment in unsafe else 0,
        key=f"growing_{mark}",
        disabled=is_driven,
    )
    percent = st.number_input(
        "Percentage of the users",
        0.0,
        100.0,
        float(flag.percent or 0.0),
        1.0,
        format="%.6g",
        key=f"percent_{mark}",
        disabled=is_driven,
        help="In steps of 0.001. Users once in stay in as it grows; the last in are the first out.",
    )
    return growing, float(percent)


def _variants(flag: Flag, mark: str, *, is_driven: bool) -> Sequence[Mapping[str, Any]]:
    rows = [
        {"variant": name, "value": value if flag.kind == "string" else json.dumps(value)}
        for name, value in flag.variants.items()
    ]
    form = "text" if flag.kind == "string" else "JSON"
    edited: Sequence[Mapping[str, Any]] = st.data_editor(
        rows,
        key=f"variants_{mark}",
        num_rows="dynamic",
        hide_index=True,
        disabled=is_driven,
        column_config={
            "variant": st.column_config.TextColumn("Variant", required=True, max_chars=200),
            "value": st.column_config.TextColumn(f"Value ({flag.kind}, {form})", required=True),
        },
    )
    st.caption("A variant that the default, the safe variant or the percentage names cannot be left out.")
    return edited


def _save(edit: flags_state.FlagEdit, changed: Flag | None, problem: str, *, is_killed: bool) -> None:
    reason = st.text_input("Why?", key=f"why_{edit.base.key}_{edit.base.version}_{edit.round}", max_chars=400)
    if problem:
        st.error(sentence(problem))
    elif changed is not None and changed != edit.base:
        when = "After the restore" if is_killed else "After saving"
        st.markdown(f"{when}: {plain(serves(changed, is_killed=False))}.")
        if is_killed and changed.safe_value != edit.base.safe_value:
            safe = named(changed, changed.safe_variant)
            st.warning(f"As soon as this is saved, everybody gets {plain(safe)}: the kill switch is on.")
    is_changed = changed is not None and changed != edit.base
    with st.container(horizontal=True):
        # Never disabled: what is typed last counts when the button is pressed, and only then the page knows of it.
        saves = st.button("Save", type="primary", key="save_flag", icon=":material/save:", **shown("flag", "set"))
        if st.button("Undo", key="undo_flag", icon=":material/undo:", disabled=not (is_changed or problem)):
            _begin_anew(edit.base, round=edit.round + 1)
    if saves and is_changed:
        _store(edit, changed, reason)
    elif saves and not problem:
        st.info("Nothing has changed.")


def _store(edit: flags_state.FlagEdit, changed: Flag | None, reason: str) -> None:
    if changed is None:
        return
    stored = flags_actor.attempt(
        "flags",
        lambda: services().flags.set(
            changed, expected_version=edit.base.version, actor=flags_actor.actor(), reason=reason
        ),
    )
    if stored is not None:
        flags_state.edit_flag(flags_state.FlagEdit(base=stored))
    st.rerun()


def _overtaken(flag: Flag) -> None:
    """Say that somebody was faster, before saving says it too."""
    last = services().flags.history(key=flag.key, limit=1)
    who = plain(last[0].actor) if last else "Somebody"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.warning(
            f"**{who}** changed this flag while you edit it: now {plain(serves(flag, is_killed=False))}.",
            icon=":material/group:",
        )
        if st.button("Take the newest", key="take_newest", icon=":material/refresh:"):
            state.set_notice("flags", None)
            _begin_anew(flag)


def _begin_anew(flag: Flag, *, round: int = 0) -> None:  # noqa: A002  # the field's own name
    flags_state.edit_flag(flags_state.FlagEdit(base=flag, round=round))
    st.rerun()


def _name(row: Mapping[str, Any]) -> str:
    return str(row.get("variant") or "").strip()


def _json(typed: str, name: str) -> Any:
    try:
        return json.loads(typed)
    except (ValueError, RecursionError):
        raise FlagError(
            f"the value of variant {name or 'without a name'} must be JSON",
            found=typed or "nothing",
            hint="Write true, 768 or {}; text in double quotes",
        ) from None
