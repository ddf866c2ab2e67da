"""Series to forecast: generated, from arrays or from tables, split in time and standardised."""
