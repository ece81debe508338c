"""The router: page config, navigation, the kill switch's banner, the chosen page."""

from __future__ import annotations

from engine.errors import EngineError
from pages.shell import kill_banner, trouble
from pages.shell.frame import navigation, page_config

page_config()
page = navigation()
try:
    kill_banner.show(page.url_path)
    page.run()
except EngineError as error:  # what no part of the page expected, such as a database that got locked or damaged
    trouble.show(error)
