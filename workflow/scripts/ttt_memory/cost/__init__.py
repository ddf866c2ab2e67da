"""What a study costs: FLOPs, bytes, seconds, from shapes; recall uses `model` for its columns."""
