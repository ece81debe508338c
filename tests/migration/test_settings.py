"""Ranges of migration settings."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import ParameterError
from engine.migration.settings import MigrationSettings


@pytest.mark.parametrize(
    "wrong",
    [
        {"dims": 0},
        {"dims": 20_000},
        {"dtype": "int8"},
        {"batch_size": 0},
        {"rows_per_s": 0.0},
        {"attempts": 0},
        {"most_passes": 0},
        {"first_wait_s": -1.0},
        {"wait_for_store_s": float("nan")},
        {"quarantine_share": 1.5},
        {"validate_share": -0.1},
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    """Every setting outside its range is one sentence."""
    with pytest.raises(ParameterError):
        MigrationSettings(**{"dims": 256, **wrong})


def test_a_batch_is_about_16_mib_of_source_vectors() -> None:
    """The batch size follows the source's dims within bounds, and a set one is taken as it is."""
    settings = MigrationSettings(dims=256)
    assert settings.rows_a_batch(1024) == 4096
    assert settings.rows_a_batch(4) == 16_384
    assert settings.rows_a_batch(16_000) == 262
    assert MigrationSettings(dims=256, batch_size=7).rows_a_batch(1024) == 7
