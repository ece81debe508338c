"""What must hold between this machine and the workers, and how it is said when it does not."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from engine.errors import AmbiguousColumnsError, CancelledError, ClusterError, EngineError, VectorError
from engine.tradeoff.distributed.connection import as_engine_error, check_versions, connected
from engine.tradeoff.distributed.tasks import worker_facts


def test_workers_of_another_version_are_refused() -> None:
    """Another version of Dimshift or Python, or none at all, names the worker, what it has and what is wanted."""
    here = worker_facts()
    check_versions({"tcp://a:1": here}, here)
    for there, words in (
        (replace(here, dimshift="9.9.9"), f"must run Dimshift {here.dimshift}, .* found 9.9.9 on tcp://b:2"),
        (replace(here, python="3.8"), f"must run Python {here.python}, .* found 3.8 on tcp://b:2"),
        (ModuleNotFoundError("No module named 'engine'"), "must have Dimshift .* found tcp://b:2: ModuleNotFoundError"),
    ):
        with pytest.raises(ClusterError, match=words):
            check_versions({"tcp://a:1": here, "tcp://b:2": there}, here)


@pytest.mark.parametrize(
    "error",
    [
        VectorError("rows must be finite", found="row 7", hint="Repair them"),
        AmbiguousColumnsError("t.parquet", wanted="vectors", candidates=["a", "b"]),
        CancelledError(),
        EngineError("x" * 390, found="y" * 190, hint="z" * 390),
    ],
)
def test_an_engine_error_crosses_to_another_process_as_it_is(error: EngineError) -> None:
    """Class, sentence and parts of an error are the same after a worker has sent it."""
    there = pickle.loads(pickle.dumps(error))  # noqa: S301 -- our own bytes
    assert type(there) is type(error)
    assert (str(there), vars(there)) == (str(error), vars(error))
    assert as_engine_error(there) is there


def test_other_failures_of_workers_are_one_sentence() -> None:
    """A worker that dies again and again, and an error that nobody expected, become errors of the cluster."""
    from distributed import KilledWorker

    killed = as_engine_error(KilledWorker("score-1", None, 3))
    assert "found a task on which 4 workers died" in str(killed)
    assert "found MemoryError: 8 GiB" in str(as_engine_error(MemoryError("8 GiB")))


def test_a_machine_too_busy_for_dask_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask's client asserts that its thread begins within 10 s; where it does not, nobody sees that assertion."""

    def too_late(_runner: object) -> None:
        raise AssertionError

    monkeypatch.setattr("distributed.utils.LoopRunner.start", too_late)
    with pytest.raises(ClusterError, match="time for Dask to start within 10 s"), connected("tcp://127.0.0.1:9"):
        pytest.fail("the connection stands")
