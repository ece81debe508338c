"""The page Queries."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.embeddings.samples import load_sample, synthetic
from engine.tradeoff import load_sweep, save_sweep, sweep
from engine.tradeoff.queries.losses import changes_of_query, losses
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.embeddings import EmbeddingSet
    from engine.tradeoff import SweepResult
    from tests.pages.conftest import App

SCRIPT = "pages/explore/queries.py"
SEARCH, WHO, GROUPS = "Search", "Who loses?", "Groups"


def signed(change: float) -> str:
    return f"{change:+.3f}".replace("-", "−")


def swept(folder: Path) -> SweepResult:
    with Workspace.open(folder) as workspace:
        return load_sweep(workspace, workspace.runs(kind="sweep", limit=1)[0].id)


def keep(folder: Path, found: EmbeddingSet) -> str:
    """Store the set and a sweep of it; return the sweep's run."""
    with Workspace.open(folder) as workspace:
        workspace.save_dataset(found)
        return save_sweep(workspace, sweep(found, (8, found.dim), (1, 10))).id


def test_a_typed_query_is_searched_at_two_dimensions(app: App, explored: Path, phrases: EmbeddingSet) -> None:
    """The results at the chosen and at the full dimension stand side by side with texts, ranks and scores."""
    app.show(SCRIPT, queries=SEARCH, q=phrases.corpus_texts[100])  # type: ignore[index]  # the phrases have texts
    words = app.said()
    assert "results of the full dimension are kept at" in words
    assert phrases.corpus_texts[100] in words  # type: ignore[index]  # the phrases have texts
    assert "**1** · **100**" in words
    assert "score 1.000" in words
    assert [header.value for header in app.at.header] == ["64 dimensions", "256 dimensions"]


def test_sliding_the_dimension_moves_the_results(app: App, explored: Path) -> None:
    """Another dimension gives another ranking beside the same full-dimension one, and what moved is marked."""
    app.show(SCRIPT, queries=SEARCH, q="a cold and green boat", dim="64")
    before = [column.value for column in app.at.markdown if "score" in column.value]
    app.at.select_slider(key="dim").set_value(32).run()
    assert not app.at.exception
    after = [column.value for column in app.at.markdown if "score" in column.value]
    assert len(before) == len(after) == 2
    assert before[0] != after[0]
    assert any(mark in after[0] for mark in (":blue-badge", ":green-badge"))
    assert "32 dimensions" in [header.value for header in app.at.header]


@pytest.mark.parametrize(("typed", "sentence"), [("   ", "Type something"), ("\x00\x01", "")])
def test_nothing_to_search_for_is_said(app: App, explored: Path, typed: str, sentence: str) -> None:
    """An empty query, or one of control characters, gives a sentence or a result, never a traceback."""
    app.show(SCRIPT, queries=SEARCH)
    app.at.text_input(key="q").set_value(typed).run()
    assert not app.at.exception
    assert sentence in app.said()


def test_a_set_without_texts_offers_its_queries(app: App, workspace_folder: Path) -> None:
    """Without texts the box is explained away and query ids are offered; one shows its results side by side."""
    keep(workspace_folder, synthetic(300, 16, n_queries=40, seed=3))
    app.show(SCRIPT, queries=SEARCH)
    assert "has no texts" in app.said()
    assert not any(field.key == "q" for field in app.at.text_input)
    app.at.selectbox(key="query_id").set_value("7").run()
    assert not app.at.exception
    assert "results of the full dimension are kept at" in app.said()


def test_vectors_of_another_encoder_offer_their_queries(app: App, workspace_folder: Path) -> None:
    """The rotated control has texts and the encoder's size, but typed text cannot be compared with it."""
    with Workspace.open(workspace_folder) as workspace:
        result = sweep(load_sample("api-reference-rotated"), (64, 256), (10,), n_queries=40)
        save_sweep(workspace, result)
        # Something is stored already, so that the page does not measure the bundled set meanwhile.
        workspace.save_run(
            kind="clusters",
            dataset={"sha256": result.dataset.sha256},
            parameters={"sweep": workspace.runs(kind="sweep")[0].id},
            seed=0,
            summary={"refused": "not here"},
            arrays={},
            elapsed_s=0,
        )
    app.show(SCRIPT, queries=SEARCH)
    assert "not made by the bundled encoder" in app.said()
    assert any(box.key == "query_id" for box in app.at.selectbox)


def test_queries_can_be_looked_at_without_the_set(app: App, workspace_folder: Path) -> None:
    """When the vectors are gone, swept queries still show their ranks, with row numbers for documents."""
    with Workspace.open(workspace_folder) as workspace:
        save_sweep(workspace, sweep(synthetic(300, 16, n_queries=40, seed=3), (8, 16), (1, 10)))
    app.show(SCRIPT, queries=SEARCH)
    assert "not at hand" in app.said()
    assert "row " in app.said()


def test_who_loses_shows_the_distribution_and_the_worst(app: App, explored: Path) -> None:
    """Mean, p5 and shares are those of the losses; the worst queries come first, the worst of them with documents."""
    app.show(SCRIPT, queries=WHO, dim="32")
    result = swept(explored)
    found = losses(result, 32, k=10)
    metrics = {metric.label: metric.value for metric in app.at.metric}
    assert metrics["Mean change"] == signed(found.mean.mean)
    assert metrics["p5"] == signed(found.p5)
    assert app.charts() == 1
    table = app.at.dataframe[0].value
    assert table["query"].tolist()[:5] == [loss.query_id for loss in found.worst[:5]]
    assert table["change"].is_monotonic_increasing
    changes = changes_of_query(result, found.worst[0].query_row, 32, k=10)
    headers = [header.value for header in app.at.subheader]
    assert f"Lost: {len(changes.lost)} of 10" in headers
    assert f"Gained: {len(changes.gained)} of 10" in headers
    assert f"**{changes.lost[0].rank}** · **{changes.lost[0].doc_row}**" in app.said()


def test_ndcg_and_k_are_read_from_the_address(app: App, explored: Path) -> None:
    """Criterion, k and dim in the address are what the page shows."""
    app.show(SCRIPT, queries=WHO, criterion="nDCG", k="1", dim="32")
    app.at.run()  # AppTest, unlike a browser, comes to the page with the defaults first
    assert app.at.select_slider(key="dim").value == 32
    assert app.at.button_group(key="k").value == 1
    found = losses(swept(explored), 32, k=1, quantity="ndcg")
    assert {metric.label: metric.value for metric in app.at.metric}["Mean change"] == signed(found.mean.mean)


@pytest.mark.parametrize("dim", ["256", "7", "abc", "-1", "1e9", "<b>"])
def test_an_impossible_dim_in_the_address_is_passed_over(app: App, explored: Path, dim: str) -> None:
    """A dim that was not swept, the full one, or no number at all shows the page at a dim that was."""
    app.show(SCRIPT, queries=WHO, dim=dim)
    assert app.at.select_slider(key="dim").value in {32, 64}
    assert not app.at.error


def test_another_run_with_other_dims_shows_its_own(app: App, explored: Path) -> None:
    """Switching to a run that has neither the dim nor the k in view shows that run at its own."""
    other = keep(explored, synthetic(300, 16, n_queries=40, seed=3))
    with Workspace.open(explored) as workspace:
        first = workspace.runs(kind="sweep")[-1].id
    app.show(SCRIPT, queries=WHO, run=first, dim="64")
    app.at.selectbox(key="run_choice").set_value(other).run()
    assert not app.at.exception
    assert not app.at.error
    assert app.charts() == 1


def test_groups_name_the_worst_and_the_too_small(app: App, explored: Path) -> None:
    """By label the group of 15 queries is shown as too small; by clusters there are as many as were made."""
    app.show(SCRIPT, queries=GROUPS)
    words = app.said()
    assert "fewer than 30 queries: too small" in words
    assert "**rare**" not in words
    app.at.button_group(key="segments").set_value("clusters").run()
    assert not app.at.exception
    assert app.charts() == 1
    assert "k-means" in app.said()


def test_groups_without_labels_are_clusters(app: App, workspace_folder: Path) -> None:
    """A set without a label column offers clusters only, and says that they are not measured yet."""
    keep(workspace_folder, replace(synthetic(300, 16, n_queries=40, seed=3), query_segments=None))
    app.show(SCRIPT, queries=GROUPS)
    assert app.at.button_group(key="segments").options == ["clusters"]
    assert "Not measured yet." in app.said()


def test_markup_in_ids_and_texts_is_shown_letter_for_letter(
    new_tab: Callable[[], App], workspace_folder: Path, phrases: EmbeddingSet
) -> None:
    """Documents, queries and groups with Markdown, HTML and directives in their names reach the page escaped."""
    texts = [f"**b** <img src=x> :red[r] $x$ [l](http://a.b) {text}" for text in phrases.corpus_texts or ()]
    evil = replace(
        phrases,
        name="evil",
        corpus_texts=texts,
        corpus_ids=[f"<i>{row}</i>**d**" for row in range(len(texts))],
        query_texts=texts[:60],
        query_segments=["**g**"] * 40 + ["<b>h"] * 20,
    )
    keep(workspace_folder, evil)
    for tab in (SEARCH, WHO, GROUPS):
        app = new_tab().show(SCRIPT, queries=tab)
        everything = "\n".join(app.words())
        assert ":red[r]" not in everything
        assert everything.count("<img") == everything.count(r"\<img")
        assert "**b**" not in everything
        assert "****g" not in everything
        assert not any(element.allow_html for kind in ("markdown", "caption") for element in app.at.get(kind))


def test_zero_vectors_and_few_queries_still_show(new_tab: Callable[[], App], workspace_folder: Path) -> None:
    """A set with a zero query and fewer than 30 queries is shown; too small groups are called so."""
    made = synthetic(200, 16, n_queries=10, seed=3)
    queries = np.array(made.queries)
    queries[0] = 0
    keep(workspace_folder, replace(made, queries=queries, query_segments=["a"] * 10))
    assert not new_tab().show(SCRIPT, queries=WHO).at.error
    assert "too small" in new_tab().show(SCRIPT, queries=GROUPS).said()
