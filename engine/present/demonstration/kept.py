"""What a workspace keeps of its demonstration: the stages that are done, and which process works on the others."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from engine.errors import WorkspaceError
from engine.workspace.processes import Owner

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.workspace import Ledger, Record, Workspace

DEMONSTRATION_KIND = "demonstration"
ACTOR = "demonstration"

_KEY = "demonstration"
_SILENT = timedelta(minutes=10)  # no stage takes so long: the process of another machine has ended


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a stage left behind, in one sentence, and the run that keeps it where there is one."""

    sentence: str
    run_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class StageDone:
    """A stage that is done, and how many seconds it took."""

    key: str
    title: str
    outcome: Outcome
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """The demonstration of a workspace; `n_new` of its stages were built by the call that returned it.

    `panels` are those that it measures beside recall, None for all. It `is_complete` once no stage is left.
    """

    seed: int
    panels: tuple[str, ...] | None
    stages: tuple[StageDone, ...] = ()
    is_complete: bool = False
    n_new: int = 0

    @property
    def seconds(self) -> float:
        """How long the stages took, all together."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def sweep_run(self) -> str | None:
        """The run of the sweep that everything else is about, None before it was made."""
        return self.run_of("sweeps")

    def run_of(self, key: str) -> str | None:
        """Return the run that the stage `key` left behind, None where there is none."""
        return next((stage.outcome.run_id for stage in self.stages if stage.key == key), None)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The demonstration as this process works on it; `version` is that of its record."""

    demonstration: Demonstration
    version: int
    owner: Owner | None


def find_demonstration(workspace: Workspace) -> Demonstration | None:
    """Return the demonstration of `workspace`, finished or not; None where there is none. Raises WorkspaceError."""
    with workspace.records() as ledger:
        record = ledger.get(DEMONSTRATION_KIND, _KEY)
    return None if record is None else _read(record)[0]


def claim(workspace: Workspace, *, seed: int, panels: Collection[str] | None, others: Collection[str]) -> Claim:
    """Begin a demonstration, or take over the one that another process has left unfinished.

    Raises
    ------
    WorkspaceError
        When the workspace holds the work of `others` and no demonstration, or another process builds it now.
    """
    with workspace.recording() as ledger:
        record = ledger.get(DEMONSTRATION_KIND, _KEY)
        if record is None:
            _check_free_of(others)
            begun = Demonstration(seed=seed, panels=None if panels is None else tuple(panels))
            return _put(ledger, begun, version=0, owner=Owner.this_process(), action="begin")
        found, owner = _read(record)
        gone = True if owner is None else owner.is_gone()
        if not (ledger.now - record.updated_at > _SILENT if gone is None else gone):
            raise WorkspaceError("the demonstration of this workspace is being built already", hint="Wait for it")
        return _put(ledger, found, version=record.version, owner=Owner.this_process(), action="go on")


def keep_stage(workspace: Workspace, claimed: Claim, stage: StageDone, *, is_last: bool) -> Claim:
    """Add a finished stage. Raises ConflictError when another process has taken the demonstration over."""
    kept = claimed.demonstration
    more = replace(kept, stages=(*kept.stages, stage), is_complete=is_last, n_new=kept.n_new + 1)
    with workspace.recording() as ledger:
        return _put(ledger, more, version=claimed.version, owner=claimed.owner, action="build", reason=stage.title)


def release(workspace: Workspace, claimed: Claim) -> None:
    """Let another call go on with the demonstration. Raises ConflictError when one has done so already."""
    with workspace.recording() as ledger:
        _put(ledger, claimed.demonstration, version=claimed.version, owner=None, action="stop")


def _check_free_of(others: Collection[str]) -> None:
    if others:
        raise WorkspaceError(
            "a demonstration is built where nobody keeps work of their own",
            found=", ".join(others),
            hint="Name another folder with --workspace",
        )


def _put(
    ledger: Ledger, kept: Demonstration, *, version: int, owner: Owner | None, action: str, reason: str = ""
) -> Claim:
    body = asdict(kept)
    del body["n_new"]
    body["owner"] = None if owner is None else asdict(owner)
    record = ledger.put(
        DEMONSTRATION_KIND, _KEY, body, expected_version=version, actor=ACTOR, action=action, reason=reason
    )
    return Claim(demonstration=kept, version=record.version, owner=owner)


def _read(record: Record) -> tuple[Demonstration, Owner | None]:
    body: dict[str, Any] = dict(record.body)
    try:
        owner = body.pop("owner")
        panels = body.pop("panels")
        stages = tuple(StageDone(**{**one, "outcome": Outcome(**one["outcome"])}) for one in body.pop("stages"))
        kept = Demonstration(**body, panels=None if panels is None else tuple(panels), stages=stages)
        return kept, None if owner is None else Owner(**owner)
    except (KeyError, TypeError) as error:
        raise WorkspaceError(
            "a stored demonstration must be of a form this version knows",
            found="another one",
            hint="Open the workspace with the version that wrote it",
        ) from error
