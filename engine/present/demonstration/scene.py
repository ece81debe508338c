"""What the stages of the demonstration share: the workspace, the bundled set, and what earlier stages left behind."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from engine.embeddings.samples import load_sample
from engine.errors import WorkspaceError
from engine.flags import FlagStore
from engine.present.demonstration.others_work import SAMPLE
from engine.present.plan import PlanStore
from engine.rollout import RolloutControl, SimulatedRollouts
from engine.tradeoff import load_sweep

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.embeddings import EmbeddingSet
    from engine.present.demonstration.kept import Demonstration
    from engine.present.plan import KeptPlan
    from engine.progress import Cancelled, Progress
    from engine.tradeoff import SweepResult
    from engine.workspace import Run, Workspace

RAMPED_FLAG = "use_reduced_dims"
FIRST_RAMP, SECOND_RAMP = f"{RAMPED_FLAG}-1", f"{RAMPED_FLAG}-2"


class Scene:
    """A demonstration under way: `demonstration` holds the stages that are done."""

    def __init__(self, workspace: Workspace, demonstration: Demonstration, *, cancelled: Cancelled) -> None:
        self.workspace = workspace
        self.demonstration = demonstration
        self.cancelled = cancelled

    @property
    def seed(self) -> int:
        """The seed of everything random."""
        return self.demonstration.seed

    @property
    def panels(self) -> Collection[str] | None:
        """The panels to measure, None for all."""
        return self.demonstration.panels

    @cached_property
    def embedding_set(self) -> EmbeddingSet:
        """The bundled set."""
        return load_sample(SAMPLE)

    @cached_property
    def flags(self) -> FlagStore:
        """The flags of the workspace."""
        return FlagStore(self.workspace)

    @cached_property
    def rollouts(self) -> RolloutControl:
        """The rollouts of the workspace."""
        return RolloutControl(self.workspace, self.flags)

    @cached_property
    def simulated(self) -> SimulatedRollouts:
        """What steps rollouts through simulated days."""
        return SimulatedRollouts(self.rollouts)

    @cached_property
    def sweep_run(self) -> Run:
        """The run of the sweep that everything is about; only after its stage."""
        return self.workspace.run(self.demonstration.sweep_run or "")

    @cached_property
    def sweep(self) -> SweepResult:
        """That sweep."""
        return load_sweep(self.workspace, self.sweep_run.id)

    @property
    def plan(self) -> KeptPlan:
        """The plan as it is kept; only after its stage."""
        kept = PlanStore(self.workspace).load()
        if kept is None:
            raise WorkspaceError(
                "the plan of the demonstration must be there", found="none", hint="Save one on the Plan page"
            )
        return kept

    @property
    def dim(self) -> int:
        """The dimension to keep: the recommended one, or about half where none is shown to be safe."""
        recommended = self.sweep_run.summary["recommendation"]["dim"]
        return int(recommended or max(dim for dim in self.sweep.dims if 2 * dim <= self.sweep.dims[-1]))


def part(progress: Progress, place: int, of: int) -> Progress:
    """Return what reports part `place` (from 0) of `of` equal parts to `progress`."""

    def report(share: float, message: str) -> None:
        progress((place + share) / of, message)

    return report
