"""The page that somebody asked for before signing in: what a browser kept of it is a wish, not an address."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pages.shell.company.way_back import QUERY_NAMES, Wish, as_text, read
from pages.shell.frame import PAGES

ROOT = Path(__file__).resolve().parents[2]
OTHERS_IN_ADDRESSES = {"migration", "slide"}
"""Kept in the address by the pages themselves, without a widget."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["page", "query", "run"]) | st.text(), inner),
    max_leaves=8,
)


def bound_names() -> set[str]:
    """Return the keys of the widgets that keep their value in the address, as the pages' sources have them."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "pages").rglob("*.py")}
    constants = {
        target.id: node.value.value
        for tree in trees.values()
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found: set[str] = set()
    for path, tree in trees.items():
        for node in ast.walk(tree):
            keywords = {one.arg: one.value for one in node.keywords} if isinstance(node, ast.Call) else {}
            if "bind" not in keywords:
                continue
            key = keywords["key"]
            if isinstance(key, ast.Constant):
                found.add(str(key.value))
            elif isinstance(key, ast.Attribute):
                found.add(str(constants[key.attr]))
            else:
                assert path.name == "run_lists.py", f"which name does {path} keep in the address?"
                found |= {"runs", "beside"}
    return found


def test_every_parameter_of_a_page_is_known() -> None:
    """What a page keeps in its address comes back after signing in; nothing else is in the list."""
    assert bound_names() | OTHERS_IN_ADDRESSES == QUERY_NAMES


@pytest.mark.parametrize("page", [spec.url for spec in PAGES])
def test_every_page_comes_back(page: str) -> None:
    """A wish for a page of the app is read as it was written, without parameters that no page has."""
    wish = Wish(page=page, query={"run": "20260101-000000-00000000", "embed": "true", "q": "x" * 401})
    assert read(as_text(wish)) == Wish(page=page, query={"run": "20260101-000000-00000000"})


@pytest.mark.parametrize(
    "page", ["", "https://example.org", "//example.org", "../flags", "flags/", "/flags", "javascript:alert(1)", "home"]
)
def test_no_address_is_followed(page: str) -> None:
    """What is not the name of a page leads nowhere."""
    assert read(json.dumps({"page": page, "query": {}})) is None


@given(st.text() | JSON.map(json.dumps) | JSON)
def test_anything_may_be_kept(kept: object) -> None:
    """Whatever a browser sends leads to a page of the app with known parameters, or nowhere."""
    found = read(kept)
    if found is not None:
        assert found.page in {spec.url for spec in PAGES}
        assert set(found.query) <= QUERY_NAMES


def test_a_flood_of_brackets_is_no_wish() -> None:
    """A text that is too long or too deep is not read."""
    assert read("[" * 2000) is None
    assert read(as_text(Wish(page="flags", query=dict.fromkeys(sorted(QUERY_NAMES), "x" * 400)))) is None
