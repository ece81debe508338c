"""A report of one sweep and everything that belongs to it: one HTML file, Markdown, tables."""
