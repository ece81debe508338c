"""The frame around every page: window title, logo, navigation, width."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamlit.delta_generator import DeltaGenerator

_ROOT = Path(__file__).resolve().parents[2]
_ASSETS = _ROOT / "pages" / "assets"
# Streamlit's own button writes cells as they are, formulas too; every file that is offered here goes through
# engine.spreadsheets instead.
_WITHOUT_RAW_CSV = (
    "<style>[data-testid=stElementToolbarButton]:has([aria-label^='Download as CSV']) {display: none}</style>"
)
# It shows nothing, and shall take no room.
_WITHOUT_ROOM = "<style>.st-key-way_back {position: absolute}</style>"
_WIDEST_PX = 1120


@dataclass(frozen=True, kw_only=True)
class PageSpec:
    """One page of the app; a page is listed when its script exists."""

    section: str
    title: str
    script: str
    url: str
    icon: str
    is_default: bool = False
    hides_sidebar: bool = False
    needs_login: bool = False


PAGES = (
    PageSpec(
        section="Start",
        title="Overview",
        script="pages/present/overview.py",
        url="overview",
        icon=":material/route:",
        is_default=True,
    ),
    PageSpec(
        section="Start", title="Datasets", script="pages/data/datasets.py", url="datasets", icon=":material/database:"
    ),
    PageSpec(
        section="Explore",
        title="Sweep",
        script="pages/explore/sweep.py",
        url="sweep",
        icon=":material/show_chart:",
    ),
    PageSpec(
        section="Explore",
        title="Speed and size",
        script="pages/explore/serving.py",
        url="serving",
        icon=":material/speed:",
    ),
    PageSpec(
        section="Explore",
        title="Nesting",
        script="pages/explore/nesting.py",
        url="nesting",
        icon=":material/stacks:",
    ),
    PageSpec(
        section="Explore",
        title="Queries",
        script="pages/explore/queries.py",
        url="queries",
        icon=":material/manage_search:",
    ),
    PageSpec(
        section="Explore",
        title="Compare",
        script="pages/explore/compare.py",
        url="compare",
        icon=":material/compare_arrows:",
    ),
    PageSpec(
        section="Validate",
        title="A/B test",
        script="pages/validate/ab_test.py",
        url="ab-test",
        icon=":material/science:",
    ),
    PageSpec(
        section="Ship",
        title="Rollout",
        script="pages/ship/rollout.py",
        url="rollout",
        icon=":material/rocket_launch:",
    ),
    PageSpec(
        section="Ship",
        title="Feature flags",
        script="pages/ship/flags.py",
        url="flags",
        icon=":material/flag:",
    ),
    PageSpec(
        section="Ship",
        title="Migration",
        script="pages/ship/migration.py",
        url="migration",
        icon=":material/swap_horiz:",
    ),
    PageSpec(
        section="Present", title="Plan", script="pages/present/plan.py", url="plan", icon=":material/calendar_month:"
    ),
    PageSpec(
        section="Present",
        title="Runbook",
        script="pages/present/runbook.py",
        url="runbook",
        icon=":material/checklist:",
    ),
    PageSpec(
        section="Present", title="Report", script="pages/present/report.py", url="report", icon=":material/description:"
    ),
    PageSpec(
        section="Present",
        title="Present",
        script="pages/present/slides.py",
        url="present",
        icon=":material/slideshow:",
        hides_sidebar=True,
    ),
    PageSpec(
        section="Company",
        title="People",
        script="pages/company/people.py",
        url="people",
        icon=":material/group:",
        needs_login=True,
    ),
)


def page_config() -> None:
    """Set icon, width and logo; before the navigation, or Streamlit fetches the page's icon from a font server."""
    st.set_page_config(
        page_title="Dimshift",
        page_icon=str(_ASSETS / "icon.svg"),
        layout="wide",
        menu_items={"About": "**Dimshift** measures how few dimensions your Matryoshka embeddings can keep."},
    )
    st.logo(str(_ASSETS / "logo.svg"), size="large", icon_image=str(_ASSETS / "icon.svg"))
    st.html(_WITHOUT_RAW_CSV + _WITHOUT_ROOM)


def navigation(*, is_hidden: bool = False, has_login: bool = False) -> st.Page:
    """Return the page that the reader chose, with all of them listed by section and the window named after it.

    `is_hidden` lists none, for somebody who has not signed in. Without `has_login` there is no page about people; with
    it, the sidebar's field of who is signed in leads there.
    """
    sections: dict[str, list[st.Page]] = {}
    for spec in PAGES:
        script = _ROOT / spec.script
        if not script.is_file() or (spec.needs_login and not has_login):
            continue
        listed = sections.setdefault(spec.section, [])
        url = "home" if spec.is_default else spec.url
        listed.append(
            st.Page(
                script,
                title=spec.title,
                icon=spec.icon,
                url_path=url,
                default=spec.is_default,
                visibility="hidden" if spec.needs_login else "visible",
            )
        )
        if spec.is_default:
            # Streamlit shows the default page at the root only; under its own name it shall not be "Page not found".
            listed.append(st.Page(script, title=spec.title, url_path=spec.url, visibility="hidden"))
    page = st.navigation(sections, position="hidden" if is_hidden else "sidebar", expanded=True)
    is_bare = any(spec.hides_sidebar for spec in PAGES if spec.url == page.url_path)
    st.set_page_config(page_title=f"{page.title} · Dimshift", initial_sidebar_state="collapsed" if is_bare else "auto")
    return page


def go_to(url: str, query: Mapping[str, str] | None = None) -> None:
    """Leave for another page of the app, by the name it has in the URL, with the query parameters `query`."""
    spec = next(spec for spec in PAGES if spec.url == url)
    # Without any, Streamlit would refuse to leave a page that keeps a widget in its address.
    st.switch_page(_ROOT / spec.script, query_params=dict(query or {}))


def is_listed(url: str) -> bool:
    """Tell whether the app has the page of that name."""
    return any(spec.url == url and (_ROOT / spec.script).is_file() for spec in PAGES)


def icon_of(url: str) -> str:
    """Return the icon of a page, as it is in the navigation."""
    return next(spec.icon for spec in PAGES if spec.url == url)


def column() -> DeltaGenerator:
    """Return the column that a page is written in: as wide as the window, up to a width that reads well."""
    return st.container(width=_WIDEST_PX, gap="medium")
