"""Back to the page that somebody asked for before they had to sign in.

Signing in leads away to the provider and back to the first page, in another session. What was asked for waits in the
browser tab's own storage meanwhile, and comes back as a wish: only a page of the app, and only query parameters that
its pages have, whatever is written there. No address is ever followed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from pages.shell import frame

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal

    from pages.shell.company.login import Visitor

KEY = "way_back"
QUERY_NAMES = frozenset(
    {
        *("run", "runs", "beside", "criterion", "k", "target", "dim", "q"),
        *("flag", "rollout", "migration", "step", "slide"),
        *("flags_tab", "rollout_tab", "plan_tab", "ab", "nesting", "queries", "serving"),
        *("percentile", "cutoff", "funnel_quality", "storage_quality", "storage_bytes"),
    }
)
"""The query parameters of the pages; a test finds the widgets that keep something in the address."""

_LONGEST = 2000
_LONGEST_VALUE = 400
_JS = """
const NAME = "dimshift-asked";
const FRESH_MS = 15 * 60 * 1000;

export default function (component) {
  const { data, setTriggerValue } = component;
  try {
    const kept = JSON.parse(sessionStorage.getItem(NAME) ?? "null");
    if (data.mode === "keep" && data.asked) {
      const { asked, survives } = data;
      sessionStorage.setItem(NAME, JSON.stringify({ asked, survives, at: Date.now() }));
    } else if (data.mode !== "keep" || !kept?.survives) {
      sessionStorage.removeItem(NAME);
    }
    if (data.mode === "follow" && kept && Date.now() - kept.at < FRESH_MS) setTriggerValue("asked", kept.asked);
  } catch {
    // Without storage people arrive at the first page, as Streamlit has it.
  }
}
"""
_wish = st.components.v2.component("dimshift_way_back", html="", js=_JS)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A page of the app by its name in the URL, with query parameters."""

    page: str
    query: Mapping[str, str]


def show(page: str, who: Visitor) -> None:
    """Have the browser remember where somebody wants to go while they sign in, and lead them there afterwards.

    `page` is the name of the open page in the URL, empty for the first one.
    """
    if who.asks:
        wish = as_text(Wish(page=page, query=st.query_params.to_dict())) if page else ""
        # Whoever is refused logs out first, which leads to the first page once more.
        _mount("keep", asked=wish, survives=bool(who.refusal))
        return
    if who.identity is None:
        return
    wished = _mount("drop" if page else "follow")
    found = None if page else read(wished)
    if found is not None:
        frame.go_to(found.page, found.query)


def as_text(wish: Wish) -> str:
    """Write a wish for the browser to keep; what no page has is left out."""
    return json.dumps({"page": wish.page, "query": _known(wish.query)})


def read(text: object) -> Wish | None:
    """Read what a browser kept, which may be anything; None unless it names a page of the app."""
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    page, query = (found.get("page"), found.get("query")) if isinstance(found, dict) else (None, None)
    if not isinstance(page, str) or not frame.is_listed(page):
        return None
    return Wish(page=page, query=_known(query if isinstance(query, dict) else {}))


def _known(query: Mapping[str, object]) -> dict[str, str]:
    return {
        name: value
        for name, value in query.items()
        if isinstance(name, str) and name in QUERY_NAMES and isinstance(value, str) and len(value) <= _LONGEST_VALUE
    }


def _mount(mode: Literal["keep", "follow", "drop"], *, asked: str = "", survives: bool = False) -> object:
    data = {"mode": mode, "asked": asked, "survives": survives}
    shown = _wish(key=KEY, data=data, on_asked_change=_nothing)
    return shown.get("asked") if shown else None


def _nothing() -> None:
    """Run the page again, which is all that an answer takes."""
