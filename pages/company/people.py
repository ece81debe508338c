"""People: who has which role in this workspace, and who gave it to them."""

from __future__ import annotations

import streamlit as st

from engine.errors import EngineError
from engine.workspace import RoleList
from pages.shell.company import view as people_view
from pages.shell.frame import column
from pages.shell.services import services
from pages.shell.text import sentence

with column():
    st.title("People", anchor=False)
    people_view.explain()
    try:
        listed = RoleList(services().workspace).all()
        people_view.table(listed)
        people_view.form(listed)
        people_view.history()
    except EngineError as error:
        st.error(sentence(error))
