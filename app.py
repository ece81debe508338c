"""The router: page config, who is signed in, navigation, the kill switch's banner, the chosen page."""

from __future__ import annotations

from engine.errors import EngineError
from pages.shell import kill_banner, services, trouble
from pages.shell.company import login, way_back
from pages.shell.frame import navigation, page_config

page_config()
failure: EngineError | None = None
try:
    who = services.visitor()
except EngineError as error:
    who, failure = login.Visitor(asks=True), error
page = navigation(is_hidden=not who.is_inside, has_login=login.is_configured())
try:
    if failure is not None:
        raise failure
    way_back.show(page.url_path, who)
    if who.is_inside:
        kill_banner.show(page.url_path)
        login.show_who(who, log_out=lambda: services.end_session(who))
        page.run()
    else:
        login.show_sign_in(who, log_out=lambda: services.end_session(who))
except EngineError as error:  # what no part of the page expected, such as a database that got locked or damaged
    trouble.show(error)
