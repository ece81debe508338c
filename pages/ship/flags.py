"""Feature flags: who gets what, the kill switch, who changed what, and the file that clients read."""

from __future__ import annotations

import streamlit as st

from pages.shell.flags import actor as flags_actor
from pages.shell.flags import audit as flags_audit
from pages.shell.flags import file as flags_file
from pages.shell.flags import form as flags_form
from pages.shell.flags import missing
from pages.shell.flags import new as flags_new
from pages.shell.flags import users as flags_users
from pages.shell.flags import view as flags_view
from pages.shell.frame import column
from pages.shell.services import services

with column():
    flags_view.head()
    said = st.container()
    snapshot = services().flags.snapshot()
    flags_view.kill_section(snapshot)
    listed, who, audit, file = st.tabs(
        ["Flags", "Who gets what", "Audit", "Flag file"], key="flags_tab", bind="query-params"
    )
    if listed.open:
        with listed:
            flags_view.flag_list(snapshot)
            with st.container(horizontal=True, vertical_alignment="bottom"):
                chosen = flags_view.choose_flag(snapshot)
                flags_new.new_flag()
                if chosen is not None:
                    flags_new.remove_flag(chosen)
            with said:
                missing.show("flag")
            if chosen is not None:
                flags_form.show(chosen)
    if who.open:
        with who:
            flags_users.show(snapshot)
    if audit.open:
        with audit:
            flags_audit.show()
    if file.open:
        with file:
            flags_file.show()
    flags_actor.watch_changes(snapshot.audit_seq)
