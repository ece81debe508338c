"""A workspace to show: the bundled data taken through every stage, whatever is not measured labelled simulated."""

from engine.present.demonstration.building import build_demonstration
from engine.present.demonstration.kept import (
    DEMONSTRATION_KIND,
    Demonstration,
    Outcome,
    StageDone,
    find_demonstration,
)
from engine.present.demonstration.others_work import others_work

__all__ = [
    "DEMONSTRATION_KIND",
    "Demonstration",
    "Outcome",
    "StageDone",
    "build_demonstration",
    "find_demonstration",
    "others_work",
]
