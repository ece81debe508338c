"""What the workspace knows, put so that others can decide from it: a report as HTML, as Markdown and as tables."""
