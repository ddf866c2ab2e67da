"""The report's tables; each function returns a `common.Table`, or None where nothing was run."""
