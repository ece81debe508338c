"""What the workspace knows, put so that others can decide from it: journey, plan, runbook, report, slides, demo."""
