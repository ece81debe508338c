"""Stored sweeps side by side: paired where the queries are the same, apart where they are not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.embeddings.embedding_set import Judgements
from engine.embeddings.samples import synthetic
from engine.errors import ParameterError, RunNotFoundError, WorkspaceError
from engine.tradeoff import load_sweep, save_sweep, sweep
from engine.tradeoff.run_comparison import RunDifference, compare_runs
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.embeddings import EmbeddingSet

Z = 1.96


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """Return a workspace for all tests of this module."""
    folder: Path = tmp_path_factory.mktemp("compared") / "workspace"
    with Workspace.open(folder) as opened:
        yield opened


@pytest.fixture(scope="module")
def save(workspace: Workspace) -> Callable[..., str]:
    """Return what sweeps a set and keeps it, and returns the run's id."""

    def keep(chosen: EmbeddingSet, dims: tuple[int, ...] = (2, 4, 8, 16), ks: tuple[int, ...] = (1, 10)) -> str:
        return save_sweep(workspace, sweep(chosen, dims, ks)).id

    return keep


def made(*, seed: int = 0, n_queries: int = 80, prefix: str = "q", d: int = 16, **changes: object) -> EmbeddingSet:
    """Return a synthetic set whose queries have ids of their own."""
    chosen = synthetic(300, d, n_queries=n_queries, clusters=5, spectrum=1.0, seed=seed)
    return replace(chosen, query_ids=[f"{prefix}{row}" for row in range(n_queries)], **changes)  # type: ignore[arg-type]  # fields of the set


def at(differences: tuple[RunDifference, ...], dim: int) -> RunDifference:
    """Return the difference at one dim."""
    return next(one for one in differences if one.dim == dim)


def test_paired_differences_are_those_of_a_paired_bootstrap(workspace: Workspace, save: Callable[..., str]) -> None:
    """Over the shared queries, in whatever order, mean and interval are the naive ones of the differences."""
    first, other = made(), made(seed=1)
    assert other.queries is not None
    turned = np.arange(80)[::-1]
    shuffled = replace(
        other, queries=other.queries[turned], query_ids=[f"q{row}" for row in turned], query_segments=None
    )
    runs = [save(first), save(shuffled)]
    found = compare_runs(workspace, runs)
    sweeps = [load_sweep(workspace, run) for run in runs]
    by_id = [dict(zip(one.query_ids, one.recall[1, 1], strict=True)) for one in sweeps]
    naive = np.array([by_id[1][query] - by_id[0][query] for query in by_id[0]], dtype=np.float64)
    one = at(found.differences_of("recall"), 4)
    assert (one.is_paired, one.n_queries) == (True, 80)
    assert one.difference.mean == pytest.approx(naive.mean(), abs=1e-6)
    reach = Z * naive.std(ddof=1) / np.sqrt(80)
    assert one.difference.high - one.difference.low == pytest.approx(2 * reach, rel=0.1)


def test_other_queries_are_resampled_apart(workspace: Workspace, save: Callable[..., str]) -> None:
    """Without shared ids the difference is that of the two means, with both variances in its interval."""
    runs = [save(made()), save(made(seed=2, n_queries=50, prefix="x"))]
    one = at(compare_runs(workspace, runs).differences_of("recall"), 4)
    values = [load_sweep(workspace, run).recall[1, 1].astype(np.float64) for run in runs]
    assert (one.is_paired, one.n_queries) == (False, 50)
    assert one.difference.mean == pytest.approx(values[1].mean() - values[0].mean(), abs=1e-6)
    reach = Z * np.sqrt(sum(value.var(ddof=1) / len(value) for value in values))
    assert one.difference.high - one.difference.low == pytest.approx(2 * reach, rel=0.1)


def test_few_shared_queries_are_not_worth_pairing(workspace: Workspace, save: Callable[..., str]) -> None:
    """Below half of the smaller set the runs are compared apart, from half on over what they share."""
    first = save(made())
    for n_shared, is_paired in ((39, False), (40, True)):
        ids = [f"q{row}" if row < n_shared else f"other{row}" for row in range(80)]
        found = compare_runs(workspace, [first, save(replace(made(seed=3), query_ids=ids))])
        one = at(found.differences_of("recall"), 4)
        assert (one.is_paired, one.n_queries) == (is_paired, n_shared if is_paired else 80)


def test_a_run_beside_its_twin_shows_no_difference(workspace: Workspace, save: Callable[..., str]) -> None:
    """Two sweeps of one set are the same everywhere, are told apart by their ids, and say why they are the same."""
    runs = [save(made()), save(made())]
    found = compare_runs(workspace, runs)
    assert {(one.difference.low, one.difference.high) for one in found.differences} == {(0.0, 0.0)}
    assert {one.verdict for one in found.differences} == {"the same"}
    assert len({one.label for one in found.runs}) == 2
    assert [one.verdict for one in found.runs] == [
        workspace.run(run).summary["recommendation"]["verdict"] for run in runs
    ]
    assert [words.partition(": ")[2] for words in found.warnings] == [
        "a sweep of the same vectors, so the queries that both asked have the same values in both."
    ]
    assert "has the same recall@10 as" in found.sentences[0]
    assert found.sentences[0].endswith("at 3 of 3 dims, paired over 80 queries.")
    assert [one.dim for one in found.differences] == [2, 4, 8]


def test_the_full_dimension_has_no_recall_to_compare(workspace: Workspace, save: Callable[..., str]) -> None:
    """16 of 16 is 1 by definition, so 16 of 32 is not set against it; curves keep every dim of their own."""
    runs = [save(made()), save(made(seed=4, d=32), dims=(4, 8, 16, 32))]
    found = compare_runs(workspace, runs)
    assert [one.dim for one in found.differences_of("recall")] == [4, 8]
    assert [one.dims for one in found.curves_of("recall")] == [(2, 4, 8, 16), (4, 8, 16, 32)]
    nothing = compare_runs(workspace, [runs[0], save(made(seed=4, d=32), dims=(16, 32))])
    assert nothing.differences == ()
    assert "no dimension below both full ones" in " ".join(nothing.warnings)


def test_ranking_quality_is_compared_where_all_have_judgements(workspace: Workspace, save: Callable[..., str]) -> None:
    """For two judged runs nDCG is compared, at the full dimension too; beside one without judgements it is not."""
    rows = np.arange(80)
    truth = Judgements(query_rows=rows, doc_rows=rows, grades=np.ones(80, dtype=np.float32))
    judged = [save(made(seed=seed, judgements=truth)) for seed in (0, 1)]
    found = compare_runs(workspace, judged)
    assert found.quantities == ("recall", "ndcg")
    assert [one.dim for one in found.differences_of("ndcg")] == [2, 4, 8, 16]
    assert compare_runs(workspace, [*judged, save(made())]).quantities == ("recall",)


def test_what_keeps_runs_from_being_alike_is_said(workspace: Workspace, save: Callable[..., str]) -> None:
    """Another set, another metric, another size and queries that are only numbered are each named."""
    chosen = synthetic(300, 16, n_queries=40, clusters=5, seed=5)
    larger = synthetic(400, 16, n_queries=40, clusters=5, seed=5)
    words = " ".join(compare_runs(workspace, [save(chosen), save(replace(larger, metric="l2"))]).warnings)
    for part in ("not which one answers better", "300; 400", "same metric and recipe", "by their row numbers"):
        assert part in words


def test_sentences_say_what_the_differences_show(workspace: Workspace, save: Callable[..., str]) -> None:
    """A steeper spectrum keeps more in few dims: the sentence counts where, with an interval and the queries."""
    steep = synthetic(300, 16, n_queries=80, clusters=5, spectrum=3.0, seed=0)
    named = replace(steep, name="steep\u202e one", query_ids=[f"q{row}" for row in range(80)])
    found = compare_runs(workspace, [save(made()), save(named)])
    assert {one.verdict for one in found.differences} == {"higher"}
    (words,) = found.sentences
    assert words.startswith("steep  one has a recall@10 above that of Synthetic 300 × 16 at 3 of 3 dims, below it at 0")
    assert words.endswith("paired over 80 queries.")


def test_runs_that_cannot_be_compared_are_one_sentence(workspace: Workspace, save: Callable[..., str]) -> None:
    """One run, a run twice, nine runs, no common k, an unknown run and one that is no sweep are refused."""
    run, other = save(made()), save(made(), ks=(5,))
    for runs in ([run], [run, run], [f"{number}" for number in range(9)]):
        with pytest.raises(ParameterError, match="2 to 8 different runs can be compared"):
            compare_runs(workspace, runs)
    with pytest.raises(ParameterError, match="a k that all of them swept; found 1, 10; 5"):
        compare_runs(workspace, [run, other])
    with pytest.raises(ParameterError, match="a k that all of them swept; found 7"):
        compare_runs(workspace, [run, save(made(seed=1))], k=7)
    with pytest.raises(RunNotFoundError, match="no such run"):
        compare_runs(workspace, [run, "20200101-000000-00000000"])
    kept = workspace.save_run(kind="cost", dataset={}, parameters={}, seed=0, summary={}, arrays={}, elapsed_s=0.0)
    with pytest.raises(WorkspaceError, match="must be a sweep"):
        compare_runs(workspace, [run, kept.id])


def test_the_same_seed_gives_the_same_intervals(workspace: Workspace, save: Callable[..., str]) -> None:
    """Comparing twice is the same to the last digit; another seed moves the bounds a little."""
    runs = [save(made()), save(made(seed=6))]
    assert compare_runs(workspace, runs, seed=3) == compare_runs(workspace, runs, seed=3)
    assert compare_runs(workspace, runs, seed=4) != compare_runs(workspace, runs, seed=3)
