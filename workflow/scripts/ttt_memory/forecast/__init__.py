"""Forecasting with a long-term memory that learns while it reads: series, models, comparison."""
