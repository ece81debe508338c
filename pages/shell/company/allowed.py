"""Actions that the signed-in person may not do are there, disabled, with a sentence why; the engine refuses anyway."""

from __future__ import annotations

from typing import TypedDict

from engine.errors import AccessError
from engine.workspace import check_access
from pages.shell.services import services


class _Shown(TypedDict):
    disabled: bool
    help: str | None


def refusal(kind: str, action: str) -> str | None:
    """Return why the signed-in person may not do `action` to a `kind`, None when they may."""
    identity = services().identity
    if identity is None:
        return None
    try:
        # By the role of a moment ago: every button asks, and the engine looks again when one is pressed.
        check_access(identity, kind, action, role=identity.role)
    except AccessError as error:
        return f"{error.rule[:1].upper()}{error.rule[1:]}; you are {error.found}."
    return None


def shown(kind: str, action: str, *, disabled: bool = False, help: str | None = None) -> _Shown:  # noqa: A002  # Streamlit's name
    """Return how a widget for `action` is drawn, for ``st.button(..., **shown("flag", "set"))``."""
    why = refusal(kind, action)
    return {"disabled": disabled or why is not None, "help": help if why is None else why}
