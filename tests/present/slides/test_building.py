"""What slides there are, and that they say what the report says."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.embeddings.embedding_set import Judgements
from engine.embeddings.samples import synthetic
from engine.errors import RunNotFoundError, WorkspaceError
from engine.present.report.blocks import Cards, Statement
from engine.present.report.building import build_report
from engine.present.report.wording import sentence
from engine.present.slides import Slide, slides_of
from engine.present.slides.slide import LONGEST_HEADLINE, MOST_NUMBERS
from engine.tradeoff import Criterion, save_sweep, summarize, sweep

if TYPE_CHECKING:
    from engine.embeddings import EmbeddingSet
    from engine.workspace import Workspace


@pytest.fixture(scope="module")
def slides(told: Workspace, told_run: str) -> tuple[Slide, ...]:
    """Return the slides of the workspace that holds everything."""
    return slides_of(told, told_run)


def small_set(*, judged: bool = False) -> EmbeddingSet:
    """Return 300 documents of which 8 of 16 dimensions say nearly everything."""
    made = synthetic(300, 16, n_queries=40, clusters=5, spectrum=4.0, seed=0)
    rows = np.arange(40)
    grades = np.ones(40, dtype=np.float32)
    return replace(made, judgements=Judgements(query_rows=rows, doc_rows=rows, grades=grades)) if judged else made


def test_the_verdict_comes_first_and_what_it_rests_on_last(slides: tuple[Slide, ...]) -> None:
    """A complete workspace is told from the verdict over all that was measured and done to the basis of it all."""
    assert [one.key for one in slides] == [
        "verdict",
        "kept",
        "latency",
        "bytes",
        "rerank",
        "cost",
        "losers",
        "groups",
        "nesting",
        "growth",
        "plan",
        "ab-1",
        "ab-1-latency",
        "rollout-1",
        "rollout-2",
        "rollout-2-incident",
        "migration-1",
        "runbook",
        "basis",
    ]


def test_every_figure_is_one_of_the_report(told: Workspace, told_run: str, slides: tuple[Slide, ...]) -> None:
    """A slide draws what the report draws, described in the same words, and no figure is shown twice."""
    reported = {(chart.title, chart.description) for chart in build_report(told, told_run).charts}
    drawn = [(one.chart.title, one.chart.description) for one in slides if one.chart is not None]
    assert len(drawn) >= 13
    assert set(drawn) <= reported
    assert len(set(drawn)) == len(drawn)


def test_the_verdict_is_the_one_of_the_report(told: Workspace, told_run: str, slides: tuple[Slide, ...]) -> None:
    """Headline, reason, verdict and big numbers of the first slide are those that the report begins with."""
    statement, cards = build_report(told, told_run).sections[0].blocks[:2]
    assert isinstance(statement, Statement)
    assert isinstance(cards, Cards)
    first = slides[0]
    assert (first.headline, first.below) == (statement.title, sentence(statement.reason))
    assert first.verdict == statement.verdict
    said = [(sentence(card.name), sentence(card.value)) for card in cards.items]
    assert [(card.name, card.value) for card in first.numbers] == said[1 : 1 + MOST_NUMBERS]


def test_each_slide_says_one_thing_that_a_screen_holds(slides: tuple[Slide, ...]) -> None:
    """Headlines are short and without a stop, numbers few; a slide has a figure or numbers; its words hold it all."""
    for one in slides:
        assert 0 < len(one.headline) <= LONGEST_HEADLINE
        assert not one.headline.endswith(".")
        assert len(one.numbers) <= MOST_NUMBERS
        assert (one.chart is None) == bool(one.numbers)
        assert one.headline in one.words
        assert one.below in one.words
        assert all(number.value in one.words for number in one.numbers)


def test_texts_of_the_data_set_are_harmless(slides: tuple[Slide, ...]) -> None:
    """Hostile names are cut and hold no control or bidi characters."""
    texts = [
        text
        for one in slides
        for text in (
            one.section,
            one.headline,
            one.below,
            *one.labels,
            *(n.name + n.value + n.below for n in one.numbers),
        )
    ]
    assert any("<script>" in text for text in texts), "markup stays text, to be escaped where it is shown"
    assert not [text for text in texts if any(unicodedata.category(letter) in {"Cc", "Cf", "Cs"} for letter in text)]
    assert max(map(len, texts)) < 500


def test_what_is_simulated_says_so(slides: tuple[Slide, ...]) -> None:
    """Every slide of a simulated test or rollout wears the label, and a forecast its own."""
    simulated = [one for one in slides if one.key.startswith(("ab-", "rollout-"))]
    assert simulated
    assert all("simulated" in one.labels for one in simulated)
    assert next(one for one in slides if one.key == "growth").labels[0] == "forecast"
    assert all("synthetic" in one.labels for one in slides if one.key in {"verdict", "kept", "losers", "basis"})


def test_what_is_not_there_has_no_slide(workspace: Workspace) -> None:
    """A sweep alone is told in the slides that it fills."""
    run = save_sweep(workspace, sweep(small_set(), (4, 8, 16), (1, 10)))
    assert [one.key for one in slides_of(workspace, run.id)] == ["verdict", "kept", "losers", "groups", "basis"]


def test_one_dimension_is_said_to_be_too_few(workspace: Workspace) -> None:
    """A sweep of the full dimension alone has slides, and none of them compares anything."""
    run = save_sweep(workspace, sweep(small_set(), (16,), (10,)))
    told = {one.key: one for one in slides_of(workspace, run.id)}
    assert list(told) == ["verdict", "kept", "basis"]
    assert told["kept"].headline == "Only all 16 dimensions were swept: there is nothing smaller to compare"


def test_what_the_verdict_judges_is_told_first(workspace: Workspace) -> None:
    """With judgements two curves are told; the one that the run's criterion judges has the verdict."""
    result = sweep(small_set(judged=True), (4, 8, 16), (1, 10))
    criterion = Criterion(quantity="ndcg", k=10, target=0.9)
    run = save_sweep(workspace, result, criterion=criterion)
    kept, also = slides_of(workspace, run.id)[1:3]
    summary = summarize(result, criterion)
    dim = summary.recommendation.dim or 8
    point = next(point for point in summary.points if point.dim == dim)
    assert (
        kept.headline == f"{dim} of 16 dimensions keep {100 * point.retention[10].mean:.1f}\u00a0% of ranking quality"
    )
    assert kept.verdict == point.verdict
    assert "the target is 90.0" in kept.below
    assert also.headline == f"{dim} of 16 dimensions find {100 * point.recall[10].mean:.1f}\u00a0% of the same top 10"
    assert also.verdict is None
    assert "target" not in also.below


def test_runs_that_cannot_be_told_are_refused(told: Workspace) -> None:
    """An unknown run and one that is no sweep end in a sentence, not in slides."""
    with pytest.raises(RunNotFoundError):
        slides_of(told, "20000101-000000-00000000")
    with pytest.raises(WorkspaceError, match="sweep"):
        slides_of(told, told.runs(kind="ab")[0].id)
