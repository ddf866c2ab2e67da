"""Training of the embedded base model and of runs: episodes, batches, loss, optimisers, loop."""
