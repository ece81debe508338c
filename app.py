"""The router: page config, navigation, the chosen page."""

from __future__ import annotations

from pages.shell.frame import navigation, page_config

page_config()
navigation().run()
