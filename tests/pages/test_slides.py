"""The Present page: one message a screen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from engine.present.slides import slides_of
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streamlit.testing.v1 import AppTest

    from engine.present.slides import Slide
    from tests.pages.conftest import App

PAGE = "pages/present/slides.py"


def stage(at: AppTest) -> dict[str, Any]:
    """Return what the page hands to the stage."""
    (shown,) = at.get("bidi_component")
    data: dict[str, Any] = json.loads(shown.proto.json)
    return data


@pytest.fixture(scope="module")
def slides(explored_folder: Path) -> tuple[Slide, ...]:
    """Return the slides that the engine tells."""
    with Workspace.open(explored_folder) as workspace:
        return slides_of(workspace, workspace.runs(kind="sweep")[0].id)


@pytest.fixture
def open_page(explored: Path, new_tab: Callable[[], App]) -> Callable[..., AppTest]:
    """Return what opens the page on a sweep with every panel measured."""

    def opened(**query: str) -> AppTest:
        at = new_tab().open(PAGE, **query).at
        assert not at.exception
        return at

    return opened


def test_it_begins_with_the_verdict_in_the_engines_words(
    open_page: Callable[..., AppTest], slides: tuple[Slide, ...]
) -> None:
    """The first screen says what the first slide says, and nothing before it can be reached."""
    at, first = open_page(), slides[0]
    shown = stage(at)
    assert (shown["section"], shown["headline"], shown["below"]) == ("Verdict", first.headline, first.below)
    assert [one["value"] for one in shown["numbers"]] == [one.value for one in first.numbers]
    assert shown["verdict"].endswith(str(first.verdict))
    assert at.button(key="slide_back").disabled
    assert not at.get("plotly_chart")


def test_the_address_names_the_slide(open_page: Callable[..., AppTest], slides: tuple[Slide, ...]) -> None:
    """A slide opens by its name, the last has nothing after it, and an unknown name opens the first and says so."""
    at = open_page(slide="basis")
    assert stage(at)["headline"] == slides[-1].headline
    assert at.button(key="slide_next").disabled
    unknown = open_page(slide="<script>")
    assert stage(unknown)["headline"] == slides[0].headline
    (said,) = unknown.warning
    assert said.value.replace("\\", "") == "There is no slide named <script>; the first one is shown instead."
    unknown.button(key="slide_next").click().run()
    assert not unknown.warning


def test_a_slide_can_be_chosen(open_page: Callable[..., AppTest], slides: tuple[Slide, ...]) -> None:
    """The menu lists every slide and leads there."""
    at = open_page()
    menu = at.selectbox(key="slide_chosen")
    assert len(menu.options) == len(slides)
    menu.set_value("nesting").run()
    assert stage(at)["section"] == "Does it nest?"
    assert at.query_params["slide"] == "nesting"


def test_one_can_go_on_through_every_slide_and_back(
    open_page: Callable[..., AppTest], slides: tuple[Slide, ...]
) -> None:
    """Next meets each headline once, with its figure where it has one; the address follows; Back goes back."""
    at = open_page()
    for one in slides[1:]:
        at.button(key="slide_next").click().run()
        assert not at.exception
        assert (stage(at)["headline"], at.query_params["slide"]) == (one.headline, one.key)
        assert len(at.get("plotly_chart")) == (one.chart is not None)
    at.button(key="slide_back").click().run()
    assert stage(at)["headline"] == slides[-2].headline


def test_an_unknown_run_is_said_in_a_sentence(open_page: Callable[..., AppTest]) -> None:
    """A run that is not there has no slides; the newest one is offered."""
    at = open_page(run="20000101-000000-00000000")
    assert at.error
    assert not at.get("bidi_component")
    assert any(button.label == "Open the newest run" for button in at.button)


def test_an_empty_workspace_says_that_it_is_one(app: App) -> None:
    """Before there is a run the page says so, and shows how the first one comes along."""
    at = app.open(PAGE).at
    assert not at.exception
    assert [title.value for title in at.title] == ["Nothing to present yet"]
    assert not at.get("bidi_component")
