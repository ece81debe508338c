"""The flag file: where clients read it, whether it is as it must be, downloads, and the import of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from engine.errors import EngineError, FlagError
from engine.flags import FILE_NAME, file_text, parse_flagd
from pages.shell.company.allowed import shown
from pages.shell.flags import actor as flags_actor
from pages.shell.services import services
from pages.shell.text import local_time, plain, sentence

if TYPE_CHECKING:
    from engine.flags import ImportReport
    from engine.flags.importing import ImportedFlags

_LARGEST_MB = 16
_KEPT_ASIDE = "keep aside"
_CLIENT = """from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType

api.set_provider(FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=PATH))
api.get_client().get_boolean_value("use_reduced_dims", False)"""


def show() -> None:
    """Draw health, downloads and import."""
    _health()
    _downloads()
    st.header("Import a flagd file", anchor=False)
    _import()


def _health() -> None:
    store = services().flags
    try:
        report = store.publish()
    except EngineError as error:
        st.error(sentence(error))
    else:
        if report.sentence:
            st.warning(sentence(report.sentence), icon=":material/build:")
        else:
            st.markdown(f":green[:material/check_circle:] **{FILE_NAME}** is what the database says.")
    for event in [event for event in store.history(limit=1000) if event.action == _KEPT_ASIDE][:3]:
        found = event.evidence if isinstance(event.evidence, dict) else {}
        st.caption(
            f":material/history: {local_time(event.at, st.context.timezone)}: it was rebuilt, because "
            f"{plain(found.get('problem', 'it was damaged'))}; the old one is {plain(found.get('kept_as') or 'lost')}."
        )
    st.caption("Real flag clients read it here, in FILE mode:")
    st.code(str(store.path), language=None, wrap_lines=True)
    with st.expander("A Python client", icon=":material/code:"):
        st.code(_CLIENT.replace("PATH", repr(str(store.path))), language="python", wrap_lines=True)


def _downloads() -> None:
    with st.container(horizontal=True):
        st.download_button(
            "What clients read now",
            lambda: file_text(services().flags.live_document()),
            FILE_NAME,
            mime="application/json",
            on_click="ignore",
            icon=":material/download:",
            key="download_live",
            help="Safe variants only while the kill switch is on.",
        )
        st.download_button(
            "All definitions",
            lambda: file_text(services().flags.definitions()),
            "definitions.flagd.json",
            mime="application/json",
            on_click="ignore",
            icon=":material/download:",
            key="download_definitions",
            help="Percentages and rules whatever the kill switch says: to keep, or to import elsewhere.",
        )


def _import() -> None:
    uploaded = st.file_uploader("flagd file in JSON", type=["json"], key="import_file", max_upload_size=_LARGEST_MB)
    if uploaded is None:
        return
    safe = st.text_input(
        "Safe variants, where the file does not name them",
        key="import_safe",
        placeholder="my_flag=off, other_flag=old",
        help="Without this the default variant of a flag is taken to be the safe one.",
    )
    try:
        imported = parse_flagd(uploaded.getvalue(), name=uploaded.name, safe_variants=_safe_variants(safe))
        planned = services().flags.import_flags(imported, actor=flags_actor.actor(), dry_run=True)
    except EngineError as error:
        st.error(sentence(error))
        return
    _plan(planned)
    if not (planned.created or planned.changed):
        return
    reason = st.text_input("Why?", key="import_reason", max_chars=400)
    if st.button("Import", type="primary", key="import", icon=":material/upload:", **shown("flag", "import")):
        _take_in(imported, reason)
        st.rerun()


def _take_in(imported: ImportedFlags, reason: str) -> None:
    who = flags_actor.actor()
    flags_actor.attempt("flags", lambda: services().flags.import_flags(imported, actor=who, reason=reason))


def _plan(planned: ImportReport) -> None:
    for keys, what in (
        (planned.created, "would be created"),
        (planned.changed, "would change"),
        (planned.unchanged, "are here already, the same"),
    ):
        if keys:
            st.markdown(f"**{len(keys):,}** {what}: {', '.join(plain(key) for key in keys[:20])}")
    for note in planned.notes:
        st.caption(f":material/info: {plain(note)}")


def _safe_variants(typed: str) -> dict[str, str]:
    found = {}
    for part in (part.strip() for part in typed.split(",") if part.strip()):
        key, separator, variant = part.rpartition("=")
        if not separator or not key.strip() or not variant.strip():
            raise FlagError("a safe variant is written as flag=variant", found=part)
        found[key.strip()] = variant.strip()
    return found
