"""Tables of the report. Each function returns a `table.Table`, or None if it has no data."""
