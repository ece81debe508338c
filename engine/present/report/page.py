"""The page around a report's sections: its style, the script that draws its charts, and what it may load: nothing."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING

from engine.charts.theme import DARK, FONT, LIGHT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.charts.theme import Palette

PRINTED_PX = 680
"""The width of a chart on A4 paper."""

_STYLE = """
:root { color-scheme: light; LIGHT }
@media screen and (prefers-color-scheme: dark) { :root { color-scheme: dark; DARK } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--background); color: var(--text); font: 16px/1.55 FONT; overflow-wrap: anywhere; }
.page { max-width: 1020px; margin: 0 auto; padding: 40px 24px 72px; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .35em; font-weight: 700; text-wrap: balance; }
h2 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .7em; font-weight: 700; }
h3 { font-size: 1.15rem; line-height: 1.3; margin: 2.2em 0 .5em; font-weight: 700; }
h4 { font-size: 1rem; margin: 1.8em 0 .4em; font-weight: 600; }
p { margin: 0 0 .8em; max-width: 46em; }
ul { margin: 0 0 1em; padding-left: 1.2em; max-width: 46em; }
li { margin: .3em 0; }
a { color: var(--accent); }
a:focus-visible, summary:focus-visible, [tabindex]:focus-visible { outline: 2px solid var(--accent);
  outline-offset: 2px; }
.facts, .note, footer { color: var(--muted); font-size: .875rem; }
.lead { font-size: 1.06rem; }
.warning { border-left: 4px solid var(--undecided); padding: .5em .9em; background: var(--surface); }
nav { margin: 1.6em 0 0; padding: .9em 0; border-block: 1px solid var(--line); }
nav ul { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .25em 1.4em; max-width: none; }
nav li { margin: 0; }
nav a { text-decoration: none; font-size: .9375rem; }
nav a:hover { text-decoration: underline; }
section { padding-top: 2.6em; margin-top: 2.6em; border-top: 1px solid var(--line); }
nav + section { border-top: 0; padding-top: 0; margin-top: 2.2em; }
.label { display: inline-block; border: 1px solid var(--line); border-radius: 999px; padding: .05em .7em;
  font-size: .8125rem; font-weight: 400; color: var(--muted); background: var(--surface);
  vertical-align: middle; margin-inline-end: .35em; white-space: nowrap; }
.statement { margin: 0 0 1.2em; }
.statement h3 { font-size: 1.6rem; margin: 0 0 .35em; }
section:not(#verdict) .statement h3 { font-size: 1.2rem; margin-top: 1.2em; }
.verdict { font-weight: 600; white-space: nowrap; }
.safe { color: var(--safe); } .undecided { color: var(--undecided-text); } .harmful { color: var(--harmful); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 1.4em 0; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; }
.card .name { font-size: .875rem; color: var(--muted); }
.card .value { font-size: 1.6rem; line-height: 1.35; font-weight: 600; font-variant-numeric: tabular-nums; }
.card .below { font-size: .8125rem; color: var(--muted); }
figure { margin: 1.6em 0 1.8em; }
figcaption { font-weight: 600; margin-bottom: .3em; }
.plot { width: 100%; }
figure details { margin-top: .4em; font-size: .875rem; color: var(--muted); }
summary { cursor: pointer; width: fit-content; }
.rows { margin: 1.8em 0 .4em; } .rows > summary { font-weight: 600; margin-bottom: .4em; }
.scroll { overflow-x: auto; margin: 0 0 .5em; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; min-width: 50%; }
th, td { text-align: left; padding: .42em 1.1em .42em 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: normal; }
th { color: var(--muted); font-weight: 600; vertical-align: bottom; }
td.number, th.number { text-align: right; }
td.number + td:not(.number), th.number + th:not(.number) { padding-left: 1.1em; }
td { white-space: nowrap; } th.number { min-width: 5.5em; }
td.data, td.words { white-space: normal; min-width: 8.5em; max-width: 26em; overflow-wrap: anywhere; }
td.words { min-width: 15em; }
td .range { display: block; color: var(--muted); font-size: .93em; }
footer { margin-top: 4em; padding-top: 1.2em; border-top: 1px solid var(--line); }
code { font-size: .9em; overflow-wrap: anywhere; }
@media (max-width: 640px) {
  .page { padding: 24px 16px 48px; }
  h1 { font-size: 1.55rem; } .statement h3 { font-size: 1.3rem; }
  .cards { grid-template-columns: repeat(2, 1fr); gap: 8px; } .card { padding: 10px 12px; }
  .card .value { font-size: 1.25rem; }
}
@page { size: A4; margin: 16mm 14mm; }
@media print {
  body { font-size: 10.5pt; } .page { max-width: none; padding: 0; }
  nav, figure details, .modebar-container { display: none !important; }
  section { margin-top: 1.6em; padding-top: 1.2em; }
  h2, h3, h4, figcaption { break-after: avoid; }
  figure, .card, .statement, tr { break-inside: avoid; }
  .scroll { overflow: visible; } table { font-size: 8pt; min-width: 0; } th, td { padding-right: .7em; }
  td { white-space: normal; } th.number { min-width: 0; } td.data, td.words { min-width: 5em; }
  .cards { grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); }
}
"""

_SCRIPT = """
"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)"), paper = matchMedia("print");
  const places = [...document.querySelectorAll("[data-chart]")];
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const config = read("chart-config");
  const draw = (place) => {
    const mode = !paper.matches && !printing && dark.matches ? "dark" : "light";
    const width = paper.matches || printing ? PRINTED : null;
    const shown = `${mode} ${width}`;
    if (place.dataset.shown === shown) return;
    const figure = read(`${place.dataset.chart}-${mode}`);
    if (width) Object.assign(figure.layout, { width, autosize: false });
    Plotly.react(place, figure.data, figure.layout, { ...config, responsive: !width });
    place.dataset.shown = shown;
  };
  let printing = false, opened = [];
  const redraw = () => places.forEach(draw);
  dark.addEventListener("change", redraw);
  paper.addEventListener("change", redraw);
  addEventListener("beforeprint", () => {
    printing = true;
    redraw();
    opened = [...document.querySelectorAll("details.rows:not([open])")];
    opened.forEach((one) => { one.open = true; });
  });
  addEventListener("afterprint", () => {
    printing = false;
    redraw();
    opened.forEach((one) => { one.open = false; });
  });
  const next = () => {
    const place = places.find((one) => !one.dataset.shown);
    if (!place) { document.documentElement.dataset.drawn = places.length; return; }
    draw(place);
    setTimeout(next);
  };
  next();
})();
"""


def page(*, title: str, scripts: Sequence[str], parts: Sequence[str]) -> str:
    """Return a whole HTML page; only `scripts`, which their digests name, may run, and nothing may be loaded.

    `parts` are HTML already; `title` is text.
    """
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    # Plotly writes style attributes, and saves a picture by way of a blob.
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return "".join(
        (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            '<meta name="referrer" content="no-referrer">\n<meta name="color-scheme" content="light dark">\n',
            f"<title>{escape(title)}</title>\n<style>{_style()}</style>\n</head>\n<body>\n",
            *parts,
            *(f"\n<script>{script}</script>" for script in scripts),
            "\n</body>\n</html>\n",
        )
    )


def chart_script() -> str:
    """Return the script that draws every chart from the figures beside it, in the reader's colours or for paper."""
    return _SCRIPT.replace("PRINTED", str(PRINTED_PX))


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _style() -> str:
    return _STYLE.replace("LIGHT", _variables(LIGHT)).replace("DARK", _variables(DARK)).replace("FONT", FONT)


def _variables(colours: Palette) -> str:
    names = (
        "background",
        "surface",
        "text",
        "muted",
        "line",
        "accent",
        "safe",
        "undecided",
        "undecided_text",
        "harmful",
    )
    return " ".join(f"--{name.replace('_', '-')}: {getattr(colours, name)};" for name in names)
