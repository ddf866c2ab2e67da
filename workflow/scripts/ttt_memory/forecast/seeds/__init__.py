"""Several seeds of one forecaster, trained as one. `trainer` drives it.

A training step is bounded by thousands of small operations, whose number does not grow with the
seeds. `stack` holds the trained values of all seeds as the rows of one matrix, `forward` runs the
forecaster for all rows at once, `probe` finds out which way of running it is right, and `run`
keeps each seed's progress in a file of its own.
"""
