"""What of a workspace is somebody's own: everything but what the app makes by itself in an empty one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.embeddings.samples import load_sample
from engine.experiment.wording import plural
from engine.flags import STANDARD_FLAGS
from engine.flags.writer import FlagWriter
from engine.migration.job import KIND as MIGRATION_KIND
from engine.rollout.history import ROLLOUT_KIND

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.workspace import Run, Workspace

SAMPLE, CONTROL = "api-reference", "api-reference-rotated"

_MOST_RUNS = 1000
_COUNTED = ((ROLLOUT_KIND, "rollout"), (MIGRATION_KIND, "migration"), ("plan", "plan"))


def others_work(workspace: Workspace) -> tuple[str, ...]:
    """Count what people have done in `workspace`, as ``("2 runs", "1 changed flag")``; empty when nobody has.

    What the app makes by itself does not count: sweeps of the bundled set with what is measured for it, simulated A/B
    tests, and the standard flags.
    """
    bundled = {load_sample(key).sha256 for key in (SAMPLE, CONTROL)}
    with workspace.records() as ledger:
        counts = {word: len(ledger.all(kind)) for kind, word in _COUNTED}
        flags = FlagWriter(ledger).flags()
    counts["changed flag"] = sum(flag.version > 1 or flag not in STANDARD_FLAGS for flag in flags)
    counts["data set"] = sum(one.sha256 not in bundled for one in workspace.datasets())
    counts["run"] = sum(_is_somebodys(run, bundled) for run in workspace.runs(limit=_MOST_RUNS))
    return tuple(plural(count, word) for word, count in counts.items() if count)


def _is_somebodys(run: Run, bundled: Collection[str]) -> bool:
    is_simulated_test = run.parameters.get("traffic") is not None
    return run.dataset.get("sha256") not in bundled and not is_simulated_test
