"""What the system measured for the checklist: a rehearsed kill switch, a counted source, a pre-flight."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from engine.errors import WorkspaceError
from engine.migration.stores.urls import store_name

if TYPE_CHECKING:
    from engine.workspace import JsonValue

Where = Literal["copy", "live"]


@dataclass(frozen=True, kw_only=True)
class KillRehearsal:
    """A rehearsed kill switch: how long until another process was safe, and back again, in seconds.

    On a ``copy`` the same code killed the same flags in a throw-away workspace, so that no user noticed; ``live`` it
    was the real switch. `client` is what watched. `safe_s` and `back_s` hold a time a kill, None where `limit_s` was
    not enough. `restored` is false when somebody else asked for the kill meanwhile, so that it was left on. `user_id`
    is the user that was watched, `variant` what that user had before.
    """

    where: Where
    flag_key: str
    safe_variant: str
    variant: str
    user_id: str
    client: str
    safe_s: tuple[float | None, ...]
    back_s: tuple[float | None, ...]
    limit_s: float
    n_flags: int
    restored: bool

    @property
    def is_met(self) -> bool:
        """Whether every kill was seen within the limit, and every restore was made and seen."""
        return self.restored and None not in self.safe_s and None not in self.back_s

    @property
    def slowest_s(self) -> float | None:
        """The longest that a kill took to be seen; None when one was not."""
        seen = [one for one in self.safe_s if one is not None]
        return max(seen) if seen and len(seen) == len(self.safe_s) else None

    @property
    def sentence(self) -> str:
        """The rehearsal in one sentence."""
        return _rehearsal_in_words(self)


@dataclass(frozen=True, kw_only=True)
class SourceCount:
    """What a fresh look at the source of a migration found; `problem` says why it could not be looked at.

    `expected_rows` and `expected_dim` are those of the migration's own report, None before it was validated.
    `n_probed` rows were read, `n_whole` of them with finite vectors of the full dims.
    """

    migration: str
    source: str
    n_rows: int | None = None
    dim: int | None = None
    expected_rows: int | None = None
    expected_dim: int | None = None
    kept_dims: int | None = None
    n_probed: int = 0
    n_whole: int = 0
    problem: str = ""

    @property
    def shortfall(self) -> str:
        """What is missing in the source, empty when nothing is."""
        return _shortfall(self)

    @property
    def sentence(self) -> str:
        """The count in one sentence."""
        if self.problem:
            return f"The source could not be counted: {self.problem}"
        held = f"The source {store_name(self.source)} holds {_rows(self.n_rows)} of {self.dim or 0:,} dims"
        return f"{held}, but {self.shortfall}." if self.shortfall else f"{held}: the full vectors are there."


@dataclass(frozen=True, kw_only=True)
class PreflightNote:
    """That a pre-flight of a rollout was made, for which settings (`sha256`), and what it said."""

    rollout: str
    sha256: str
    n_simulations: int
    seed: int
    traffic: str
    sentences: tuple[str, ...]


def as_body(result: KillRehearsal | SourceCount | PreflightNote) -> dict[str, JsonValue]:
    """Return `result` as plain JSON."""
    body: dict[str, JsonValue] = asdict(result)
    return body


def rehearsal_of(body: dict[str, Any]) -> KillRehearsal:
    """Return the rehearsal that `as_body` made `body` of. Raises WorkspaceError for another one."""
    try:
        return KillRehearsal(**{**body, "safe_s": tuple(body["safe_s"]), "back_s": tuple(body["back_s"])})
    except (KeyError, TypeError) as error:
        raise _unknown("rehearsal") from error


def count_of(body: dict[str, Any]) -> SourceCount:
    """Return the count that `as_body` made `body` of. Raises WorkspaceError for another one."""
    try:
        return SourceCount(**body)
    except TypeError as error:
        raise _unknown("count") from error


def preflight_of(body: dict[str, Any]) -> PreflightNote:
    """Return the note that `as_body` made `body` of. Raises WorkspaceError for another one."""
    try:
        return PreflightNote(**{**body, "sentences": tuple(body["sentences"])})
    except (KeyError, TypeError) as error:
        raise _unknown("pre-flight") from error


def seconds(value: float) -> str:
    """Write a time that somebody waits.

    >>> seconds(0.4321), seconds(12.34)
    ('0.43 s', '12.3 s')
    """
    return f"{value:.2f} s" if value < 10 else f"{value:,.1f} s"


def _rehearsal_in_words(found: KillRehearsal) -> str:
    where = "On a copy of the flags" if found.where == "copy" else "On the live flags"
    seen = [one for one in found.safe_s if one is not None]
    n_late = len(found.safe_s) - len(seen)
    if n_late:
        late = f"{n_late:,} of {len(found.safe_s):,} kills"
        said = f"{where} {late} had not reached {found.client} after {seconds(found.limit_s)}"
    elif len(seen) == 1:
        said = f"{where} {found.client} in another process was safe {seconds(seen[0])} after the kill"
    else:
        said = (
            f"{where} {found.client} in another process was safe {seconds(max(seen))} after the slowest of "
            f"{len(seen):,} kills, {seconds(median(seen))} in the median"
        )
    if not found.restored:
        return f"{said}; somebody else asked for the kill meanwhile, so it was left on."
    if None in found.back_s:
        return f"{said}; what was restored had not come back after {seconds(found.limit_s)}."
    return f"{said}, and gave {found.flag_key} as before after the restore."


def _shortfall(count: SourceCount) -> str:
    n_rows, dim = count.n_rows or 0, count.dim or 0
    if count.problem:
        return "it could not be counted"
    if not n_rows:
        return "it is empty"
    if count.expected_dim is not None and dim < count.expected_dim:
        return f"the full vectors had {count.expected_dim:,} dims"
    if count.kept_dims is not None and dim < count.kept_dims:
        return f"the target keeps {count.kept_dims:,} dims"
    if count.expected_rows is not None and n_rows < count.expected_rows:
        return f"it held {_rows(count.expected_rows)} when the migration was validated"
    if count.n_whole < count.n_probed or not count.n_probed:
        return f"{count.n_whole:,} of {count.n_probed:,} rows that were read had a whole vector"
    return ""


def _rows(n: int | None) -> str:
    return f"{n or 0:,} row{'' if n == 1 else 's'}"


def _unknown(what: str) -> WorkspaceError:
    return WorkspaceError(
        f"a stored {what} of the runbook must be of a form this version knows",
        found="another one",
        hint="Open the workspace with the version that wrote it",
    )
