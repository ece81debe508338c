"""Which Streamlit it is, inside which `late_polls`, `late_widgets` and `nudges` reach, as it offers no other way."""

from __future__ import annotations

import streamlit as st

_KNOWN = "1.67"


def is_known() -> bool:
    """Tell whether this is the Streamlit that they were made for; any other one they leave as it is."""
    return st.__version__.startswith(f"{_KNOWN}.")


def warning() -> str:
    """Return what is missing in another Streamlit, in one sentence."""
    return (
        "clicks may be lost to polls while many people use the app, and a kill shows seconds later; "
        f"found Streamlit {st.__version__}, of which only {_KNOWN} is known from inside. "
        f"Install it: pip install 'streamlit=={_KNOWN}.*'"
    )
