"""Put words that came from a file or a user on a page without anything in them acting as Markdown."""

from __future__ import annotations

import re
import string
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.errors import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_PUNCTUATION = re.compile(f"[{re.escape(string.punctuation)}]")
# Shortcodes (:smile:, :material/home:) and bare links are looked for after backslashes are gone, so only a character
# in between stops them. U+2060, word joiner, has no width and breaks no line.
_SHORTCODE = re.compile(r":(?=[\w+-])")
_LINK = re.compile(r"(?i)(?<=://)|(?<=\bwww)(?=\.)|(?<=\w@)(?=[\w-]+\.)")
_JOINER = "\u2060"


def plain(text: object, *, longest: int = 600) -> str:
    """Return `text` so that Streamlit shows it letter for letter: no Markdown, LaTeX, shortcodes, icons or links."""
    line = printable(text, longest=longest)
    line = _LINK.sub(_JOINER, line)
    line = _SHORTCODE.sub(f":{_JOINER}", line)
    return _PUNCTUATION.sub(r"\\\g<0>", line)


def sentence(words: object) -> str:
    """Return an error's words as plain text with a capital first, unless a file's name or a symbol stands there."""
    line = str(words)
    first = line.split(" ", 1)[0]
    begins = first.isalpha() and (len(first) > 1 or first == "a")
    return plain(line[:1].upper() + line[1:] if begins else line, longest=2000)


def local_time(moment: datetime, timezone: str | None) -> str:
    """Write `moment` in the reader's time zone, as ``22 Nov 2026, 15:10``; in UTC, and saying so, without one."""
    try:
        zone = ZoneInfo(timezone) if timezone else None
    except (ZoneInfoNotFoundError, ValueError):
        zone = None
    local = moment.astimezone(UTC if zone is None else zone)
    return f"{local.day} {local:%b %Y, %H:%M}" + (" UTC" if zone is None else "")


def told_apart(titles: Mapping[str, str]) -> dict[str, str]:
    """Return `titles` by their ids with no two alike, the end of the id added where they would be.

    A browser tells Streamlit which title of a list was chosen, not which entry: of two alike it takes the first, and of
    a title that has changed since it was drawn none. So the lowest id, that of the oldest run, keeps its title.

    >>> told_apart({"20260105-2b": "same", "20260105-1a": "same", "20260105-3c": "other"})
    {'20260105-2b': 'same · 60105-2b', '20260105-1a': 'same', '20260105-3c': 'other'}
    """
    first: dict[str, str] = {}
    for key in sorted(titles):
        first.setdefault(titles[key], key)
    return {key: title if first[title] == key else f"{title} · {key[-8:]}" for key, title in titles.items()}
