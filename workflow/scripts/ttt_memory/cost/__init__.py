"""What a study costs: FLOPs, bytes, seconds; for benchmarks and planning only."""
