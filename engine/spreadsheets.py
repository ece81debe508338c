"""CSV that no spreadsheet can be tricked by: ids, texts and names that would run as a formula get an apostrophe.

Every CSV of the product is written through here. Numbers stay numbers, and Parquet and JSON keep texts as they are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# A spreadsheet runs a cell that begins like this (OWASP, "CSV injection"), also behind blanks and characters without
# width, and with the wide forms of East Asian keyboards; a tab or a line end may be dropped or start another cell.
FORMULA = "^[\\s\u00a0\u200b-\u200f\u2028-\u202f\u2060-\u2069\u3000\ufeff]*[=+\\-@＝＋－＠]|^[\\t\\r\\n]"
_FORMULA = re.compile(FORMULA)


def defused_text(text: str) -> str:
    """Return `text`, with an apostrophe before it when a spreadsheet would run it as a formula.

    >>> defused_text("=cmd|' /C calc'!A0"), defused_text("dims = 64")
    ("'=cmd|' /C calc'!A0", 'dims = 64')
    """
    return f"'{text}" if _FORMULA.match(text) else text


def defused(texts: Any) -> Any:
    """Return the Arrow array `texts` with an apostrophe before those that a spreadsheet would run as a formula."""
    import pyarrow.compute as pc

    return pc.if_else(pc.match_substring_regex(texts, FORMULA), pc.binary_join_element_wise("'", texts, ""), texts)


def csv_text(table: pd.DataFrame) -> str:
    """Return `table` as CSV, its texts and the names of its columns defused."""
    safe = table.rename(columns=lambda name: defused_text(name) if isinstance(name, str) else name)
    for place, kind in enumerate(safe.dtypes):
        if kind.kind not in "biufcmM":
            values = safe.iloc[:, place].map(lambda value: defused_text(value) if isinstance(value, str) else value)
            safe.isetitem(place, list(values))
    return safe.to_csv(index=False)
