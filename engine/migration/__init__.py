"""Move vectors between databases without losing a row, and search both while they move."""
