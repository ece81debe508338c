"""Reach a Dask cluster and make sure that its workers can do the work."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import ClusterError, EngineError, printable
from engine.progress import stop_if
from engine.tradeoff.distributed.tasks import worker_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from engine.progress import Cancelled
    from engine.tradeoff.distributed.tasks import WorkerFacts

_S = TypeVar("_S")
_T = TypeVar("_T")

_POLL_S = 0.1
_ANSWERS_WITHIN_S = 10
_WORKERS_WITHIN_S = 30
_START = "Start one with: dask scheduler, and on every machine: dask worker ADDRESS"


class Cluster:
    """A connection to the scheduler at `address`; `workers` maps the addresses of those seen first to their facts."""

    def __init__(self, client: Any, address: str) -> None:
        self.client = client
        self.address = address
        self.workers = _described(client, address)
        self._seen = set(self.workers)

    def call(self, work: Callable[..., _T], *arguments: object) -> _T:
        """Return what `work` returns on one of the workers; raises what it raised there."""
        answer: _T = self._answers([self.client.submit(work, *arguments, pure=False)])[0]
        return answer

    def call_each(self, work: Callable[[_S], _T], items: Sequence[_S]) -> list[_T]:
        """Return what `work` returns for each of `items`, on all workers."""
        return self._answers(self.client.map(work, items, pure=False))

    def begin(self, work: Callable[..., object], *arguments: object) -> Any:
        """Start `work` on one of the workers before what is begun later; `result` waits for it."""
        return self.client.submit(work, *arguments, priority=100, pure=False)

    def result(self, begun: Any, *, cancelled: Cancelled) -> Any:
        """Return what a `begin` led to; raises what it raised there, or `CancelledError`."""
        while not begun.done():
            stop_if(cancelled)
            time.sleep(_POLL_S)
        return self._answers([begun])[0]

    def _answers(self, futures: Sequence[Any]) -> list[Any]:
        try:
            return list(self.client.gather(futures))
        except Exception as error:  # noqa: BLE001 -- whatever a task raised on its worker comes out here
            raise as_engine_error(error) from None

    def threads(self) -> int:
        """Return how many tasks can run at once, and keep in mind which workers there are now."""
        by_worker = self.client.nthreads()
        self._seen |= set(by_worker)
        return sum(by_worker.values())

    def lost(self) -> int:
        """Return how many workers were there once and are gone."""
        return len(self._seen - set(self.client.nthreads()))

    def differences(self) -> list[str]:
        """Return sentences about workers whose scores may differ in the last bit from those of this machine."""
        here = worker_facts()
        sentences = []
        if any(facts.blas != here.blas for facts in self.workers.values()):
            sentences.append(
                "Some workers use other kernels of BLAS than this machine: scores may differ in the last bit."
            )
        if any(facts.packages != here.packages for facts in self.workers.values()):
            sentences.append(
                "Some workers run other versions of NumPy, SciPy or Numba: scores may differ in the last bit."
            )
        return sentences


@contextmanager
def connected(scheduler: str) -> Iterator[Cluster]:
    """Connect to the scheduler at `scheduler` (``tcp://host:8786``) for the block.

    Raises
    ------
    ClusterError
        When Dask is not installed, nobody answers, no worker is there, or workers run another version.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ClusterError(
            "a sweep on a cluster needs Dask", hint="Install it with: pip install 'dimshift[distributed]'"
        ) from None
    # Dask logs what it survives; what it does not becomes one sentence here.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = _client(Client, scheduler, timeout=_ANSWERS_WITHIN_S, set_as_default=False, name="dimshift")
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise ClusterError(
            f"a Dask scheduler must answer at its address within {_ANSWERS_WITHIN_S} s",
            found=scheduler if isinstance(error, OSError) else f"{scheduler}: {error}",
            hint=_START,
        ) from None
    except AssertionError:  # what Dask raises when the thread of its client has not begun within 10 s
        raise ClusterError(
            "this machine must have time for Dask to start within 10 s", hint="Try again when it has less to do"
        ) from None
    try:
        yield Cluster(client, scheduler)
    finally:
        client.close(timeout=_ANSWERS_WITHIN_S)


def _client(kind: Any, address: str, **options: object) -> Any:
    """Return a client of Dask that is connected, or close what there is of it and raise what it raised.

    Dask leaves a client that could not connect to the garbage collector, which closes it wherever it happens to run: in
    the middle of the start of the next client both wait for one lock, for ever.
    """
    client = kind.__new__(kind)
    try:
        client.__init__(address, **options)
    except BaseException:
        with suppress(Exception):  # why it could not connect says more than what is wrong with the rest of it
            client.close(timeout=_ANSWERS_WITHIN_S)
        raise
    return client


def check_versions(workers: Mapping[str, WorkerFacts | BaseException], here: WorkerFacts) -> None:
    """Raise `ClusterError` unless every worker answered and runs this version of Dimshift on this version of Python."""
    for address, facts in workers.items():
        if isinstance(facts, BaseException):
            raise ClusterError(
                f"every worker must have Dimshift {here.dimshift} installed",
                found=f"{address}: {type(facts).__name__}: {printable(facts)}",
                hint="Install the same version on all of them",
            )
        for what, there, wanted in (
            ("Dimshift", facts.dimshift, here.dimshift),
            ("Python", facts.python, here.python),
        ):
            if there != wanted:
                raise ClusterError(
                    f"every worker must run {what} {wanted}, as this machine does",
                    found=f"{there} on {address}",
                    hint="Install the same version on all of them",
                )


def as_engine_error(error: BaseException) -> EngineError:
    """Return what stopped a task as one sentence; what the engine itself raised on a worker stays as it is."""
    from distributed import KilledWorker

    if isinstance(error, EngineError):
        return error
    if isinstance(error, KilledWorker):
        return ClusterError(
            "a worker must outlive its task",
            found=f"a task on which {error.allowed_failures + 1} workers died one after the other",
            hint="They may lack memory: start workers with fewer threads, sample the queries, or ask for a smaller k",
        )
    return ClusterError(
        "every task must run on its worker",
        found=f"{type(error).__name__}: {printable(error)}",
        hint="The log of the worker says more",
    )


def _described(client: Any, address: str) -> dict[str, WorkerFacts]:
    from distributed import TimeoutError as DaskTimeoutError

    try:
        client.wait_for_workers(1, timeout=_WORKERS_WITHIN_S)
    except (DaskTimeoutError, TimeoutError):
        raise ClusterError(
            f"a worker must be there within {_WORKERS_WITHIN_S} s", found=f"none at {address}", hint=_START
        ) from None
    answers = client.run(worker_facts, on_error="return")
    check_versions(answers, worker_facts())
    return dict(answers)
