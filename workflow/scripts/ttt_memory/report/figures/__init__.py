"""The report's figures; each function returns a Figure, or None where nothing was run."""
