"""Rollouts: ramp a flag by a schedule, watch it, pause it or roll it back; pre-flight and exports."""

from engine.rollout.control import ROLL_BACK_WORD, Observed, Replay, RolloutControl
from engine.rollout.gates import Action, Gate, Obstacle
from engine.rollout.history import HistoryEntry
from engine.rollout.incidents import Incident
from engine.rollout.machine import Rollout, RolloutState, Step
from engine.rollout.observations import Observation
from engine.rollout.schedule import DEFAULT_SCHEDULE, Schedule, Stage
from engine.rollout.series import LookPoint
from engine.rollout.simulated import Rehearsal, SimulatedRollouts, SimulationSettings, parse_fault, rehearse
from engine.rollout.status import RolloutStatus, StageView
from engine.rollout.thresholds import Limit, Thresholds

__all__ = [
    "DEFAULT_SCHEDULE",
    "ROLL_BACK_WORD",
    "Action",
    "Gate",
    "HistoryEntry",
    "Incident",
    "Limit",
    "LookPoint",
    "Observation",
    "Observed",
    "Obstacle",
    "Rehearsal",
    "Replay",
    "Rollout",
    "RolloutControl",
    "RolloutState",
    "RolloutStatus",
    "Schedule",
    "SimulatedRollouts",
    "SimulationSettings",
    "Stage",
    "StageView",
    "Step",
    "Thresholds",
    "parse_fault",
    "rehearse",
]
