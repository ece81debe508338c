"""Ask a page of the app what keeps people out: axe-core, the keyboard, a narrow screen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.browser.conftest import Tab


@dataclass(frozen=True, kw_only=True)
class Exempt:
    """A finding of one rule inside `selector`: Streamlit's own DOM, which neither page nor theme can change."""

    rule: str
    selector: str
    reason: str


EXEMPT = (
    Exempt(
        rule="list",
        selector="[data-testid=stSidebarNavItems]",
        reason="st.navigation puts a div for each section into its list",
    ),
    Exempt(
        rule="listitem",
        selector="[data-testid=stSidebarNavItems] div > li",
        reason="the entries of those sections, whose parent is that div",
    ),
)
EXEMPT_IN_DARK = (
    Exempt(
        rule="color-contrast",
        selector="[data-variant=segmented_control][data-selected=true]",
        reason="Streamlit writes white on primaryColor and primaryColor on the page: no colour has 4.5:1 for both here",
    ),
    Exempt(
        rule="color-contrast",
        selector="[data-testid=stSlider] [data-testid=stMarkdownContainer]:not([data-testid=stWidgetLabel] *)",
        reason="as above: the value over a slider's thumb is written in primaryColor",
    ),
)

_RUN_AXE = """async ([rules, exempt]) => {
    const only = rules.length ? {runOnly: {type: 'rule', values: rules}} : {};
    const found = await axe.run(document, {elementRef: true, resultTypes: ['violations'], ...only});
    const counts = one => ['serious', 'critical'].includes(one.impact) || one.id === 'heading-order';
    const serious = found.violations.filter(counts);
    return serious.flatMap(one => one.nodes
        .filter(node => !exempt.some(([rule, selector]) => rule === one.id && node.element.closest(selector)))
        .map(node => `${one.id}: ${node.html.slice(0, 200)} ${node.failureSummary}`));
}"""

_CLIPPED = """() => {
    const main = document.querySelector('[data-testid=stMain]');
    const wide = [document.documentElement, main].filter(one => one.scrollWidth > one.clientWidth);
    // The toolbar of a table appears on hover, and the input of a slider is one invisible pixel.
    const tools = '[data-testid=stElementToolbar], [role=slider], input[type=range]';
    const scrolls = one => one && one !== main && (one.scrollWidth > one.clientWidth
        && ['auto', 'scroll'].includes(getComputedStyle(one).overflowX) || scrolls(one.parentElement));
    const kinds = 'button, input, textarea, a[href], [role=tab], [role=radio], [role=combobox]';
    const clipped = [...main.querySelectorAll(kinds)].filter(one => {
        const box = one.getBoundingClientRect();
        const isOutside = box.left < -1 || box.right > innerWidth + 1;
        return box.width > 1 && box.height > 1 && isOutside && !one.closest(tools) && !scrolls(one.parentElement);
    });
    return [...wide, ...clipped].map(one => one.outerHTML.slice(0, 200));
}"""

_START_OF_WALK = """() => {
    const style = document.createElement('style');
    style.textContent = '* {transition: none !important; animation: none !important}';
    document.head.append(style);
    const rings = one => {
        const seen = [];
        for (let at = one, step = 0; at && step < 7; at = at.parentElement, step++) {
            for (const part of [null, '::before', '::after']) {
                const look = getComputedStyle(at, part);
                seen.push(look.outline, look.boxShadow, look.borderColor, look.backgroundColor, look.color,
                          look.textDecorationLine, look.opacity);
            }
        }
        return seen.join();
    };
    window.named = one => {
        const key = one.closest('[class*=st-key-]')?.className.match(/st-key-(\\S+)/)[1];
        return `${one.tagName} ${one.getAttribute('role') ?? ''} "${one.ariaLabel ?? one.innerText}" in ${key}`;
    };
    window.walk = {reached: new Set(), names: new Set(), unmarked: [], last: null};
    document.activeElement?.blur();
    const kinds = 'button, a[href], input, textarea, select, [tabindex]';
    const unlit = new Map([...document.querySelectorAll(kinds)].map(one => [one, rings(one)]));
    window.walkStep = () => {
        const {walk} = window, now = document.activeElement;
        if (now === walk.last) return false;  // a table, whose cells Tab goes through one by one
        walk.last = null;
        // Past the last control, or where a part of the page was drawn anew under the focus: Tab goes on from there.
        if (now === document.body) return false;
        if (walk.reached.has(now)) return true;
        walk.last = now;
        // The cells of a table are painted, and so is the mark of the chosen one.
        if (now.tagName !== 'CANVAS' && unlit.get(now) === rings(now)) walk.unmarked.push(named(now));
        walk.reached.add(now);
        walk.names.add(named(now));
        return false;
    };
}"""

_MISSED = """(within) => {
    const kinds = 'button, a[href], input, textarea, select, [role=tab], [role=radio], [role=slider], [role=combobox]';
    // One stop a group: the arrows move inside.
    const groups = '[role=radiogroup], [role=tablist], [role=toolbar], [role=group]';
    // The arrow keys do in the field of a number what its two buttons do.
    const steps = '[data-testid=stNumberInputStepUp], [data-testid=stNumberInputStepDown]';
    const {reached, names} = window.walk;
    const isShown = one => one.checkVisibility({visibilityProperty: true, opacityProperty: true})
        && one.getBoundingClientRect().width > 1 && !one.closest('[inert], [aria-hidden=true]');
    const isGrouped = one => [...document.querySelectorAll(groups)].some(
        group => group.contains(one) && [...reached].some(stop => group.contains(stop)));
    return [...document.querySelectorAll(within)].flatMap(place => [...place.querySelectorAll(kinds)])
        .filter(one => !one.disabled && one.getAttribute('aria-disabled') !== 'true' && isShown(one))
        .filter(one => !reached.has(one) && !names.has(named(one)) && !isGrouped(one) && !one.matches(steps))
        .map(named);
}"""


@dataclass(frozen=True, kw_only=True)
class Walk:
    """What Tab alone did on a page: the controls it never reached, and those that did not show that they had focus."""

    missed: tuple[str, ...]
    unmarked: tuple[str, ...]


def drawn(tab: Tab) -> Tab:
    """Wait until the page and the scripts of its widgets and charts have come."""
    tab.settled()
    tab.page.wait_for_function("!document.querySelector('[data-testid=stSkeleton]')")
    return tab


def findings(tab: Tab, *, rules: tuple[str, ...] = (), exempt: tuple[Exempt, ...] = EXEMPT) -> list[str]:
    """Return the serious findings of axe-core and skipped levels of headings, without those of `exempt`."""
    if tab.page.evaluate("typeof axe") == "undefined":
        tab.page.evaluate(_axe())
    return tab.page.evaluate(_RUN_AXE, [list(rules), [[one.rule, one.selector] for one in exempt]])


def clipped(tab: Tab) -> list[str]:
    """Return what scrolls sideways, and the controls that stand partly outside the screen."""
    return tab.page.evaluate(_CLIPPED)


def untold_charts(tab: Tab) -> list[str]:
    """Return the keys of the charts without a text alternative."""
    script = """() => [...document.querySelectorAll('[data-testid=stPlotlyChart]')]
        .filter(one => !one.closest('[role=figure][aria-label]') && !one.querySelector('[role=figure][aria-label]'))
        .map(one => one.outerHTML.slice(0, 200))"""
    return tab.page.evaluate(script)


def walked(tab: Tab, *, within: str, most: int = 250) -> Walk:
    """Press Tab until it comes back to where it began, and tell which controls inside `within` that left out."""
    tab.page.evaluate(_START_OF_WALK)
    for _ in range(most):
        tab.page.keyboard.press("Tab")
        if tab.page.evaluate("window.walkStep()"):
            break
    else:
        return Walk(missed=(f"Tab does not come back within {most} steps",), unmarked=())
    unmarked: list[Any] = tab.page.evaluate("window.walk.unmarked")
    return Walk(missed=tuple(tab.page.evaluate(_MISSED, within)), unmarked=tuple(unmarked))


@cache
def _axe() -> str:
    from axe_playwright_python.base import AXE_FILE_PATH

    return AXE_FILE_PATH.read_text(encoding="utf-8")
