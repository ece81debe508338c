"""Start the app: ``python -m pages.shell.serve [options of streamlit run]`` in the folder of ``app.py``.

Until the first visitor has come, ``streamlit run`` takes the folder ``pages`` for Streamlit's old kind of pages, and
greets that visitor with "Page not found" when they open the address of any page but the default one: a bookmark, or a
tab that was left open over a restart.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from streamlit import config
from streamlit.web.cli import main

from engine.errors import EngineError
from pages.shell import streamlit_inside
from pages.shell.company.addresses import WITHOUT_LOGIN, check_address

if TYPE_CHECKING:
    from collections.abc import Sequence


def check_start(arguments: Sequence[str]) -> None:
    """Raise AccessError when others could reach the app that `arguments` start, and nobody would have to sign in."""
    address = _option(arguments, "--server.address") or config.get_option("server.address")
    secrets = _option(arguments, "--secrets.files")
    files = config.get_option("secrets.files") if secrets is None else [secrets]
    check_address(address, has_login=_has_login(files), is_open=bool(os.environ.get(WITHOUT_LOGIN)))


def _option(arguments: Sequence[str], name: str) -> str | None:
    """Return the last value of an option, which is the one that counts."""
    found = None
    for place, argument in enumerate(arguments):
        key, is_joined, value = argument.partition("=")
        if key == name:
            found = value if is_joined else next(iter(arguments[place + 1 :]), None)
    return found


def _has_login(files: Sequence[str]) -> bool:
    """Tell whether one of the files has a section [auth]; what else is in them the app reads by itself."""
    import tomllib

    for name in files:
        try:
            if tomllib.loads(Path(name).expanduser().read_text(encoding="utf-8")).get("auth"):
                return True
        except (OSError, ValueError):
            continue  # absent, or damaged, of which Streamlit tells
    return False


def mend_streamlit() -> None:
    """Mend what Streamlit loses, in the one that is known from inside; say what is missing in any other one."""
    if not streamlit_inside.is_known():
        sys.stderr.write(f"dimshift: {streamlit_inside.warning()}\n")
        return
    from streamlit.runtime.pages_manager import PagesManager  # another Streamlit may not have it, nor what is mended

    from pages.shell.late_polls import mend_late_polls
    from pages.shell.late_widgets import mend_late_widgets
    from pages.shell.nudges import tell_page_runs_apart

    PagesManager.uses_pages_directory = False
    mend_late_polls()
    mend_late_widgets()
    tell_page_runs_apart()


if __name__ == "__main__":
    try:
        check_start(sys.argv[1:])
    except EngineError as error:
        sys.exit(f"dimshift: {error}")
    mend_streamlit()
    sys.argv = ["streamlit", "run", "app.py", *sys.argv[1:]]
    main()
