"""Runs: what was computed, on what, how, and where."""

from __future__ import annotations

import re
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

from engine.errors import ParameterError, RunNotFoundError
from engine.workspace.artefacts import ArrayFile
from engine.workspace.environment import environment
from engine.workspace.models import RunRow
from engine.workspace.plain import plain_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{8}")
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Run:
    """A finished piece of work, never changed afterwards.

    `dataset`, `parameters`, `summary` and `environment` are plain JSON; `array_names` are those that
    `Workspace.arrays` returns. `created_at` is in UTC. `created_by` is the person who was signed in, else the login
    name of whoever ran it; empty for runs of a time when that was not kept.
    """

    id: str
    kind: str
    created_at: datetime
    dataset: dict[str, Any]
    parameters: dict[str, Any]
    seed: int
    environment: dict[str, Any]
    summary: dict[str, Any]
    array_names: tuple[str, ...]
    elapsed_s: float
    created_by: str = ""


def new_run_id(moment: datetime) -> str:
    """Return an id that sorts by time and is safe in a URL: ``20261122-153012-1f0c9a2e``."""
    return f"{moment.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"


def checked_run_id(run_id: object) -> str:
    """Return `run_id` when it has the form of one; it may come from a URL and becomes a folder's name."""
    if not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id):
        raise run_not_found(run_id)
    return run_id


def run_not_found(run_id: object) -> RunNotFoundError:
    """Build the error for a run that is not there."""
    return RunNotFoundError("no such run is in this workspace", found=run_id, hint="Choose one of the stored runs")


def new_run_row(
    *,
    created_at: datetime,
    kind: str,
    dataset: Mapping[str, object],
    parameters: Mapping[str, object],
    seed: int,
    summary: Mapping[str, object],
    elapsed_s: float,
    created_by: str,
    machines: Mapping[str, object] | None = None,
) -> RunRow:
    """Return the row of a new run, without its arrays yet; `machines` is added to the environment of this process."""
    if not _KIND.fullmatch(kind):
        raise ParameterError("a run's kind is a short lower-case word", found=kind)
    if not 0 <= seed <= _LARGEST_SEED:
        raise ParameterError("the seed must lie within 0..2^63-1", found=seed)
    sha256 = dataset.get("sha256")
    return RunRow(
        id=new_run_id(created_at),
        kind=kind,
        created_at=created_at,
        dataset_sha256=None if sha256 is None else str(sha256),
        dataset=plain_json(dict(dataset)),
        parameters=plain_json(dict(parameters)),
        seed=int(seed),
        environment=plain_json({**asdict(environment()), **(machines or {})}),
        summary=plain_json(dict(summary)),
        elapsed_s=float(elapsed_s),
        created_by=created_by,
    )


def array_files(row: RunRow) -> tuple[ArrayFile, ...]:
    """Return what the arrays of a run must be."""
    return tuple(ArrayFile.from_json(file) for file in row.files)


def run_of(row: RunRow) -> Run:
    """Read a row out."""
    return Run(
        id=row.id,
        kind=row.kind,
        created_at=row.created_at,
        dataset=row.dataset,
        parameters=row.parameters,
        seed=row.seed,
        environment=row.environment,
        summary=row.summary,
        array_names=tuple(file["name"] for file in row.files),
        elapsed_s=row.elapsed_s,
        created_by=row.created_by,
    )
