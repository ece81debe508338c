"""The flags that every workspace has from the start."""

from __future__ import annotations

from engine.flags.model import Flag

STANDARD_FLAGS = (
    Flag(
        key="use_reduced_dims",
        kind="boolean",
        variants={"on": True, "off": False},
        default_variant="off",
        safe_variant="off",
        description="Search the reduced dimension instead of the full one",
    ).with_percent(0),
    Flag(
        key="reduced_dim_size",
        kind="integer",
        variants={"full": 3072, "768": 768},
        default_variant="full",
        safe_variant="full",
        description="How many leading dimensions a search compares",
    ),
    Flag(
        key="enable_new_index",
        kind="boolean",
        variants={"on": True, "off": False},
        default_variant="off",
        safe_variant="off",
        description="Send searches to the target store",
    ).with_percent(0),
)
"""The numbers of the integer flag are those of the example migration, 3072 to 768: edit them to your own."""
