"""The JSON that scripts read and the table that people export."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from engine.tradeoff import Criterion, SweepResult, points_table, summarize, sweep, sweep_json

if TYPE_CHECKING:
    from engine.embeddings import EmbeddingSet

MakeResult = Callable[..., SweepResult]


def _exported(result: SweepResult, criterion: Criterion | None = None) -> dict:
    exported = sweep_json(result, summarize(result, criterion), run_id="run-1", environment={"python": "3.11"})
    return json.loads(json.dumps(exported, allow_nan=False))


def test_the_json_holds_what_the_contract_names(embedding_set: EmbeddingSet) -> None:
    """Every field of the contract is there under its name, for every k and dim."""
    result = sweep(embedding_set, (4, 8), (1, 10))
    exported = _exported(result)
    assert exported["run_id"] == "run-1"
    expected = {"n_docs": 300, "n_queries": 60, "dim": 32, "sha256": embedding_set.sha256}
    assert expected.items() <= exported["dataset"].items()
    assert (exported["metric"], exported["seed"], exported["environment"]) == ("cosine", 0, {"python": "3.11"})
    assert [point["dim"] for point in exported["points"]] == [4, 8, 32]
    assert set(exported["recommendation"]) == {"dim", "verdict", "reason"}
    for column, point in enumerate(exported["points"]):
        assert set(point["recall_at_k"]) == set(point["ndcg_at_k"]) == {"1", "10"}
        assert set(point["recall_at_k"]["10"]) == {"mean", "low", "high"}
        assert point["recall_at_k"]["10"]["mean"] == result.recall[1, column].mean(dtype=float)
        assert point["bytes_per_vector"] == 4 * point["dim"]
        assert point["verdict"] in {"safe", "harmful", "undecided"}


def test_ndcg_is_there_only_with_judgements(embedding_set: EmbeddingSet) -> None:
    """Without relevance judgements the JSON has no nDCG fields at all."""
    exported = _exported(sweep(replace(embedding_set, judgements=None), (8,), (10,)))
    assert not {"ndcg_at_k", "ndcg_retention_at_k", "judged_recall_at_k", "mrr"} & set(exported["points"][0])


def test_what_does_not_exist_is_null(make_result: MakeResult) -> None:
    """NaN means and bounds become null: JSON has no NaN. No recommendation is a null dim."""
    result = make_result(np.ones((2, 50)), dims=(8, 16), ndcg=np.zeros((2, 50)))
    exported = _exported(result, Criterion(quantity="ndcg"))
    assert exported["points"][0]["ndcg_retention_at_k"]["10"] == {"mean": None, "low": None, "high": None}
    assert exported["recommendation"]["dim"] is None
    assert exported["criterion"] == {"quantity": "ndcg", "k": 10, "target": 0.95}


def test_the_table_has_a_row_a_dimension(embedding_set: EmbeddingSet) -> None:
    """The table holds every interval of every point, in ascending dims."""
    result = sweep(embedding_set, (4, 8), (1, 10))
    summary = summarize(result)
    table = points_table(summary)
    assert table["dim"].tolist() == [4, 8, 32]
    assert table["verdict"].tolist() == [point.verdict for point in summary.points]
    for row, point in enumerate(summary.points):
        assert table.loc[row, "recall@10"] == point.recall[10].mean
        assert table.loc[row, "nDCG retention@1 low"] == point.retention[1].low
        assert table.loc[row, "MRR high"] == point.mrr.high
    assert "nDCG@10" not in points_table(summarize(sweep(replace(embedding_set, judgements=None), (8,), (10,))))
