"""Browser profiles that one test after another opens its tabs in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_MOST_KEPT = 2
_FORGET = "() => { try { sessionStorage.clear(); localStorage.clear(); } catch { /* a page of no site has none */ } }"


class Profile:
    """A browser context for one test after another: its cache and pages stay, what the app put into them goes.

    To show the app anew in a page takes a third of the processor time that it takes in a page of a new context.
    """

    def __init__(self, browser: Browser) -> None:
        self._context = browser.new_context()
        self._left: list[Page] = []

    def page(self) -> Page:
        """Return an empty page; another one stays behind, for the process ends with its last page."""
        return self._left.pop() if len(self._left) > 1 else self._context.new_page()

    def leave(self) -> None:
        """Leave every page, which ends its session, and forget cookies and what is stored for the site."""
        from playwright.sync_api import Error

        for page in self._context.pages:
            if any(page is one for one in self._left):
                continue
            try:
                page.evaluate(_FORGET)
                page.mouse.move(0, 0)
                page.goto("about:blank")
            except Error:
                page.close()
                continue
            if len(self._left) < _MOST_KEPT:
                self._left.append(page)
            else:
                page.close()
        self._context.clear_cookies()

    def close(self) -> None:
        """Close the context."""
        self._context.close()


class Profiles:
    """The profile that most tabs share, and further ones for tabs that must know nothing of each other."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.shared = Profile(browser)
        self._apart: list[Profile] = []

    def apart(self, number: int) -> Profile:
        """Return the profile for the tab of a test that is the `number`-th, from 0, to stand apart."""
        while len(self._apart) <= number:
            self._apart.append(Profile(self._browser))
        return self._apart[number]

    def leave(self) -> None:
        """Leave every page of all of them."""
        for profile in (self.shared, *self._apart):
            profile.leave()

    def close(self) -> None:
        """Close all of them."""
        for profile in (self.shared, *self._apart):
            profile.close()
