"""The best forecasts that are possible where it is known how a dataset is made."""
