"""Figures of the report. Each function returns a Figure, or None if it has no data."""
