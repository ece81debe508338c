"""Options that several verbs take, spelt once."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write JSON to FILE; - for stdout.")]
WorkspaceFolder = Annotated[
    Path | None, typer.Option("--workspace", metavar="DIR", help="Where runs are kept; .dimshift by default.")
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Actor = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who asks; your login name by default.")]


def actor_name(given: str | None) -> str:
    """Return who asks, for the audit log: `given` by --by, else the login name."""
    if given is not None:
        return given
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container whose user has no name
        return "unknown"
