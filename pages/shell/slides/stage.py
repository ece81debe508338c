"""The words of a slide in letters that grow with the screen, and the keys that clickers send.

Streamlit has no text larger than its headings, so this is a component of the app's own. Its markup, style and script
are fixed; what a slide says reaches it as data and is set as text, never as markup.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from engine.charts import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.charts import Palette
    from engine.present.slides import Slide
    from engine.tradeoff.results import Verdict

KEY = "slide_stage"
_HTML = """
<article aria-live="polite">
  <p class="about"><span class="section"></span><span class="verdict"></span><span class="labels"></span></p>
  <h1></h1>
  <p class="below"></p>
  <dl></dl>
</article>
"""
_CSS = """
article { font-family: var(--st-font); color: var(--st-text-color); line-height: 1.2; overflow-wrap: anywhere; }
.about { display: flex; flex-wrap: wrap; align-items: center; gap: 0.3em 0.7em; margin: 0;
  font-size: clamp(0.95rem, 1.25vw, 1.6rem); color: var(--muted); }
.verdict { color: var(--verdict); font-weight: 650; }
.verdict:empty { display: none; }
.labels { display: contents; }
.labels span { border: 1px solid currentColor; border-radius: 1em; padding: 0.05em 0.6em; }
h1 { font-size: clamp(1.7rem, 3.3vw, 4.6rem); font-weight: 650; letter-spacing: -0.01em; line-height: 1.12;
  margin: 0.25em 0 0.3em; text-wrap: balance; }
.below { font-size: clamp(1.05rem, 1.55vw, 2.1rem); line-height: 1.35; color: var(--muted); margin: 0; }
.below:empty { display: none; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 13em), 1fr)); gap: 1.6em 2em;
  margin: clamp(1.4rem, 4vw, 4.5rem) 0 0; font-size: clamp(1rem, 1.4vw, 1.9rem); }
dl:empty { display: none; }
dt { color: var(--muted); }
dd { margin: 0; }
dd.value { font-size: clamp(2.2rem, 6vw, 8.5rem); font-weight: 650; line-height: 1.15; color: var(--accent); }
dd.value.long { font-size: clamp(1.8rem, 4vw, 5.5rem); }
"""
_JS = """
const STEPS = { PageDown: "next", PageUp: "back", Home: "first", End: "last" };

export default function (component) {
  const { data, parentElement, setStateValue, setTriggerValue } = component;
  const find = (selector) => parentElement.querySelector(selector);
  const made = (name, text, kind) => {
    const one = document.createElement(name);
    one.textContent = text;
    if (kind) one.className = kind;
    return one;
  };
  const article = find("article");
  for (const [name, colour] of Object.entries(data.colours)) article.style.setProperty(`--${name}`, colour);
  find(".section").textContent = data.section;
  find(".verdict").textContent = data.verdict;
  find("h1").textContent = data.headline;
  find(".below").textContent = data.below;
  find(".labels").replaceChildren(...data.labels.map((label) => made("span", label)));
  find("dl").replaceChildren(...data.numbers.map((number) => {
    const group = document.createElement("div");
    group.append(made("dt", number.name), made("dd", number.value, number.value.length > 9 ? "value long" : "value"));
    if (number.below) group.append(made("dd", number.below));
    return group;
  }));

  // Drawn again for every slide: what listens to the window has to be replaced, not added.
  article.stop?.();
  let told = data.screen;
  const measure = () => {
    const rounded = (length) => 40 * Math.round(length / 40);
    const screen = { width: rounded(innerWidth), height: rounded(innerHeight) };
    if (told && told.width === screen.width && told.height === screen.height) return;
    told = screen;
    setStateValue("screen", screen);
  };
  const press = (event) => {
    const within = event.composedPath()[0];
    const isTyping = within instanceof Element && within.closest("input, textarea, select, [contenteditable=true]");
    if (isTyping || !(event.key in STEPS) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    setTriggerValue("step", STEPS[event.key]);
  };
  window.addEventListener("resize", measure);
  window.addEventListener("keydown", press);
  article.stop = () => {
    window.removeEventListener("resize", measure);
    window.removeEventListener("keydown", press);
  };
  measure();
  return () => article.stop();
}
"""
_stage = st.components.v2.component("dimshift_slide", html=_HTML, css=_CSS, js=_JS)


@dataclass(frozen=True, kw_only=True)
class Screen:
    """The size of the reader's window in pixels, to the nearest 40."""

    width: int
    height: int


_USUAL = Screen(width=1280, height=800)


def show(slide: Slide, colours: Palette, *, on_step: Callable[[], None]) -> Screen:
    """Show the words of `slide` and return how large the screen is; `on_step` is called when a clicker was pressed."""
    known = _screen(st.session_state.get(KEY))
    verdict = slide.verdict
    data = {
        "section": slide.section,
        "headline": slide.headline,
        "below": slide.below,
        "labels": list(slide.labels),
        "verdict": "" if verdict is None else f"{VERDICTS[verdict].symbol} {verdict}",
        "numbers": [{"name": one.name, "value": one.value, "below": one.below} for one in slide.numbers],
        "colours": {
            "muted": colours.muted,
            "accent": colours.accent,
            "verdict": _in_words(verdict, colours),
        },
        "screen": None if known is None else {"width": known.width, "height": known.height},
    }
    shown = _stage(key=KEY, data=data, on_screen_change=_nothing, on_step_change=on_step)
    return _screen(shown) or _USUAL


def step() -> str:
    """Return which way the clicker that was pressed goes: next, back, first or last."""
    state = st.session_state.get(KEY)
    return str(state.get("step") or "") if state else ""


def _in_words(verdict: Verdict | None, colours: Palette) -> str:
    if verdict is None:
        return colours.text
    return colours.undecided_text if verdict == "undecided" else colours.verdict(verdict)


def _nothing() -> None:
    """Run the page again, which is all that another size of the window takes."""


def _screen(state: Any) -> Screen | None:
    """Read what the browser sent, which is only believed within reason."""
    sent = state.get("screen") if state else None
    if not sent:
        return None
    try:
        return Screen(width=min(max(int(sent["width"]), 320), 8_000), height=min(max(int(sent["height"]), 320), 8_000))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
