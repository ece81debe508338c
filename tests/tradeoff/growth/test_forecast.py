"""Will it hold: forecasts on sets that are large enough to check them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.embeddings import EmbeddingSet, synthetic
from engine.errors import CancelledError, ParameterError
from engine.tradeoff import Interval, sweep
from engine.tradeoff.growth.forecast import DimForecast, Forecast, HeldBackSize, forecast
from engine.tradeoff.results import DatasetInfo
from engine.workspace.codec import decode, encode


@pytest.fixture(scope="module")
def gaussian() -> EmbeddingSet:
    """Return 16,000 documents of 32 components whose variance falls, and 200 queries."""
    return synthetic(16_000, 32, n_queries=200, spectrum=1.0, clusters=1, seed=4)


@pytest.fixture(scope="module")
def small(gaussian: EmbeddingSet) -> EmbeddingSet:
    """Return the first 2,000 of the documents with the same queries."""
    return replace(gaussian, corpus=gaussian.corpus[:2_000], corpus_segments=None)


@pytest.fixture(scope="module")
def forecasted(small: EmbeddingSet) -> Forecast:
    """Return the forecast from 2,000 documents to 16,000."""
    return forecast(small, (4, 8, 16), target_size=16_000, seed=2)


def test_what_eight_times_the_corpus_brings_lies_in_the_interval(gaussian: EmbeddingSet, forecasted: Forecast) -> None:
    """The recall measured on 16,000 documents is inside what 2,000 of them predicted, and not far from its middle."""
    measured = sweep(gaussian, (4, 8, 16), (10,)).recall[0, :-1].mean(axis=1)
    for found, recall in zip(forecasted.dims, measured, strict=True):
        assert found.at_target.low <= recall <= found.at_target.high
        assert abs(found.at_target.mean - recall) < 0.06


def test_recall_falls_as_the_corpus_grows_and_rises_with_the_dims(forecasted: Forecast) -> None:
    """Every line falls from size to size, every slope is negative, and a larger dim always keeps more."""
    lines = np.array([[point.mean for point in found.line] for found in forecasted.dims])
    assert (np.diff(lines, axis=1) < 0).all()
    assert (np.diff(lines, axis=0) > 0).all()
    assert all(found.logit_slope < 0 for found in forecasted.dims)


def test_the_largest_size_is_the_corpus_itself(small: EmbeddingSet, forecasted: Forecast) -> None:
    """What was measured at the last size equals a sweep of the whole set; the line ends at the target."""
    swept = sweep(small, (4, 8, 16), (10,)).recall[0, :-1].mean(axis=1)
    assert forecasted.sizes[-1] == 2_000
    np.testing.assert_allclose([found.measured[-1].mean for found in forecasted.dims], swept, atol=1e-6)
    assert (forecasted.line_sizes[0], forecasted.line_sizes[-1]) == (forecasted.sizes[0], 16_000)
    assert all(found.line[-1] == found.at_target for found in forecasted.dims)


def test_the_largest_sizes_are_held_back_and_compared(forecasted: Forecast) -> None:
    """Three of eight sizes are predicted from the others; error, inside and the sentence say how that went."""
    assert forecasted.n_held_back == 3
    n_inside = 0
    for found in forecasted.dims:
        assert [test.size for test in found.held_back] == list(forecasted.sizes[-3:])
        for test, measured in zip(found.held_back, found.measured[-3:], strict=True):
            assert test.measured == measured
            assert test.error == test.predicted.mean - measured.mean
            assert test.inside == (test.predicted.low <= measured.mean <= test.predicted.high)
            n_inside += test.inside
        assert (found.widened_by > 1) == any(not test.inside for test in found.held_back)
    assert f"put {n_inside} of 9 held-back values" in forecasted.sentence
    assert "The target is 8.0 times" in forecasted.sentence


def test_the_held_back_sizes_take_no_part_in_their_prediction(small: EmbeddingSet, forecasted: Forecast) -> None:
    """The prediction for a size stays the same, to the last bit, when other sizes are held back beside it."""
    fitted = forecasted.sizes[:5]
    one, other = (
        forecast(small, (4, 16), target_size=9_000, sizes=(*fitted, 1_100, *larger), seed=2)
        for larger in ((1_500, 1_900), (1_700, 2_000))
    )
    for found, again in zip(one.dims, other.dims, strict=True):
        assert found.held_back[0].predicted == again.held_back[0].predicted
        assert found.measured[6] != again.measured[6]
        assert found.at_target != again.at_target


def test_the_metric_can_be_overridden(small: EmbeddingSet) -> None:
    """Asking for another metric equals forecasting a set of that metric."""
    asked = forecast(small, (8,), target_size=4_000, metric="ip", n_queries=50)
    given = forecast(replace(small, metric="ip"), (8,), target_size=4_000, n_queries=50)
    assert asked.dims == given.dims
    assert asked.metric == "ip"


def test_equal_seeds_give_equal_forecasts(small: EmbeddingSet, forecasted: Forecast) -> None:
    """Everything but the elapsed time is the same the second time; another seed draws other subsamples."""
    again = forecast(small, (4, 8, 16), target_size=16_000, seed=2, clock=lambda: 0.0)
    assert replace(again, elapsed_s=forecasted.elapsed_s) == forecasted
    other = forecast(small, (4, 8, 16), target_size=16_000, seed=3)
    assert other.dims[0].measured[0] != forecasted.dims[0].measured[0]


def test_a_stored_forecast_reads_back_equal(forecasted: Forecast) -> None:
    """The codec of stored runs keeps every field."""
    document, arrays = encode(forecasted)
    assert decode(document, arrays, Forecast, (DimForecast, HeldBackSize, Interval, DatasetInfo)) == forecasted


def test_fewer_than_two_thousand_documents_are_refused(small: EmbeddingSet) -> None:
    """1,999 documents show no trend; 2,000 do."""
    tiny = replace(small, corpus=small.corpus[:1_999])
    with pytest.raises(ParameterError, match="at least 2,000 documents; found 1999"):
        forecast(tiny, target_size=10_000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_size": 1_999}, "target size must be at least 2,000"),
        ({"target_size": 10**13}, "target size must be at most"),
        ({"k": 200}, "needs at least 80·k documents"),
        ({"sizes": (500, 1_000, 2_000)}, "at least 4 sizes"),
        ({"sizes": (500, 1_000, 1_500, 2_001)}, "within 20..2,000"),
        ({"sizes": (500, 500, 1_000, 2_000)}, "must ascend"),
        ({"sizes": (19, 500, 1_000, 2_000)}, "a size must be at least 20"),
        ({"dims": (32,)}, "below the full dimension"),
    ],
)
def test_parameters_out_of_range_are_refused(small: EmbeddingSet, options: dict[str, object], message: str) -> None:
    """Every parameter out of range is refused before anything is scored."""
    with pytest.raises(ParameterError, match=message):
        forecast(small, **{"target_size": 5_000, **options})


def test_progress_ascends_to_one_and_cancelling_stops(small: EmbeddingSet) -> None:
    """Progress never falls and ends at 1; cancelling raises."""
    shares: list[float] = []
    forecast(small, (8,), target_size=4_000, n_queries=30, progress=lambda share, _message: shares.append(share))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    answers = iter([False] * 5)
    with pytest.raises(CancelledError):
        forecast(small, (8,), target_size=4_000, n_queries=30, cancelled=lambda: next(answers, True))
