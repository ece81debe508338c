"""Start the app: ``python -m pages.shell.serve [options of streamlit run]`` in the folder of ``app.py``.

Until the first visitor has come, ``streamlit run`` takes the folder ``pages`` for Streamlit's old kind of pages, and
greets that visitor with "Page not found" when they open the address of any page but the default one: a bookmark, or a
tab that was left open over a restart.
"""

from __future__ import annotations

import sys

from streamlit.runtime.pages_manager import PagesManager
from streamlit.web.cli import main

if __name__ == "__main__":
    PagesManager.uses_pages_directory = False
    sys.argv = ["streamlit", "run", "app.py", *sys.argv[1:]]
    main()
