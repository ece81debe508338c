"""Sweeps beyond one machine: the corpus stays where the workers of a Dask cluster see it, and only the best travel."""

from engine.tradeoff.distributed.loading import PartsSource
from engine.tradeoff.distributed.sweeping import can_be_shared, sweep_on_cluster, sweeper

__all__ = ["PartsSource", "can_be_shared", "sweep_on_cluster", "sweeper"]
