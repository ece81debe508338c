"""A report that holds nothing, to put blocks into."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.present.report.blocks import Report

EMPTY = Report(
    title="t",
    subject="s",
    labels=(),
    run_id="r",
    made_at=datetime(2026, 3, 1, tzinfo=UTC),
    version="0",
    sections=(),
    left_out=(),
)
