"""Training a run: batches, objective, optimisers and the loop."""
