"""The series to forecast: generated or read from arrays and tables, split and standardised."""
