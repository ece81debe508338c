"""Audit events in words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.flags.history import change_sentence

if TYPE_CHECKING:
    from engine.flags import Flag, FlagStore


def test_a_change_names_every_part_from_what_to_what(store: FlagStore, flag: Flag) -> None:
    """Percentages, texts and switches are said in words; what did not change, creations and kills are not said."""
    created = store.set(flag, expected_version=0, actor="anna")
    grown = store.set(created.with_percent(0.001), expected_version=1, actor="anna")
    changed = replace(grown.with_percent(12.5), owner="search team", is_enabled=False)
    store.set(replace(changed, variants={"on": True, "off": False, "x": True}), expected_version=2, actor="anna")
    store.kill(actor="carl", typed="kill")
    store.restore(actor="carl", typed="restore", reason="fine")
    everything = (
        "owner none -> search team, enabled yes -> no, "
        'variants {"on": true, "off": false} -> {"on": true, "off": false, "x": true}, '
        "percentage on 0.001 % / off 99.999 % -> on 12.5 % / off 87.5 %"
    )
    first = "percentage none -> on 0.001 % / off 99.999 %"
    assert [change_sentence(event) for event in store.history(limit=5)] == ["", "", everything, first, ""]
