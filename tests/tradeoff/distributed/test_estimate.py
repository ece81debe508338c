"""The cost model of a sweep on a cluster."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from engine.errors import ParameterError
from engine.tradeoff.distributed.estimate import Rates, SweepSize, TimedSweep, estimate, fit_rates

RATES = Rates(flop=2e-11, score=3e-11, byte=2e-10, kept=2e-8, task=2e-3, startup=0.5, listed=1e-7)
SIZE = SweepSize(n_docs=1_000_000, dim=768, n_queries=1_000, n_dims=8, k=100)


def _runs() -> list[TimedSweep]:
    """Return runs whose seconds the model itself gives, each dominated by another part of the work."""
    sizes = [
        SweepSize(n_docs=n, dim=dim, n_queries=q, n_dims=dims, k=k)
        for n, dim, q, dims, k in (
            (20_000, 128, 100, 2, 10), (20_000, 128, 1_000, 2, 10), (60_000, 128, 300, 8, 10),
            (20_000, 512, 300, 2, 10),
            (40_000, 256, 300, 2, 100), (40_000, 256, 100, 4, 200), (2_000, 16, 1, 1, 1), (900_000, 512, 2, 1, 1),
        )
    ]  # fmt: skip
    return [
        TimedSweep(
            size=size,
            n_threads=2,
            worker_s=estimate(size, RATES, workers=2, threads=1).worker_s,
            here_s=RATES.startup + RATES.listed * size.kept_bytes / 16,
        )
        for size in sizes
    ]


def test_rates_are_found_again_from_runs() -> None:
    """Runs that follow the model give back its rates, and so the seconds of a size far beyond them."""
    found = fit_rates(_runs())
    assert asdict(found) == pytest.approx(asdict(RATES), rel=1e-6)
    with pytest.raises(ParameterError, match="at least 5 runs"):
        fit_rates(_runs()[:4])


def test_no_rate_is_below_zero() -> None:
    """Runs whose seconds fall with their size, as noise may have it, still give rates that are none below 0."""
    backwards = [replace(run, worker_s=1 / run.worker_s, here_s=1 / run.here_s) for run in _runs()]
    assert min(asdict(fit_rates(backwards)).values()) >= 0


def test_what_grows_with_what() -> None:
    """Twice the threads nearly halve the seconds; bytes read and moved follow their formulas; storage adds its time."""
    one, two = (estimate(SIZE, RATES, workers=workers, threads=8) for workers in (1, 2))
    here = RATES.startup + RATES.listed * 8 * 1_000 * 100
    assert (one.seconds - here) / (two.seconds - here) == pytest.approx(2, rel=0.1)
    assert two.worker_s == pytest.approx(16 * (two.seconds - here), rel=0.1)
    assert one.corpus_bytes == two.corpus_bytes == 1_000_000 * 768 * 4
    kept = 8 * 1_000 * 100 * 16
    assert two.moved_bytes == pytest.approx(2 * 1_000 * 768 * 4 + (4 / 3 * two.tasks + 1) * kept, rel=1e-9)
    slow = estimate(SIZE, RATES, workers=2, threads=8, storage_bytes_s=1e9)
    assert slow.seconds - two.seconds == pytest.approx(one.corpus_bytes / 2e9)
    larger = estimate(replace(SIZE, n_docs=50_000_000), RATES, workers=1, threads=8)
    assert larger.worker_bytes == one.worker_bytes


@pytest.mark.parametrize("wrong", [{"workers": 0, "threads": 1}, {"workers": 1, "threads": 0}])
def test_nobody_to_work_is_refused(wrong: dict[str, int]) -> None:
    """There is no estimate for a cluster without workers or threads, nor for a corpus of nothing."""
    with pytest.raises(ParameterError, match="must be at least 1; found 0"):
        estimate(SIZE, RATES, **wrong)
    with pytest.raises(ParameterError, match="n_docs must be at least 1; found 0"):
        replace(SIZE, n_docs=0)
