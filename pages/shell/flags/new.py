"""The form of a new flag, and the removal of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError
from engine.flags import KINDS, Flag
from pages.shell.company.allowed import shown
from pages.shell.flags import actor as flags_actor
from pages.shell.flags import form as flags_form
from pages.shell.services import services
from pages.shell.text import plain, sentence

if TYPE_CHECKING:
    from typing import Any

    from engine.flags import Kind

_EXAMPLES: dict[Kind, list[dict[str, str]]] = {
    "boolean": [{"variant": "off", "value": "false"}, {"variant": "on", "value": "true"}],
    "integer": [{"variant": "full", "value": "3072"}, {"variant": "reduced", "value": "768"}],
    "float": [{"variant": "low", "value": "0.5"}, {"variant": "high", "value": "1.5"}],
    "string": [{"variant": "old", "value": "v1"}, {"variant": "new", "value": "v2"}],
    "object": [{"variant": "none", "value": "{}"}, {"variant": "some", "value": '{"k": 10}'}],
}


def new_flag() -> None:
    """Ask for a new flag behind a button; everybody gets its first variant, the safe one."""
    with st.popover("New flag", icon=":material/add:", key="new_flag", on_change="rerun") as asked:
        if asked.open:
            _form()


def remove_flag(flag: Flag) -> None:
    """Offer to remove a flag, once its key has been typed."""
    is_held = flag.driven_by is not None or services().flags.is_killed is not None
    with st.popover("Remove", icon=":material/delete:", key="remove_flag", disabled=is_held):
        st.markdown("Clients that still ask for it get the default in their own code.")
        with st.form(f"remove_form_{flag.key}_{flag.version}", border=False):
            reason = st.text_input("Why?", key="remove_reason", max_chars=400)
            typed = st.text_input(f'Type "{plain(flag.key)}"', key="remove_typed", autocomplete="off")
            if not st.form_submit_button("Remove this flag", icon=":material/delete:", **shown("flag", "remove")):
                return
        if typed != flag.key:
            st.error(f"Removing a flag takes its typed key: {plain(flag.key)}.")
            return
        who = flags_actor.actor()
        flags_actor.attempt(
            "flags",
            lambda: services().flags.remove(flag.key, expected_version=flag.version, actor=who, reason=reason),
        )
        st.rerun()


def _form() -> None:
    kind = st.selectbox("Type", KINDS, key="new_kind")
    key = st.text_input("Key", key="new_key", placeholder="use_new_ranker", max_chars=200)
    rows = st.data_editor(
        _EXAMPLES[kind],
        key=f"new_variants_{kind}",
        num_rows="dynamic",
        hide_index=True,
        column_config={"variant": "Variant", "value": "Value"},
    )
    owner = st.text_input("Owner", key="new_owner", max_chars=200)
    description = st.text_input("Description", key="new_description", max_chars=2000)
    st.caption("Everybody gets the first variant, which is also the safe one; change both below once it is there.")
    if not st.button("Create", type="primary", key="create_flag", **shown("flag", "create")):
        return
    try:
        flag = _flag(key, kind, rows, owner=owner, description=description)
        services().flags.set(flag, expected_version=0, actor=flags_actor.actor(), action="create")
    except EngineError as error:
        st.error(sentence(error))
        return
    st.rerun()


def _flag(key: str, kind: Kind, rows: list[dict[str, Any]], *, owner: str, description: str) -> Flag:
    variants = flags_form.variants_of(rows, kind=kind)
    first = next(iter(variants), "")
    return Flag(
        key=key.strip(),
        kind=kind,
        variants=variants,
        default_variant=first,
        safe_variant=first,
        owner=owner.strip(),
        description=description.strip(),
    )
