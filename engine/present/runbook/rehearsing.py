"""Rehearse the kill switch: kill, watch a flag client in another process become safe, restore, keep the evidence."""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.errors import FlagError, ParameterError
from engine.flags import KILL_WORD, SWITCH_KIND, FlagStore
from engine.flags.writer import SWITCH_KEY
from engine.present.runbook.results import KillRehearsal, seconds
from engine.present.runbook.storage import RunbookStore
from engine.present.runbook.watching import WatchingClient
from engine.progress import Cancelled, Progress, ignore_progress, never_cancelled
from engine.rollout.history import ROLLOUT_KIND
from engine.rollout.storage import rollout_of
from engine.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.flags import Flag
    from engine.present.runbook.results import Where
    from engine.workspace import Ledger

LIMIT_S = 5.0
"""How long a client may take to follow before the rehearsal counts as failed."""

KILLS_ON_A_COPY = 3

_PREFIX = "dimshift-rehearsal-copy-"
_ACTOR = "dimshift"
_WHY = "Rehearsal of the kill switch, restored by itself within seconds"
_WHY_SAFE = "End of the rehearsal of the kill switch"
_STANDARD_FLAG = "use_reduced_dims"
_USERS = 1000
_MOST_KILLS = 20
_LONGEST_LIMIT_S = 600.0


@dataclass(frozen=True, kw_only=True)
class _Probe:
    """The flag that is watched, for a user who gets another variant than the safe one."""

    flag: Flag
    user_id: str


def rehearse_kill(
    flags: FlagStore,
    *,
    actor: str,
    flag_key: str | None = None,
    where: Where = "copy",
    typed: str = "",
    n_kills: int | None = None,
    limit_s: float = LIMIT_S,
    reader: Literal["any", "own"] = "any",
    progress: Progress = ignore_progress,
    cancelled: Cancelled = never_cancelled,
) -> KillRehearsal:
    """Kill, measure until a real flag client in another process gives the safe variant, restore, and keep all that.

    On a ``copy`` the flags are copied into a throw-away workspace, where everybody gets the treatment of the watched
    flag before `n_kills` kills (3): the same code, the same kind of file, and no user notices. ``live`` it is the real
    switch, once; every user has safe variants until the client has followed, and `typed` must be the word "kill".
    `flag_key` is the flag to watch, else the first that has an unsafe variant to give. The client is
    openfeature-provider-flagd where it is installed, else (or with `reader` "own") a reader of ours; the result says
    which. It is kept as evidence in the workspace, and audited, whether it succeeded or not.

    Raises
    ------
    FlagError
        For another word; when no flag gives anybody an unsafe variant; live, while the kill switch is on already or a
        rollout runs, which the kill would pause.
    ParameterError
        When a number is out of its range.
    AccessError
        Live, for somebody who may kill but not restore.
    CancelledError
        When `cancelled` says so; a live kill has been restored by then.
    """
    if not 0 < limit_s <= _LONGEST_LIMIT_S:
        raise ParameterError(f"the limit is above 0 and at most {_LONGEST_LIMIT_S:g} seconds", found=limit_s)
    times = n_kills if n_kills is not None else KILLS_ON_A_COPY if where == "copy" else 1
    most = _MOST_KILLS if where == "copy" else 1
    if not 1 <= times <= most:
        raise ParameterError(f"a rehearsal on {_PLACES[where]} kills 1 to {most} times", found=times)
    if where == "live" and typed.strip() != KILL_WORD:
        raise FlagError(f'a rehearsal on the live flags takes the typed word "{KILL_WORD}"', found=typed or "nothing")
    progress(0.0, f"Preparing {_PLACES[where]}")
    with _place(flags, where, flag_key) as (store, probe):
        rehearsal = _rehearsed(
            store,
            probe,
            where=where,
            times=times,
            limit_s=limit_s,
            reader=reader,
            actor=actor,
            progress=progress,
            cancelled=cancelled,
        )
    RunbookStore(flags.workspace).keep_rehearsal(rehearsal, actor=actor)
    progress(1.0, "Done")
    return rehearsal


_PLACES = {"copy": "a copy of the flags", "live": "the live flags"}


@contextmanager
def _place(flags: FlagStore, where: Where, flag_key: str | None) -> Iterator[tuple[FlagStore, _Probe]]:
    """Give the flags to rehearse on, and what to watch there."""
    if where == "live":
        flags.workspace.check_access(SWITCH_KIND, "restore")  # who may not restore must not begin
        with flags.workspace.records() as ledger:
            _check_may_kill(ledger, is_killed=flags.in_ledger(ledger).killed is not None)
        yield flags, _live_probe(flags, flag_key)
        return
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        # Named here, because DIMSHIFT_DATABASE_URL would make the copy the very thing that it is a copy of.
        url = f"sqlite:///{Path(folder) / 'copy.db'}"
        with Workspace.open(folder, database_url=url) as copy:
            yield _copied(flags, copy, flag_key)


def _copied(flags: FlagStore, copy: Workspace, flag_key: str | None) -> tuple[FlagStore, _Probe]:
    with flags.workspace.records() as ledger:
        present, parts = flags.in_ledger(ledger).flags(), flags.in_ledger(ledger).parts
    watched = _watched_on_a_copy(present, flag_key)
    store = FlagStore(copy, refresh_s=0)
    with copy.recording() as ledger:
        writer = store.in_ledger(ledger)
        for standard in writer.flags():
            writer.remove(standard.key, expected_version=None, actor=_ACTOR, reason="making room for the copy")
        if parts is not None:
            writer.put_parts(parts, actor=_ACTOR, action="begin")
        for flag in present:
            chosen = watched if flag.key == watched.key else flag
            writer.put(replace(chosen, driven_by=None), expected_version=None, actor=_ACTOR)
    store.publish()
    return store, _Probe(flag=watched, user_id="user-0")


def _watched_on_a_copy(present: tuple[Flag, ...], flag_key: str | None) -> Flag:
    """Return the flag to watch with everybody in a variant that is not the safe one."""
    for flag in _asked_for(present, flag_key):
        unsafe = [name for name in flag.variants if name != flag.safe_variant]
        if unsafe:
            growing = flag.treatment if flag.treatment in unsafe else unsafe[0]
            return replace(flag.with_percent(100, variant=growing), is_enabled=True)
    raise FlagError(
        "a rehearsal takes a flag with a variant beside the safe one",
        found=flag_key or f"{len(present):,} flags without",
        hint="Create one first, or name another",
    )


def _live_probe(flags: FlagStore, flag_key: str | None) -> _Probe:
    present, snapshot = flags.flags(), flags.snapshot()
    for flag in _asked_for(present, flag_key):
        for number in range(_USERS):
            variant = snapshot.evaluate(flag.key, f"user-{number}").variant
            if variant is not None and variant != flag.safe_variant:
                return _Probe(flag=flag, user_id=f"user-{number}")
    raise FlagError(
        "a rehearsal on the live flags takes a flag that gives somebody another than its safe variant",
        found=f"none among {_USERS:,} users of {flag_key or f'{len(present):,} flags'}",
        hint="Rehearse on a copy: there everybody gets the treatment first",
    )


def _asked_for(present: tuple[Flag, ...], flag_key: str | None) -> tuple[Flag, ...]:
    if flag_key is None:
        # What a rollout drives first, then what gives somebody something already.
        return tuple(sorted(present, key=_how_likely_watched))
    found = tuple(flag for flag in present if flag.key == flag_key)
    if not found:
        raise FlagError("no such flag is in this workspace", found=flag_key)
    return found


def _how_likely_watched(flag: Flag) -> tuple[bool, float, bool, str]:
    return flag.driven_by is None, -(flag.percent or 0.0), flag.key != _STANDARD_FLAG, flag.key


def _rehearsed(
    store: FlagStore,
    probe: _Probe,
    *,
    where: Where,
    times: int,
    limit_s: float,
    reader: Literal["any", "own"],
    actor: str,
    progress: Progress,
    cancelled: Cancelled,
) -> KillRehearsal:
    flag = probe.flag
    progress(0.1, "Starting a flag client in another process")
    safe_s: list[float | None] = []
    back_s: list[float | None] = []
    restored = True
    with WatchingClient(store.path, flag, probe.user_id, reader=reader, cancelled=cancelled) as client:
        variant = _check_sees(client.variant, flag)
        for number in range(times):
            progress(0.3 + 0.65 * number / times, f"Kill {number + 1:,} of {times:,}: waiting for the safe variant")
            # Kills at different points between two looks of the client at its file, which a single one may flatter.
            time.sleep(0.5 * number / times)
            client.ask(is_safe=True)
            began, killed_seq = time.monotonic(), _kill(store, actor=actor)
            try:
                store.publish()
                safe_s.append(client.wait(since=began, limit_s=limit_s))
            finally:
                began, restored = time.monotonic(), _restore(store, killed_seq, actor=actor)
            if not restored or safe_s[-1] is None:
                break
            client.ask(is_safe=False)
            back_s.append(client.wait(since=began, limit_s=limit_s))
            if back_s[-1] is None:
                break
        return KillRehearsal(
            where=where,
            flag_key=flag.key,
            safe_variant=flag.safe_variant,
            variant=variant,
            user_id=probe.user_id,
            client=client.name,
            safe_s=tuple(safe_s),
            back_s=tuple(back_s),
            limit_s=limit_s,
            n_flags=len(store.flags()),
            restored=restored,
        )


def _check_sees(variant: str, flag: Flag) -> str:
    if variant in {flag.safe_variant, "None"}:
        raise FlagError(
            f"the client must see another than the safe variant of {flag.key} before the kill", found=variant
        )
    return variant


def _kill(store: FlagStore, *, actor: str) -> int:
    """Switch every flag to safe and return the number of that audit event; the flag file has to follow."""
    with store.workspace.recording() as ledger:
        writer = store.in_ledger(ledger)
        _check_may_kill(ledger, is_killed=writer.killed is not None)
        writer.kill(actor=actor, reason=_WHY)
        return ledger.audit_seq


def _check_may_kill(ledger: Ledger, *, is_killed: bool) -> None:
    if is_killed:
        raise FlagError(
            "the kill switch cannot be rehearsed on the live flags while it is on",
            hint="Restore the flags first, or rehearse on a copy",
        )
    rollouts = [rollout_of(record.body) for record in ledger.all(ROLLOUT_KIND)]
    running = next((one for one in rollouts if one.state.value == "running"), None)
    if running is not None:
        raise FlagError(
            "the kill switch cannot be rehearsed on the live flags while a rollout runs: it would pause",
            found=f"rollout {running.key} at {running.percent:g} %",
            hint="Rehearse on a copy, or pause the rollout first",
        )


def _restore(store: FlagStore, killed_seq: int, *, actor: str) -> bool:
    """Restore what `_kill` did; false when somebody else wants the kill, or has restored already."""
    with store.workspace.recording() as ledger:
        later = ledger.events(SWITCH_KIND, SWITCH_KEY, after=killed_seq)
        if later:
            return False
        store.in_ledger(ledger).restore(actor=actor, reason=_WHY_SAFE)
    store.publish()
    return True


def too_slow(rehearsal: KillRehearsal) -> str:
    """Return why a rehearsal does not count, empty when it does."""
    return "" if rehearsal.is_met else f"The limit is {seconds(rehearsal.limit_s)}. {rehearsal.sentence}"
