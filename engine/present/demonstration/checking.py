"""The stage of the runbook: the items of its checklist that only a person can tick."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.experiment.wording import plural
from engine.present.demonstration.kept import ACTOR, Outcome
from engine.present.demonstration.scene import SECOND_RAMP
from engine.present.runbook import RunbookStore

if TYPE_CHECKING:
    from engine.present.demonstration.scene import Scene
    from engine.progress import Progress

_NOTES = {
    "scripts": "Simulated: the steps were gone through in staging after the first ramp was rolled back.",
    "runbook": "Simulated: the steps were read by two people who had not written them.",
    "on-call": "Simulated: whoever is on call has used the kill switch once.",
}


def tick_checks(scene: Scene, progress: Progress) -> Outcome:
    """Tick what nobody has measured, each with a note that says that it is simulated."""
    progress(0.0, "Ticking the checklist")
    store = RunbookStore(scene.workspace)
    ticked = store.kept().ticks
    for key, note in _NOTES.items():
        if key not in ticked:
            store.tick(key, actor=ACTOR, note=note, about=SECOND_RAMP)
    return Outcome(sentence=f"{plural(len(_NOTES), 'item')} of the checklist ticked, simulated.")
