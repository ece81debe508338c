"""What was measured, in sentences."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import WorkspaceError
from engine.present.runbook import KillRehearsal, SourceCount
from engine.present.runbook.results import as_body, count_of, rehearsal_of


def rehearsal(*safe_s: float | None, back_s: tuple[float | None, ...] = (0.4,), **changes: Any) -> KillRehearsal:
    facts: dict[str, Any] = {
        "where": "copy", "flag_key": "ramped", "safe_variant": "off", "variant": "on", "user_id": "user-0",
        "client": "a client", "limit_s": 5.0, "n_flags": 3, "restored": True,
    }  # fmt: skip
    return KillRehearsal(safe_s=safe_s, back_s=back_s, **facts | changes)


@pytest.mark.parametrize(
    ("found", "is_met", "said"),
    [
        (rehearsal(0.25), True, "was safe 0.25 s after the kill, and gave ramped as before after the restore."),
        (rehearsal(0.2, 0.9, 0.4), True, "0.90 s after the slowest of 3 kills, 0.40 s in the median"),
        (rehearsal(0.2, None), False, "1 of 2 kills had not reached a client after 5.00 s"),
        (rehearsal(0.2, back_s=(None,)), False, "what was restored had not come back after 5.00 s"),
        (rehearsal(0.2, restored=False), False, "somebody else asked for the kill meanwhile, so it was left on"),
        (rehearsal(0.2, where="live"), True, "On the live flags"),
    ],
)
def test_a_rehearsal_says_what_was_measured(found: KillRehearsal, is_met: bool, said: str) -> None:
    """It counts only when every kill was seen in time and everything came back; the sentence says which it was."""
    assert (found.is_met, said in found.sentence) == (is_met, True), found.sentence
    assert rehearsal_of(as_body(found)) == found


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"n_rows": 0}, "it is empty"),
        ({"n_rows": 99}, "it held 100 rows when the migration was validated"),
        ({"dim": 256}, "the full vectors had 1,024 dims"),
        ({"dim": 128, "expected_dim": None}, "the target keeps 256 dims"),
        ({"n_whole": 63}, "63 of 64 rows that were read had a whole vector"),
        ({"n_probed": 0, "n_whole": 0}, "0 of 0 rows that were read had a whole vector"),
        ({"problem": "the server is away"}, "it could not be counted"),
    ],
)
def test_a_count_names_what_is_missing(changes: dict[str, Any], said: str) -> None:
    """A source is whole only with all rows, the full dims, and rows that could be read."""
    facts = {
        "migration": "m", "source": "file:///a.npy", "n_rows": 100, "dim": 1024, "expected_rows": 100,
        "expected_dim": 1024, "kept_dims": 256, "n_probed": 64, "n_whole": 64,
    }  # fmt: skip
    count = SourceCount(**facts | changes)
    assert count.shortfall == said
    assert (said in count.sentence) or changes.get("problem") in count.sentence
    assert count_of(as_body(count)) == count


def test_records_of_another_version_are_refused_in_words() -> None:
    """A stored rehearsal or count of an unknown form is refused with what to do."""
    with pytest.raises(WorkspaceError, match="Open the workspace with the version that wrote it"):
        rehearsal_of({"where": "copy"})
    with pytest.raises(WorkspaceError, match="a stored count"):
        count_of({"rows": 1})
